# A class token per cell on the drawn world, whose small tower's patch tokens are not aligned
# (dense_mode 'local'); background where no concept is sure. Scenes are taken as they are.
_base_ = [
    "../_base_/models/training_free_segmentor.py",
    "../_base_/datasets/toy_segmentation.py",
    "mmseg::_base_/default_runtime.py",
]

toy = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    class_embedder=dict(text_tower=toy, templates="drawn"),
    backbone=dict(**toy, dense_mode="local"),
    logit_scale=20.0,
    background=dict(threshold=0.5),
)
