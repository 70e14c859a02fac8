# Published (facts D2): 43.4 mIoU.
_base_ = [
    "../_base_/models/maskclip.py",
    "../_base_/datasets/seg_voc21.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.1, competes=True))
