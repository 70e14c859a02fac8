# The whole image tower, text locked, at a tenth of the gates' rate (REACT), with the teacher.
_base_ = "gated-image_toy-vit_toy_recommended.py"
model = dict(method="locked-text", method_options=dict(_delete_=True))
optim_wrapper = dict(optimizer=dict(lr=5e-5), paramwise_cfg=dict(_delete_=True))
