# REACT's gated-image tuning of OpenCLIP ViT-B/32 (LAION-2B) as published: 42.5 M new parameters.
_base_ = ["../_base_/models/open-clip-vit-b32_laion2b.py", "../_base_/react_imagenet10m.py"]
model = dict(method="gated-image", method_options=dict(blocks=6, mlp_ratio=4.0))
