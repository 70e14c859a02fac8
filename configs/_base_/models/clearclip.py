# ClearCLIP (arXiv 2407.12442): query-query attention, no residual, no FFN; images of 448.
_base_ = ["./training_free_segmentor.py"]

model = dict(
    class_embedder=dict(templates="imagenet-1k"),
    logit_scale=50.0,
    backbone=dict(dense_mode="clearclip"),
    test_cfg=dict(mode="slide", crop_size=(448, 448), stride=(224, 224)),
)
