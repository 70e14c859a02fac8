# REACT's gated-image tuning of ViT-L/14 as published: 75.6 M new parameters.
_base_ = ["../_base_/models/clip-vit-l14_openai.py", "../_base_/react_imagenet10m.py"]
model = dict(method="gated-image", method_options=dict(blocks=6, mlp_ratio=4.0))
