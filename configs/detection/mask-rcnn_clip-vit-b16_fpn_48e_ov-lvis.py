# Mask R-CNN of the F-ViT type on OV-LVIS: class-agnostic masks, AP of boxes and masks.
_base_ = [
    "../_base_/models/mask-rcnn_fpn.py",
    "../_base_/datasets/ov-lvis_1024_detection.py",
    "../_base_/schedules/fvit_48e.py",
]

model = dict(
    roi_head=dict(vlm_temperature=1 / 50, score_combiner=dict(novel=0.6)),
    test_cfg=dict(rcnn=dict(score_thr=1e-4, nms=dict(iou_threshold=0.5), max_per_img=300)),
)
val_evaluator = dict(metric=["bbox", "segm"])
test_evaluator = val_evaluator
