# COCO-Object: the 80 things of COCO and background; label maps by tools/convert_coco_object.py.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 336), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="react_mm.BenchmarkSegDataset",
        benchmark="coco-object",
        data_root="data/coco_stuff164k",
        data_prefix=dict(img_path="images/val2017", seg_map_path="annotations/val2017"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type="react_mm.SegmentationIoU")
