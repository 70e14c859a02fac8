# ImageNet-1k: data/imagenet/val/<n01440764 or class name>/*.JPEG, or a list data/imagenet/val.txt.
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    dataset=dict(
        type="react_mm.ClassificationSetDataset",
        name="imagenet-1k",
        path="data/imagenet",
        split="val",
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
