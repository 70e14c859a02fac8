# Published (facts D2): 74.9 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_voc20.py",
    "mmseg::_base_/default_runtime.py",
]
