# Published (facts D2): 20.6 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_coco-object.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.1, competes=True))
