# Published (facts D2): 61.3 mIoU.
_base_ = [
    "../_base_/models/proxyclip.py",
    "../_base_/datasets/seg_voc21.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.2, competes=True))
