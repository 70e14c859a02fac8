# Mask R-CNN on the drawn world, whose scenes come with masks.
_base_ = ["./fvlm_toy-vit_fpn_toy.py"]

model = dict(
    type="react_mm.OpenVocabularyMaskRCNN",
    data_preprocessor=dict(pad_mask=True),
    roi_head=dict(
        mask_roi_extractor=dict(
            type="SingleRoIExtractor",
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=0),
            out_channels=64,
            featmap_strides=[4, 8],
            finest_scale=16,
        ),
        mask_head=dict(
            type="FCNMaskHead",
            num_convs=2,
            in_channels=64,
            conv_out_channels=64,
            loss_mask=dict(type="CrossEntropyLoss", use_mask=True, loss_weight=1.0),
        ),
    ),
    train_cfg=dict(rcnn=dict(mask_size=14)),
    test_cfg=dict(rcnn=dict(mask_thr_binary=0.5)),
)
pipeline = _base_.train_dataloader.dataset.pipeline
pipeline[1]["with_mask"] = True
train_dataloader = dict(dataset=dict(pipeline=pipeline))
