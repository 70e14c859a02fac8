# Published (facts D2): 24.9 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_cityscapes.py",
    "mmseg::_base_/default_runtime.py",
]
