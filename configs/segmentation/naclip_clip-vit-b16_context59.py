# Published (facts D2): 35.2 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_context59.py",
    "mmseg::_base_/default_runtime.py",
]
