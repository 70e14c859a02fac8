# F-VLM on CLIP ViT-L/14: its cells are 14 pixels wide, so the pyramid's strides are 3.5 to 56.
_base_ = ["./fvlm_clip-vit-b16_fpn_1x_ov-coco.py"]

clip = dict(arch="ViT-L-14-quickgelu")
strides = [3.5, 7, 14, 28, 56]
model = dict(
    class_embedder=dict(text_tower=clip),
    backbone=dict(**clip, out_indices=(6, 10, 14, 23)),
    neck=dict(in_channels=1024),
    rpn_head=dict(anchor_generator=dict(strides=strides)),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=strides[:4]), bbox_head=dict(embed_dim=768)
    ),
)
