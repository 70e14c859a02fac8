# CAT-Seg's length, batch and rate (facts D3): 80k steps of 4 images, AdamW 2e-4.
_base_ = ["mmseg::_base_/default_runtime.py"]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=80_000, val_interval=20_000)
val_cfg = dict(type="ValLoop")
optim_wrapper = dict(
    type="react_mm.MixedPrecisionOptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=500, eta_min=1e-6),
]
default_hooks = dict(
    checkpoint=dict(
        type="react_mm.SafeCheckpointHook", by_epoch=False, interval=5_000, max_keep_ckpts=2
    ),
    logger=dict(type="LoggerHook", interval=50),
)
randomness = dict(seed=0)
