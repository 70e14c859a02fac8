# VOC20: the 20 object classes; background pixels do not count (facts D2: MaskCLIP 74.9 mIoU).
_base_ = [
    "../_base_/models/training_free_segmentor.py",
    "mmseg::_base_/datasets/pascal_voc12.py",
    "mmseg::_base_/default_runtime.py",
]

test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 336), keep_ratio=True),
    dict(type="LoadAnnotations", reduce_zero_label=True),
    dict(type="PackSegInputs"),
]
model = dict(test_cfg=dict(mode="slide", crop_size=(224, 224), stride=(112, 112)))
train_dataloader = None
val_dataloader = None
val_evaluator = None
test_dataloader = dict(dataset=dict(type="react_mm.VOC20Dataset", pipeline=test_pipeline))
test_evaluator = dict(_delete_=True, type="react_mm.SegmentationIoU")
