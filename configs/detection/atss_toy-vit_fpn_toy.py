# ATSS on the drawn world: trained on the base families, tested on all.
_base_ = [
    "../_base_/models/atss_fpn.py",
    "../_base_/datasets/toy_detection.py",
    "../_base_/schedules/toy_detection.py",
]

toy = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    class_embedder=dict(text_tower=toy, templates="drawn", cache_dir=None),
    backbone=dict(**toy, out_indices=(-1,), dense_mode="local"),
    neck=dict(in_channels=128, out_channels=64, scales=(2, 1), num_outs=2),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        embed_dim=128,
        vlm_boxes=50,
        anchor_generator=dict(octave_base_scale=4, strides=[4, 8]),
    ),
)
