# COCO-Stuff 164k: 156 seen classes for training, 15 unseen; validation and test on all 171.
_base_ = ["./seg_coco-stuff164k.py"]

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=(2048, 384), ratio_range=(1.0, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(384, 384), cat_max_ratio=0.95),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type="react_mm.BenchmarkSegDataset",
        benchmark="coco-stuff164k",
        unseen="stuff-156-15",
        only_seen=True,
        data_root="data/coco_stuff164k",
        data_prefix=dict(img_path="images/train2017", seg_map_path="annotations/train2017"),
        pipeline=train_pipeline,
    ),
)
test_dataloader = _base_.test_dataloader
test_dataloader["dataset"]["unseen"] = "stuff-156-15"
val_dataloader = test_dataloader
test_evaluator = dict(unseen=True)
val_evaluator = dict(type="react_mm.SegmentationIoU", unseen=True)
