# Captions of coco_mini: those of its training photos choose settings, nothing is trained on them.
_photos = dict(
    type="react_mm.RetrievalDataset",
    path="{{$REACT_MM_DATA:data/photos}}/coco_mini",
    pipeline=[dict(type="react_mm.ResizeCenterCrop", size=160)],
)
_loader = dict(
    batch_size=43,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
val_dataloader = dict(dataset=dict(where=dict(split="train"), **_photos), **_loader)
test_dataloader = dict(dataset=dict(where=dict(split="val"), **_photos), **_loader)
del _photos, _loader
val_evaluator = dict(type="react_mm.RetrievalRecall")
test_evaluator = dict(type="react_mm.RetrievalRecall")
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
