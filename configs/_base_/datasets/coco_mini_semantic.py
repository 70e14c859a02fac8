# coco_mini's validation photos that have masks: things and stuff, COCO panoptic ids.
data_root = "{{$REACT_MM_DATA:data/photos}}/coco_mini/"
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="react_mm.IdMaskDataset",
        data_root=data_root,
        id_file=data_root + "semantic/classes_config.yaml",
        data_prefix=dict(img_path="val", seg_map_path="semantic/val"),
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale=(2048, 448), keep_ratio=True),
            dict(type="LoadAnnotations"),
            dict(type="PackSegInputs"),
        ],
    ),
)
test_evaluator = dict(type="react_mm.SegmentationIoU")
