# The lite base on coco_mini: every token is in the joint space, which is MaskCLIP's idea.
_base_ = [
    "../_base_/models/training_free_segmentor.py",
    "../_base_/datasets/coco_mini_semantic.py",
    "mmseg::_base_/default_runtime.py",
]
custom_imports = dict(
    imports=[
        "react_mm.models.segmentors",
        "react_mm.datasets.id_masks",
        "react_mm.evaluation.segmentation",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
model = dict(
    class_embedder=dict(text_tower=dict(_delete_=True, type="react_mm.LiteText")),
    backbone=dict(_delete_=True, type="react_mm.LiteImageTower"),
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
)
