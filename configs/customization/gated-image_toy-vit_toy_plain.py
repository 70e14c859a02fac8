# The published recipe: retrieved pairs alone, one learning rate, REACT's augmentation.
_base_ = "gated-image_toy-vit_toy_recommended.py"
model = dict(teacher_weight=0.0)
train_dataloader = dict(
    batch_size=32,
    sampler=dict(general_per_batch=0),
    dataset=dict(
        sources=[dict(path={{_base_.retrieved}})],
        pipeline=[dict(type="react_mm.TimmAugment", size=64)],
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(gate_lr=5e-4))
