# Published (facts D2): 23.3 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_coco-stuff164k.py",
    "mmseg::_base_/default_runtime.py",
]
