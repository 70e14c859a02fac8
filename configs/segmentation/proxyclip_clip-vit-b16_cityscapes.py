# Published (facts D2): 38.1 mIoU.
_base_ = [
    "../_base_/models/proxyclip.py",
    "../_base_/datasets/seg_cityscapes.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(test_cfg=dict(crop_size=(224, 224)))

test_pipeline = _base_.test_pipeline
test_pipeline[1]["scale"] = (2048, 448)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
