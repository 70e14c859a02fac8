# Published (facts D2): 34.2 mIoU.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_context59.py",
    "mmseg::_base_/default_runtime.py",
]
