# Published (facts D2): 23.2 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_context60.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.1, competes=True))
