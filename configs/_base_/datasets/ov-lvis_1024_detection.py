# OV-LVIS at 1,024 pixels.
_base_ = ["./ov-lvis_detection.py"]

train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type="Resize", scale=(1024, 1024), keep_ratio=True)
test_pipeline = _base_.test_pipeline
test_pipeline[1]["scale"] = (1024, 1024)
train_dataloader = dict(batch_size=8, dataset=dict(dataset=dict(pipeline=train_pipeline)))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
