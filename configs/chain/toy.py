# The drawn world from names.txt to novel AP: minutes on two cores, nothing to download.
names = "data/toy/target.txt"
synonyms = "data/toy/concepts.txt"
world = dict(folder="data/toy")
retrieval = dict(config="retrieval/toy.py")
customization = dict(
    customized=dict(config="customization/gated-image_toy-vit_toy_recommended.py"),
    dense=dict(config="customization/gated-image_toy-vit_toy_dense.py"),
)
gate_scale = dict(
    config="zero_shot_classification/toy-vit_toy.py",
    target="zero_shot/target",
    other="zero_shot/other",
)
detector = dict(config="detection/fvlm_toy-vit_fpn_toy.py")
score_weights = [(0.1, 0.8), (0.35, 0.65), (0.0, 1.0)]
tests = dict(gt_box=dict(config="detection/gt-box_toy-vit_toy.py"))
metrics = [
    "ov_coco/base_ap50",
    "ov_coco/novel_ap50",
    "ov_coco/bbox_mAP_50",
    "gt_box/accuracy_target",
    "gt_box/accuracy_other",
]
lanes = 2
