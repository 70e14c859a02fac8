# A head trained on your images and label maps.
_base_ = [
    "../_base_/models/cosine_head.py",
    "../_base_/datasets/seg_my-folder_training.py",
    "../_base_/schedules/segmentation_80k.py",
]

model = dict(test_cfg=dict(mode="slide", crop_size=(336, 336), stride=(224, 224)))
train_cfg = dict(max_iters=4_000, val_interval=1_000)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
