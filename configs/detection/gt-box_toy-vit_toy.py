# What the tower alone knows about ground-truth boxes of the drawn world; nothing is trained.
_base_ = ["../_base_/datasets/toy_detection.py", "../_base_/models/gt_box.py"]

toy = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    class_embedder=dict(text_tower=toy, templates="drawn"),
    backbone=dict(**toy, dense_mode="local"),
)

train_dataloader = None
val_dataloader = None
val_evaluator = None
# Scenes at twice their size: objects are then as large as those the base was trained on.
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="Resize", scale_factor=2.0, keep_ratio=True),
            dict(
                type="PackDetInputs",
                meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
            ),
        ]
    )
)
test_evaluator = dict(_delete_=True, type="react_mm.GTBoxAccuracy")
