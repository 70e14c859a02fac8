# Your images by names alone; everything that is none of them is background.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_my-folder.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.3))
