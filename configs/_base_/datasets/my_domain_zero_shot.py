# Labelled photos of your own: $MY_PHOTOS/pairs.jsonl with `image`, `label` and `split`
# (train, validation, test), names in $MY_NAMES, one a line.
_photos = dict(
    type="react_mm.ZeroShotDataset",
    path="{{$MY_PHOTOS:data/my-photos}}",
    label_field="label",
    classes="{{$MY_NAMES:data/my-names.txt}}",
    pipeline=[dict(type="react_mm.ResizeCenterCrop", size=160)],
)
_loader = dict(
    batch_size=64,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
val_dataloader = dict(dataset=dict(where=dict(split="validation"), **_photos), **_loader)
test_dataloader = dict(dataset=dict(where=dict(split="test"), **_photos), **_loader)
del _photos, _loader
val_evaluator = dict(type="react_mm.ZeroShotAccuracy")
test_evaluator = dict(type="react_mm.ZeroShotAccuracy")
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
