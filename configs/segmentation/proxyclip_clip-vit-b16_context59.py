# Published (facts D2): 39.1 mIoU.
_base_ = [
    "../_base_/models/proxyclip.py",
    "../_base_/datasets/seg_context59.py",
    "mmseg::_base_/default_runtime.py",
]
