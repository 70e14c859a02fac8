# F-ViT (CLIPSelf) on OV-COCO: 640 pixels, 3 epochs at a batch of 64.
_base_ = [
    "../_base_/models/fvit_fpn.py",
    "../_base_/datasets/ov-coco_detection.py",
    "../_base_/schedules/fvit.py",
]

train_pipeline = _base_.train_pipeline
train_pipeline[2]["scale"] = (640, 640)
test_pipeline = _base_.test_pipeline
test_pipeline[1]["scale"] = (640, 640)
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
