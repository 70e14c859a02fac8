# REACT's gated-image tuning of ViT-B/16 as published: 42.5 M new parameters, 4,096 pairs a step.
_base_ = [
    "../_base_/models/clip-vit-b16_openai.py",
    "../_base_/datasets/imagenet10m_pairs.py",
    "../_base_/datasets/imagenet_zero_shot.py",
    "../_base_/schedules/paper_32e.py",
    "../_base_/default_runtime.py",
]
model = dict(method="gated-image", method_options=dict(blocks=6, mlp_ratio=4.0))
default_hooks = dict(checkpoint=dict(interval=1000, max_keep_ckpts=2))
