# REACT's gated-image tuning of OpenCLIP ViT-bigG/14 (LAION-2B) as published: 399 M new parameters.
_base_ = ["../_base_/models/open-clip-vit-bigg14_laion2b.py", "../_base_/react_imagenet10m.py"]
model = dict(method="gated-image", method_options=dict(blocks=12, mlp_ratio=4.0))
