# F-VLM at the size of the drawn world, with the fusion and box head its figures were measured with.
_base_ = ["./fvit_fpn.py"]

toy = dict(arch="toy-vit", pretrained="drawn-world")
model = dict(
    class_embedder=dict(text_tower=toy, templates="drawn", cache_dir=None),
    backbone=dict(**toy, out_indices=(-1,), dense_mode="local"),
    neck=dict(in_channels=128, out_channels=64, scales=(2, 1), num_outs=2),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        num_convs=1,
        anchor_generator=dict(scales=[3, 4.5], strides=[4, 8]),
    ),
    roi_head=dict(
        vlm_temperature=0.01,
        vlm_roi_size=7,
        bbox_roi_extractor=dict(
            out_channels=64,
            featmap_strides=[4, 8],
            finest_scale=16,
            roi_layer=dict(output_size=4),
        ),
        bbox_head=dict(
            in_channels=64,
            fc_out_channels=256,
            roi_feat_size=4,
            embed_dim=128,
            num_shared_convs=0,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=48)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50)),
)
