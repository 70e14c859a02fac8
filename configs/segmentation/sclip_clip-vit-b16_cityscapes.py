# Published (facts D2): 32.2 mIoU.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_cityscapes.py",
    "mmseg::_base_/default_runtime.py",
]
