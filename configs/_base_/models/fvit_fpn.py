# F-ViT (CLIPSelf, arXiv 2310.01403) where it differs from F-VLM: OV-COCO settings.
_base_ = ["./fvlm_fpn.py"]

model = dict(
    roi_head=dict(
        vlm_temperature=1 / 75,
        vlm_roi_size=1,
        detector_temperature=None,
        score_combiner=dict(base=0.1, novel=0.8, background="remainder"),
        bbox_head=dict(temperature=0.02, background_weight=0.6, num_shared_fcs=2),
    ),
    test_cfg=dict(rcnn=dict(score_thr=0.01, nms=dict(iou_threshold=0.4))),
)
