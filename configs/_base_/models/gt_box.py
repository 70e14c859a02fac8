# Zero-shot classification of ground-truth boxes: by RoI on the map of the image, or by crop.
_base_ = ["mmdet::_base_/default_runtime.py"]

custom_imports = dict(
    imports=[
        "react_mm.models.detectors",
        "react_mm.datasets.detection",
        "react_mm.datasets.lvis_detection",
        "react_mm.evaluation.gt_box",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
custom_hooks = [dict(type="react_mm.VocabularyHook")]

model = dict(
    type="react_mm.GTBoxClassifier",
    class_embedder=dict(
        type="react_mm.ClassEmbedder",
        text_tower=dict(type="react_mm.CLIPText", arch="ViT-B-16-quickgelu", pretrained="openai"),
        templates="region",
    ),
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(
        type="react_mm.CLIPViT",
        arch="ViT-B-16-quickgelu",
        pretrained="openai",
        dense_mode="maskclip",
    ),
)
test_cfg = dict(type="TestLoop")
