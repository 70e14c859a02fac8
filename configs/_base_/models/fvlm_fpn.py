# F-VLM on a frozen ViT (arXiv 2209.15639): SimpleFPN, RPN of two convolutions, box head of four and
# one fc, class-agnostic boxes, cosine classifier, and the tower's own score at test time.
_base_ = ["mmdet::_base_/models/faster-rcnn_r50_fpn.py"]

custom_imports = dict(
    imports=[
        "react_mm.models.detectors",
        "react_mm.datasets.detection",
        "react_mm.datasets.lvis_detection",
        "react_mm.evaluation.ov_coco",
        "react_mm.evaluation.ov_lvis",
        "react_mm.engine",
    ],
    allow_failed_imports=False,
)
custom_hooks = [dict(type="react_mm.VocabularyHook")]

model = dict(
    type="react_mm.OpenVocabularyRCNN",
    class_embedder=dict(
        type="react_mm.ClassEmbedder",
        text_tower=dict(type="react_mm.CLIPText", arch="ViT-B-16-quickgelu", pretrained="openai"),
        templates="photo",
        cache_dir="work_dirs/class_embeddings",
    ),
    data_preprocessor=dict(
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(
        _delete_=True,
        type="react_mm.CLIPViT",
        arch="ViT-B-16-quickgelu",
        pretrained="openai",
        out_indices=(3, 5, 7, 11),
        dense_mode="maskclip",
    ),
    neck=dict(
        _delete_=True, type="react_mm.SimpleFPN", in_channels=768, out_channels=256, num_outs=5
    ),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        type="react_mm.OpenVocabularyRoIHead",
        vlm_temperature=0.01,
        detector_temperature=0.01,
        score_combiner=dict(
            type="react_mm.ScoreCombiner", base=0.35, novel=0.65, background="detector"
        ),
        bbox_head=dict(
            type="react_mm.OpenVocabularyBBoxHead",
            embed_dim=512,
            temperature=0.01,
            background_weight=0.9,
            num_shared_convs=4,
            num_shared_fcs=1,
        ),
    ),
    # ignore_iof_thr=0.5 in both: boxes that the data set hands over as ignored are no background.
    train_cfg=dict(
        rpn=dict(assigner=dict(type="react_mm.IgnoringMaxIoUAssigner", ignore_iof_thr=-1)),
        rcnn=dict(assigner=dict(type="react_mm.IgnoringMaxIoUAssigner", ignore_iof_thr=-1)),
    ),
    test_cfg=dict(
        rcnn=dict(score_thr=0.0, nms=dict(type="nms", iou_threshold=0.5), nms_pre=10_000)
    ),
)
