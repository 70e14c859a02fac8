# Published (facts D2): 33.2 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_coco-object.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.1, competes=True))
