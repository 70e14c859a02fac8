# A trained head on the drawn world: the target family is unseen in training.
_base_ = [
    "../_base_/models/cost_aggregation_head.py",
    "../_base_/datasets/toy_segmentation_training.py",
    "../_base_/schedules/toy_segmentation.py",
]

toy = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    class_embedder=dict(text_tower=toy, templates="drawn"),
    backbone=dict(**toy, dense_mode="local", out_indices=(-1,)),
    decode_head=dict(
        embed_dim=128,
        tap_channels=128,
        channels=8,
        guidance=8,
        depth=1,
        kernel=5,
        heads=2,
        upsample=1,
        with_cp=False,
    ),
    tower_scale=20.0,
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
