# Low-rank updates on the image tower's attention, text locked, with the teacher; not yet measured.
_base_ = "gated-image_toy-vit_toy_recommended.py"
model = dict(method="lora", method_options=dict(_delete_=True, rank=8, text="locked"))
optim_wrapper = dict(optimizer=dict(lr=5e-4), paramwise_cfg=dict(_delete_=True))
