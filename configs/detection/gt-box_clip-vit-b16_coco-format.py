# Ground-truth boxes of any COCO-format folder ($MY_DETECTION) named among its own classes, by RoI
# on the dense embedding of the image; nothing is trained.
_base_ = ["../_base_/datasets/coco-format_zero-shot.py", "../_base_/models/gt_box.py"]

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
