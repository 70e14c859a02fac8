# Ground-truth boxes named among the 65 classes of OV-COCO (48 base, 17 novel), by RoI on the
# dense embedding of the image; nothing is trained.
_base_ = ["../_base_/datasets/ov-coco_detection.py", "../_base_/models/gt_box.py"]

train_dataloader = None
val_dataloader = None
val_evaluator = None
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="Resize", scale=(1333, 800), keep_ratio=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ]
    )
)
test_evaluator = dict(_delete_=True, type="react_mm.GTBoxAccuracy")
