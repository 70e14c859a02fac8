# Trained on 156 classes of COCO-Stuff, tested on all 171; short side and windows of 384.
_base_ = [
    "../_base_/models/cost_aggregation_head.py",
    "../_base_/datasets/seg_coco-stuff164k_156-15.py",
    "../_base_/schedules/segmentation_80k.py",
]

model = dict(
    class_embedder=dict(templates="imagenet-1k"),
    test_cfg=dict(mode="slide", crop_size=(384, 384), stride=(256, 256)),
)
test_pipeline = _base_.test_pipeline
test_pipeline[1]["scale"] = (2048, 384)
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
