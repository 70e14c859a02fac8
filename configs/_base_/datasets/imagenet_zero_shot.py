# ImageNet-1k: val/<class name>/*.JPEG with names in data/imagenet/classes.txt, one per line.
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    dataset=dict(
        type="react_mm.ZeroShotDataset",
        path="data/imagenet/val",
        classes="data/imagenet/classes.txt",
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=224)],
    ),
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="react_mm.ZeroShotAccuracy", topk=(5,))
test_evaluator = val_evaluator
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
