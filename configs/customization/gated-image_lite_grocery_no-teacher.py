# The recommended recipe without the frozen teacher: what the gates' own learning rate does alone.
_base_ = "gated-image_lite_grocery_plain.py"
optim_wrapper = dict(paramwise_cfg=dict(gate_lr=5e-2))
