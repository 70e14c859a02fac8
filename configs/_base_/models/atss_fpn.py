# ATSS (arXiv 1912.02424) on a frozen ViT, with a cosine classifier in every cell and the tower's
# own score for the best boxes at test time.
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
    type="react_mm.OpenVocabularyATSS",
    class_embedder=dict(
        type="react_mm.ClassEmbedder",
        text_tower=dict(type="react_mm.CLIPText", arch="ViT-B-16-quickgelu", pretrained="openai"),
        templates="photo",
        cache_dir="work_dirs/class_embeddings",
    ),
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[122.7709383, 116.7460125, 104.09373615],
        std=[68.5005327, 66.6321579, 70.32316305],
        bgr_to_rgb=True,
        pad_size_divisor=1,
    ),
    backbone=dict(
        type="react_mm.CLIPViT",
        arch="ViT-B-16-quickgelu",
        pretrained="openai",
        out_indices=(5, 8, 11),
        dense_mode="maskclip",
    ),
    neck=dict(
        type="react_mm.SimpleFPN",
        in_channels=768,
        out_channels=256,
        scales=(2, 1, 0.5),
        num_outs=5,
    ),
    bbox_head=dict(
        type="react_mm.OpenVocabularyATSSHead",
        embed_dim=512,
        temperature=0.07,
        vlm_temperature=0.01,
        vlm_boxes=1000,
        score_combiner=dict(
            type="react_mm.ScoreCombiner", base=0.35, novel=0.65, activation="sigmoid"
        ),
        in_channels=256,
        stacked_convs=4,
        feat_channels=256,
        anchor_generator=dict(
            type="AnchorGenerator",
            ratios=[1.0],
            octave_base_scale=8,
            scales_per_octave=1,
            strides=[8, 16, 32, 64, 128],
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[0.1, 0.1, 0.2, 0.2],
        ),
        loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        loss_centerness=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
    ),
    # ignore_iof_thr=0.5: boxes that the data set hands over as ignored are no background.
    train_cfg=dict(
        assigner=dict(type="react_mm.IgnoringATSSAssigner", topk=9, ignore_iof_thr=-1),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=10_000,
        min_bbox_size=0,
        score_thr=0.001,
        nms=dict(type="nms", iou_threshold=0.6),
        max_per_img=100,
    ),
)
