# A few minutes on two cores.
_base_ = ["mmseg::_base_/default_runtime.py"]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=300, val_interval=10_000)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, eta_min=1e-5),
]
default_hooks = dict(
    checkpoint=dict(
        type="react_mm.SafeCheckpointHook", by_epoch=False, interval=100, max_keep_ckpts=1
    ),
    logger=dict(type="LoggerHook", interval=20),
)
randomness = dict(seed=0)
