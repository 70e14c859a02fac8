# MaskCLIP on the drawn world: scenes as they are, background where no concept is sure.
_base_ = [
    "../_base_/models/training_free_segmentor.py",
    "../_base_/datasets/toy_segmentation.py",
    "mmseg::_base_/default_runtime.py",
]

toy = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    class_embedder=dict(text_tower=toy, templates="drawn"),
    backbone=toy,
    background=dict(threshold=0.5),
)
