# A minute on two cores.
_base_ = ["mmdet::_base_/default_runtime.py"]

train_cfg = dict(type="IterBasedTrainLoop", max_iters=300, val_interval=300)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=30, end=300, T_max=270, eta_min=1e-5),
]
default_hooks = dict(
    checkpoint=dict(
        type="react_mm.SafeCheckpointHook", by_epoch=False, interval=100, max_keep_ckpts=1
    ),
    logger=dict(interval=20),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
