"""Parts of mmdet's common detectors that call the operators, as their configs build them."""

import pytest
import torch
from mmengine.registry import init_default_scope

import react_mm  # noqa: F401  (installs the finder)


@pytest.mark.parametrize("kind", ["DCN", "DCNv2"])
def test_resnet_with_deformable_stages_trains(kind):
    """As in mmdet's `dcn/` and `dcnv2/` configs, narrow."""
    from mmdet.registry import MODELS

    init_default_scope("mmdet")
    backbone = MODELS.build(
        dict(
            type="ResNet",
            depth=50,
            stem_channels=4,
            base_channels=4,
            norm_cfg=dict(type="BN", requires_grad=True),
            norm_eval=True,
            dcn=dict(type=kind, deform_groups=1, fallback_on_stride=False),
            stage_with_dcn=(False, True, True, True),
        )
    )
    image = torch.randn(2, 3, 75, 49)  # odd sizes
    before = [level.detach() for level in backbone(image)]
    optimizer = torch.optim.SGD(backbone.parameters(), lr=0.01)
    sum(level.square().mean() for level in backbone(image)).backward()
    offsets = [p for name, p in backbone.named_parameters() if "conv_offset" in name]
    assert len(offsets) == 2 * (4 + 6 + 3)
    assert any(p.grad.abs().sum() > 0 for p in offsets)
    optimizer.step()
    after = backbone(image)
    assert [tuple(level.shape[2:]) for level in after] == [(19, 13), (10, 7), (5, 4), (3, 2)]
    assert all(not torch.equal(a, b) for a, b in zip(before[1:], after[1:], strict=True))


def test_faster_rcnns_test_config_with_soft_nms():
    """As in mmdet's `faster-rcnn_r50_fpn_soft-nms` config."""
    from mmdet.models.layers import multiclass_nms

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [30, 30, 40, 40]])
    scores = torch.tensor([[0.9, 0.1, 0.0], [0.8, 0.7, 0.1], [0.1, 0.6, 0.3]])
    soft, _ = multiclass_nms(boxes, scores, 0.05, dict(type="soft_nms", iou_threshold=0.5), 100)
    hard, _ = multiclass_nms(boxes, scores, 0.05, dict(type="nms", iou_threshold=0.5), 100)
    assert len(soft) == 6 and len(hard) == 4
    # The neighbour of the best box overlaps it by 81 / 119 and keeps the rest of its score.
    rest = 38 / 119
    assert soft[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.6, 0.8 * rest, 0.1, 0.1 * rest])


def test_deformable_detrs_encoder_layer():
    """The CPU path is mmcv's own; what counts is that the module builds and trains without _ext."""
    from mmdet.models.layers.transformer import DeformableDetrTransformerEncoder

    encoder = DeformableDetrTransformerEncoder(
        num_layers=1,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=8, num_heads=2, num_levels=2, batch_first=True),
            ffn_cfg=dict(embed_dims=8, feedforward_channels=16),
        ),
    )
    tokens = torch.randn(2, 23, 8)
    out = encoder(
        query=tokens,
        query_pos=torch.zeros_like(tokens),
        key_padding_mask=torch.zeros(2, 23, dtype=torch.bool),
        spatial_shapes=torch.tensor([(5, 3), (2, 4)]),
        level_start_index=torch.tensor([0, 15]),
        valid_ratios=torch.ones(2, 2, 2),
    )
    out.square().sum().backward()
    assert out.shape == tokens.shape
    attention = encoder.layers[0].self_attn
    assert all(p.grad is not None for p in attention.parameters())
