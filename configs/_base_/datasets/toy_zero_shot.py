# The labelled images, by name alone as in the card of the base: validation chooses, test is opened
# once.
groups = dict(target="data/toy/target.txt", other="rest")
val_dataloader = dict(
    batch_size=100,
    num_workers=0,
    dataset=dict(
        type="react_mm.ZeroShotDataset",
        path="data/toy/classification/val",
        classes="data/toy/concepts.txt",
        synonyms=False,
        groups=groups,
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=64)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_dataloader = dict(
    batch_size=100,
    num_workers=0,
    dataset=dict(
        type="react_mm.ZeroShotDataset",
        path="data/toy/classification/test",
        classes="data/toy/concepts.txt",
        synonyms=False,
        groups=groups,
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=64)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
val_evaluator = dict(type="react_mm.ZeroShotAccuracy")
test_evaluator = dict(type="react_mm.ZeroShotAccuracy", per_class=True)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
