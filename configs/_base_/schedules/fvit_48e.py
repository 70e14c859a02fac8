# F-ViT on OV-LVIS: 48 epochs.
_base_ = ["./fvit.py"]

train_cfg = dict(max_epochs=48)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=48, milestones=[32, 44], gamma=0.1),
]
