# F-ViT at 1,024 pixels: windows of 14 cells, four global blocks (4,096 cells would attend to all).
_base_ = ["./fvit_clip-vit-b16_fpn_3e_ov-coco.py"]

model = dict(backbone=dict(window_size=14, global_blocks=(2, 5, 8, 11)))
train_pipeline = _base_.train_pipeline
train_pipeline[2]["scale"] = (1024, 1024)
test_pipeline = _base_.test_pipeline
test_pipeline[1]["scale"] = (1024, 1024)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
