# Your own images and label maps: 0 is what is none of your names, i + 1 the i-th name, 255 ignored.
# train/ is only read by configs with a head to train.
data_root = "data/my_images/"
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 336), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="react_mm.ConceptSegDataset",
        data_root=data_root,
        concepts=data_root + "names.txt",
        img_suffix=".jpg",
        data_prefix=dict(img_path="val/images", seg_map_path="val/masks"),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type="react_mm.SegmentationIoU")
