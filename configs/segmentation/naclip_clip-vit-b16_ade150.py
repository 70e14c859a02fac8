# Published (facts D2): 17.4 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_ade150.py",
    "mmseg::_base_/default_runtime.py",
]
