# ProxyCLIP (arXiv 2408.04883): the values mixed by the similarity of DINO's tokens.
_base_ = ["./training_free_segmentor.py"]

model = dict(
    class_embedder=dict(templates="imagenet-1k"),
    type="react_mm.ProxySegmentor",
    logit_scale=40.0,
    proxy=dict(type="react_mm.TimmFeatures", arch="vit_base_patch8_224.dino", pretrained=True),
    beta=1.2,
    gamma=3.0,
    test_cfg=dict(mode="slide", crop_size=(336, 336), stride=(112, 112)),
)
