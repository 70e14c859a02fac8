# Published (facts D2): 16.1 mIoU.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_ade150.py",
    "mmseg::_base_/default_runtime.py",
]
