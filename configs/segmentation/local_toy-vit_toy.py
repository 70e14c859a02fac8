# A local token per cell (dense_mode 'local') on the drawn world, whose small tower's patch tokens
# say little by themselves; background where no concept is sure.
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
# At twice their size objects are as large as those the base was trained on.
test_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="Resize", scale_factor=2.0, keep_ratio=True),
            dict(type="LoadAnnotations"),
            dict(type="PackSegInputs"),
        ]
    )
)
