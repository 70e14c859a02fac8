# The published locked-text recipe: retrieved pairs alone.
_base_ = "gated-image_toy-vit_toy_plain.py"
model = dict(method="locked-text", method_options=dict(_delete_=True))
optim_wrapper = dict(optimizer=dict(lr=5e-5), paramwise_cfg=dict(_delete_=True))
