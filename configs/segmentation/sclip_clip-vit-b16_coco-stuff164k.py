# Published (facts D2): 22.4 mIoU.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_coco-stuff164k.py",
    "mmseg::_base_/default_runtime.py",
]
