# Published (facts D2): 16.7 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_coco-stuff164k.py",
    "mmseg::_base_/default_runtime.py",
]
