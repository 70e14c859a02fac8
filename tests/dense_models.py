"""Small random detectors and segmentors for the tests, gates open."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from tests.dense_towers import HashEmbedder, open_gates, shake, write_architecture

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def model_config(folder, base, **changes):
    """The model of a base config on the small 'plain' tower."""
    config = Config.fromfile(str(CONFIGS / "_base_" / "models" / base))
    arch = write_architecture(folder, "plain")
    tower = dict(arch=arch, pretrained=None)
    config.merge_from_dict(dict(model=dict(backbone=tower, **changes)))
    config.model.class_embedder.text_tower.update(tower)
    return config.model


def finish(model, classes, base=None):
    """Opens gates, shakes all weights, sets a vocabulary of random class embeddings."""
    shake(model.backbone)
    open_gates(model.backbone)
    model.class_embedder = HashEmbedder(model.backbone.embed_dim)
    if base is not None:
        model.set_base_classes(base)
    model.set_vocabulary(classes)
    return model.eval()


SMALL_PYRAMID = dict(neck=dict(in_channels=48, out_channels=16, scales=(2, 1), num_outs=2))
SMALL_RCNN = dict(
    rpn_head=dict(
        in_channels=16,
        feat_channels=16,
        anchor_generator=dict(scales=[2, 4], strides=[8, 16]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=16, featmap_strides=[8, 16], roi_layer=dict(output_size=3)
        ),
        bbox_head=dict(
            in_channels=16,
            conv_out_channels=16,
            fc_out_channels=32,
            roi_feat_size=3,
            embed_dim=24,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=32)),
        rpn_proposal=dict(nms_pre=100, max_per_img=30),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=30), rcnn=dict(score_thr=0.0, max_per_img=40)),
)
SMALL_MASKS = dict(
    roi_head=dict(
        mask_roi_extractor=dict(
            out_channels=16, featmap_strides=[8, 16], roi_layer=dict(output_size=4)
        ),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16),
    ),
    train_cfg=dict(rcnn=dict(mask_size=8)),
)
SMALL_ATSS = dict(
    bbox_head=dict(
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
        embed_dim=24,
        norm_cfg=dict(type="GN", num_groups=4, requires_grad=True),
        anchor_generator=dict(octave_base_scale=3, strides=[8, 16]),
        vlm_boxes=60,
    ),
    test_cfg=dict(score_thr=0.0, max_per_img=40),
)
KINDS = ("fvlm", "fvit", "mask", "atss")


def detector_config(folder, kind="fvit", **changes):
    """The small model of a kind: F-VLM, F-ViT, Mask R-CNN (F-ViT) or ATSS."""
    bases = dict(fvlm="fvlm_fpn.py", fvit="fvit_fpn.py", mask="mask-rcnn_fpn.py")
    parts = dict(SMALL_PYRAMID, **(SMALL_ATSS if kind == "atss" else SMALL_RCNN))
    config = model_config(folder, bases.get(kind, "atss_fpn.py"), **parts)
    whole = Config(dict(model=config))
    if kind == "mask":
        whole.merge_from_dict(dict(model=SMALL_MASKS))
    whole.merge_from_dict(dict(model=changes))
    whole.model.backbone.out_indices = (1, 3)
    whole.model.class_embedder.cache_dir = None
    return whole.model


def small_detector(
    folder, classes=("cat", "dog", "bee"), base=("cat", "dog"), seed=0, kind="fvit", **changes
):
    """A detector of a kind on a 4-block tower of stride 16, all weights shaken."""
    config = detector_config(folder, kind, **changes)
    init_default_scope("mmdet")
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    shake(model.neck, 5), shake(model.named_head, 7)
    if hasattr(model, "rpn_head"):
        shake(model.rpn_head, 6)
    return finish(model, classes, base)


def small_gt_box_classifier(
    folder, classes=("cat", "dog", "bee"), base="gt_box.py", tower=None, **changes
):
    """GT-box (or proposal) classifier on the small tower, or on another without gates."""
    init_default_scope("mmdet")
    torch.manual_seed(0)
    config = model_config(folder, base, **changes)
    if tower is None:
        return finish(MODELS.build(config), classes)
    config.backbone = tower
    model = MODELS.build(config)
    shake(model.backbone)
    model.class_embedder = HashEmbedder(model.backbone.embed_dim)
    model.set_vocabulary(classes)
    return model.eval()


def small_segmentor(folder, classes=("background", "cat", "dog", "bee"), **changes):
    """Training-free segmentor on the small tower."""
    init_default_scope("mmseg")
    torch.manual_seed(0)
    config = model_config(folder, "training_free_segmentor.py", **changes)
    return finish(MODELS.build(config), classes)


def detection_sample(height, width, seed=0, boxes=3, classes=2):
    """One image (uint8 BGR) with boxes and their masks, as mmdet's pipelines pack it."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8))
    corner = rng.uniform(0, [width * 0.5, height * 0.5], (boxes, 2))
    extent = rng.uniform([width * 0.2, height * 0.2], [width * 0.5, height * 0.5], (boxes, 2))
    sample = DetDataSample(
        metainfo=dict(
            img_id=seed,
            img_path=f"{seed}.png",
            ori_shape=(height, width),
            img_shape=(height, width),
            scale_factor=(1.0, 1.0),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor(np.concatenate([corner, corner + extent], 1), dtype=torch.float32),
        labels=torch.from_numpy(rng.integers(0, classes, boxes)),
    )
    masks = np.zeros((boxes, height, width), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, sample.gt_instances.bboxes.int(), strict=True):
        mask[y1:y2, x1:x2] = 1
    sample.gt_instances.masks = BitmapMasks(masks, height, width)
    return image, sample


def segmentation_sample(height, width, seed=0):
    """One image (uint8 BGR), as mmseg's pipelines pack it."""
    from mmseg.structures import SegDataSample

    rng = np.random.default_rng(seed)
    image = torch.from_numpy(rng.integers(0, 256, (3, height, width), dtype=np.uint8))
    meta = dict(ori_shape=(height, width), img_shape=(height, width), img_path=f"{seed}.png")
    return image, SegDataSample(metainfo=meta)


def batch_of(pairs):
    """What a loader with mmengine's pseudo collate gives."""
    images, samples = zip(*pairs, strict=True)
    return dict(inputs=list(images), data_samples=list(samples))
