# Published (facts D2): 37.5 mIoU.
_base_ = [
    "../_base_/models/proxyclip.py",
    "../_base_/datasets/seg_coco-object.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.25, competes=True))
