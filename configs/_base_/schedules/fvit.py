# F-ViT (CLIPSelf): AdamW at a batch of 64 in mixed precision. Epochs are the child's (3 on OV-COCO,
# 48 on OV-LVIS); where the rate falls is not published in the facts we have and is ours.
_base_ = ["./adamw_1x.py"]

train_cfg = dict(max_epochs=3)
optim_wrapper = dict(type="react_mm.MixedPrecisionOptimWrapper")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type="MultiStepLR", by_epoch=True, begin=0, end=3, milestones=[2], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=64)  # batch_size=8 on 8 devices
