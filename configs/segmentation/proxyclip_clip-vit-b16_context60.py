# Published (facts D2): 35.3 mIoU.
_base_ = [
    "../_base_/models/proxyclip.py",
    "../_base_/datasets/seg_context60.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.15, competes=True))
