# Published (facts D2): 26.5 mIoU.
_base_ = [
    "../_base_/models/proxyclip.py",
    "../_base_/datasets/seg_coco-stuff164k.py",
    "mmseg::_base_/default_runtime.py",
]
