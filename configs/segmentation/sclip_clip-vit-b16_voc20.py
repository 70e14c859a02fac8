# Published (facts D2): 80.4 mIoU.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_voc20.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(logit_scale=65.0)
