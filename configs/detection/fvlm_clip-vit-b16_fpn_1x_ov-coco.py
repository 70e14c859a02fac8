# CLIP ViT-B/16, plain; a customized one: --cfg-options model.backbone.delta=PATH
_base_ = [
    "../_base_/models/fvlm_fpn.py",
    "../_base_/datasets/ov-coco_detection.py",
    "../_base_/schedules/adamw_1x.py",
]
