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
test_evaluator = dict(_delete_=True, type="react_mm.GTBoxAccuracy")
