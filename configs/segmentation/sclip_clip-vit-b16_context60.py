# Published (facts D2): 30.4 mIoU.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_context60.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(logit_scale=50.0, background=dict(threshold=0.1, competes=True))
