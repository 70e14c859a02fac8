# What the lite base knows about ground-truth boxes of coco_mini; nothing is trained.
_base_ = ["../_base_/models/gt_box.py"]
data_root = "{{$REACT_MM_DATA:data/photos}}/coco_mini/"
model = dict(
    class_embedder=dict(
        text_tower=dict(_delete_=True, type="react_mm.LiteText"), templates="photo"
    ),
    backbone=dict(_delete_=True, type="react_mm.LiteImageTower"),
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
)
test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="react_mm.OpenVocabularyCocoDataset",
        data_root=data_root,
        ann_file="annotations/instances_val.json",
        data_prefix=dict(img="val/"),
        novel="ov-coco",
        test_mode=True,
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="Resize", scale=(1333, 640), keep_ratio=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ],
    ),
)
test_evaluator = dict(type="react_mm.GTBoxAccuracy")
