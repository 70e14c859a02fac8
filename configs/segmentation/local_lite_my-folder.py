# Your images by names alone, on the offline base (pip install 'react_mm[lite]').
_base_ = ["sclip_clip-vit-b16_my-folder.py"]
custom_imports = dict(
    imports=[
        "react_mm.models.segmentors",
        "react_mm.datasets.segmentation",
        "react_mm.evaluation.segmentation",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
model = dict(
    class_embedder=dict(text_tower=dict(_delete_=True, type="react_mm.LiteText")),
    backbone=dict(_delete_=True, type="react_mm.LiteImageTower"),
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    test_cfg=dict(_delete_=True, mode="whole"),
)
