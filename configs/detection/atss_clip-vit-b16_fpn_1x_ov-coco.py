# One stage, for speed: the VLM scores the 1,000 best boxes of an image.
_base_ = [
    "../_base_/models/atss_fpn.py",
    "../_base_/datasets/ov-coco_detection.py",
    "../_base_/schedules/adamw_1x.py",
]
