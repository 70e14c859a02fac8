# NACLIP (arXiv 2404.08181): key-key attention that favours neighbours, no residual, no FFN.
_base_ = ["./training_free_segmentor.py"]

model = dict(
    class_embedder=dict(templates="imagenet-1k"),
    logit_scale=40.0,
    backbone=dict(dense_mode="naclip"),
    test_cfg=dict(mode="slide", crop_size=(224, 224), stride=(112, 112)),
)
