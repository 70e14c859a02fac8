# No published figure at hand.
_base_ = [
    "../_base_/models/clearclip.py",
    "../_base_/datasets/seg_coco-object.py",
    "mmseg::_base_/default_runtime.py",
]

model = dict(background=dict(threshold=0.4, competes=True))

test_pipeline = _base_.test_pipeline
test_pipeline[1]["scale"] = (2048, 448)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
