# Published (facts D2): 79.7 mIoU.
_base_ = [
    "../_base_/models/naclip.py",
    "../_base_/datasets/seg_voc20.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(test_cfg=dict(_delete_=True, mode="whole"))
