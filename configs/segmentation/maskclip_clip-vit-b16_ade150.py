# Published (facts D2): 11.9 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_ade150.py",
    "mmseg::_base_/default_runtime.py",
]
