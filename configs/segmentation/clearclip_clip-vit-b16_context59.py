# Published (facts D2): 35.9 mIoU.
_base_ = [
    "../_base_/models/clearclip.py",
    "../_base_/datasets/seg_context59.py",
    "mmseg::_base_/default_runtime.py",
]

test_pipeline = _base_.test_pipeline
test_pipeline[1]["scale"] = (2048, 448)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
