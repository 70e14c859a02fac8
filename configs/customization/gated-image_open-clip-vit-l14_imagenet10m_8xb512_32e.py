# REACT's gated-image tuning of OpenCLIP ViT-L/14 (LAION-2B) as published: 75.6 M new parameters.
_base_ = ["../_base_/models/open-clip-vit-l14_laion2b.py", "../_base_/react_imagenet10m.py"]
model = dict(method="gated-image", method_options=dict(blocks=6, mlp_ratio=4.0))
augment = dict(type="react_mm.TimmAugment", size=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
train_dataloader = dict(dataset=dict(pipeline=[augment]))
