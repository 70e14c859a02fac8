# Training-free segmentation: dense embedding against class embeddings; see dense_mode.
custom_imports = dict(
    imports=[
        "react_mm.models.segmentors",
        "react_mm.datasets.segmentation",
        "react_mm.datasets.segmentation_benchmarks",
        "react_mm.evaluation.segmentation",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
custom_hooks = [dict(type="react_mm.VocabularyHook")]

model = dict(
    type="react_mm.TrainingFreeSegmentor",
    class_embedder=dict(
        type="react_mm.ClassEmbedder",
        text_tower=dict(type="react_mm.CLIPText", arch="ViT-B-16-quickgelu", pretrained="openai"),
        templates="photo",
    ),
    data_preprocessor=dict(
        type="react_mm.MixedSizeSegDataPreProcessor",
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type="react_mm.CLIPViT",
        arch="ViT-B-16-quickgelu",
        pretrained="openai",
        dense_mode="maskclip",
    ),
    prune=dict(min_area=0.0, min_peak=0.0),  # off; here so that the command line can set them
    test_cfg=dict(mode="whole"),
)
test_cfg = dict(type="TestLoop")
