# Zero-shot detection without training: given proposals, named by the image tower.
_base_ = ["./gt_box.py"]

custom_imports = dict(
    imports=[
        "react_mm.models.detectors",
        "react_mm.datasets.detection",
        "react_mm.datasets.lvis_detection",
        "react_mm.datasets.proposals",
        "react_mm.evaluation.ov_coco",
        "react_mm.evaluation.ov_lvis",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
model = dict(type="react_mm.ProposalClassifier", score_thr=1e-4, nms_iou=0.5, max_per_img=100)
