# Published (facts D2): 80.3 mIoU.
_base_ = [
    "../_base_/models/proxyclip.py",
    "../_base_/datasets/seg_voc20.py",
    "mmseg::_base_/default_runtime.py",
]
