# Labelled photos by class names at 160 px; the file that inherits this names folder and splits.
_loader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="react_mm.ZeroShotDataset",
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=160)],
    ),
)
val_dataloader = _loader
test_dataloader = _loader
del _loader
val_evaluator = dict(type="react_mm.ZeroShotAccuracy")
test_evaluator = dict(type="react_mm.ZeroShotAccuracy")
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
