# Published (facts D2): 59.1 mIoU.
_base_ = [
    "../_base_/models/sclip.py",
    "../_base_/datasets/seg_voc21.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(
    logit_scale=65.0,
    background=dict(threshold=0.1, competes=True),
    prune=dict(min_area=0.1),
)
