# Seconds on a small memory; for 100,000 pairs take max_iters of 5 to 10 epochs.
train_cfg = dict(type="IterBasedTrainLoop", max_iters=300, val_interval=300)
optim_wrapper = dict(
    type="OptimWrapper",
    constructor="react_mm.CustomizationOptimConstructor",
    optimizer=dict(type="AdamW", lr=5e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.1),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [  # the cosine ends with train_cfg.max_iters
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type="CosineAnnealingLR", by_epoch=False, begin=20, eta_min=0),
]
