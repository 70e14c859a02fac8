# SCLIP (arXiv 2312.01597): query-query and key-key attention in the last block.
_base_ = ["./training_free_segmentor.py"]

model = dict(
    class_embedder=dict(templates="imagenet-1k"),
    logit_scale=40.0,
    backbone=dict(dense_mode="sclip"),
    test_cfg=dict(mode="slide", crop_size=(224, 224), stride=(112, 112)),
)
