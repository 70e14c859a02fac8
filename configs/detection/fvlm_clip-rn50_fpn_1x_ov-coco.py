# F-VLM as published: CLIP's ResNet-50, FPN, and its frozen attention pooling on 7 x 7 regions.
_base_ = ["./fvlm_clip-vit-b16_fpn_1x_ov-coco.py"]

clip = dict(arch="RN50-quickgelu", pretrained="openai")
model = dict(
    class_embedder=dict(text_tower=clip),
    backbone=dict(_delete_=True, type="react_mm.CLIPResNet", **clip, out_indices=(0, 1, 2, 3)),
    neck=dict(
        _delete_=True,
        type="FPN",
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=5,
    ),
    roi_head=dict(bbox_head=dict(embed_dim=1024)),
)
