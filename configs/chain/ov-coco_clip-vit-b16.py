# OV-COCO on OpenAI's ViT-B/16: needs a GPU, the weights, data/coco and a pool (data/my-pool).
# COCO has no split to choose on: 2,000 training images are held back from every training.
names = "chain/ov-coco_novel.txt"
synonyms = "coco"
retrieval = dict(config="retrieval/clip-vit-b16_ov-coco.py")
customization = dict(
    customized=dict(config="customization/gated-image_clip-vit-b16_ov-coco.py"),
    dense=dict(config="customization/gated-image_clip-vit-b16_ov-coco_dense.py"),
)
detector = dict(
    config="detection/fvlm_clip-vit-b16_fpn_1x_ov-coco.py",
    hold_out=dict(ann_file="annotations/instances_train2017.json", img="train2017/"),
)
gate_scale = dict(
    config="detection/gt-box_clip-vit-b16_ov-coco.py",
    target="gt_box/accuracy_target",
    other="gt_box/accuracy_other",
)
score_weights = [(0.1, 0.8), (0.35, 0.65), (0.0, 1.0)]
tests = dict(gt_box=dict(config="detection/gt-box_clip-vit-b16_ov-coco.py"))
metrics = ["ov_coco/base_ap50", "ov_coco/bbox_mAP_50", "gt_box/accuracy_target"]
resume = True
