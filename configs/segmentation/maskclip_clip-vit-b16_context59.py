# Published (facts D2): 26.4 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_context59.py",
    "mmseg::_base_/default_runtime.py",
]
