# F-ViT (CLIPSelf) on OV-LVIS: 1,024 pixels, 48 epochs at a batch of 64, 300 detections per image.
_base_ = [
    "../_base_/models/fvit_fpn.py",
    "../_base_/datasets/ov-lvis_1024_detection.py",
    "../_base_/schedules/fvit_48e.py",
]

model = dict(
    roi_head=dict(vlm_temperature=1 / 50, score_combiner=dict(novel=0.6)),
    test_cfg=dict(rcnn=dict(score_thr=1e-4, nms=dict(iou_threshold=0.5), max_per_img=300)),
)
