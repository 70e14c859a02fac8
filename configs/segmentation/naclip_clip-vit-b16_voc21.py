# Published (facts D2): 58.9 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_voc21.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(
    background=dict(threshold=0.1, competes=True),
    test_cfg=dict(_delete_=True, mode="whole"),
)
