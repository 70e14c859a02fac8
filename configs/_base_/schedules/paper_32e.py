# REACT's schedule: 32 epochs of 8.53 M pairs at a batch of 4,096, 5,000 steps warm-up.
train_cfg = dict(type="IterBasedTrainLoop", max_iters=66_640, val_interval=10_000)
optim_wrapper = dict(
    type="react_mm.MixedPrecisionOptimWrapper",
    constructor="react_mm.CustomizationOptimConstructor",
    optimizer=dict(type="AdamW", lr=5e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
)
param_scheduler = [  # the cosine ends with train_cfg.max_iters
    dict(type="LinearLR", start_factor=2e-4, by_epoch=False, begin=0, end=5000),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=5000, eta_min=0),
]
