# Published (facts D2): 35.5 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_cityscapes.py",
    "mmseg::_base_/default_runtime.py",
]
