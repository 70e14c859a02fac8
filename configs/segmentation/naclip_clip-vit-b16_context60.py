# Published (facts D2): 32.2 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_context60.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.1, competes=True))
