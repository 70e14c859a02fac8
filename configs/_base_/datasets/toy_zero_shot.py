# The labelled images, by name alone as in the card of the base: validation chooses, test is opened
# once.
_images = dict(
    type="react_mm.ZeroShotDataset",
    classes="data/toy/concepts.txt",
    synonyms=False,
    groups=dict(target="data/toy/target.txt", other="rest"),
    pipeline=[dict(type="react_mm.ResizeCenterCrop", size=64)],
)
_loader = dict(
    batch_size=100,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
val_dataloader = dict(dataset=dict(path="data/toy/classification/val", **_images), **_loader)
test_dataloader = dict(dataset=dict(path="data/toy/classification/test", **_images), **_loader)
del _images, _loader
val_evaluator = dict(type="react_mm.ZeroShotAccuracy")
test_evaluator = dict(type="react_mm.ZeroShotAccuracy", per_class=True)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
