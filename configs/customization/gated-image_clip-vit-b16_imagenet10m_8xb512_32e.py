# REACT's gated-image tuning of ViT-B/16 as published: 42.5 M new parameters.
_base_ = ["../_base_/models/clip-vit-b16_openai.py", "../_base_/react_imagenet10m.py"]
model = dict(method="gated-image", method_options=dict(blocks=6, mlp_ratio=4.0))
