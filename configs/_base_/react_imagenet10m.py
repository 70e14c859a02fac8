# What all of REACT's published recipes for ImageNet share: data, evaluation, schedule.
_base_ = [
    "datasets/imagenet10m_pairs.py",
    "datasets/imagenet_zero_shot.py",
    "schedules/paper_32e.py",
    "default_runtime.py",
]
default_hooks = dict(checkpoint=dict(interval=1000, max_keep_ckpts=2))
