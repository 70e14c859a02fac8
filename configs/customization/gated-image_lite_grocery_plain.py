# The published recipe: retrieved pairs alone, one learning rate for gates and all.
_base_ = "gated-image_lite_grocery_recommended.py"
model = dict(teacher_weight=0.0)
train_dataloader = dict(
    batch_size=64,
    sampler=dict(general_per_batch=0),
    dataset=dict(sources=[dict(path={{_base_.retrieved}})]),
)
optim_wrapper = dict(paramwise_cfg=dict(gate_lr=5e-4))
