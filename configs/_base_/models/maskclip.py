# MaskCLIP (arXiv 2112.01071): each token keeps its value; windows as SCLIP's, which are ours here.
_base_ = ["./training_free_segmentor.py"]

model = dict(
    class_embedder=dict(templates="imagenet-1k"),
    logit_scale=40.0,
    backbone=dict(dense_mode="maskclip"),
    test_cfg=dict(mode="slide", crop_size=(224, 224), stride=(112, 112)),
)
