"""Configs of trained detectors: unreduced on the meta device, reduced for a step and a test."""

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.datasets.base_novel import OV_COCO_BASE, OV_COCO_NOVEL
from react_mm.engine.configuration import load_config
from react_mm.engine.launching import build_runner
from react_mm.models.score_combiner import PUBLISHED
from tests.dense_towers import HashEmbedder
from tests.detection_data import DETECTION, reduced

# all parameters, trained parameters, classes to train and to test
DETECTORS = {
    "atss_clip-vit-b16_fpn_1x_ov-coco": (94_502_540, 8_309_900, 48, 65),
    "atss_toy-vit_fpn_toy": (1_518_089, 278_537, 42, 48),
    "fvit_clip-vit-b16-windows_fpn_3e_1024_ov-coco": (110_066_324, 23_873_684, 48, 65),
    "fvit_clip-vit-b16_fpn_3e_ov-coco": (110_066_324, 23_873_684, 48, 65),
    "fvit_clip-vit-b16_fpn_48e_ov-lvis": (110_066_324, 23_873_684, 866, 1203),
    "fvlm_clip-rn50_fpn_1x_ov-coco": (59_106_420, 20_789_524, 48, 65),
    "fvlm_clip-vit-b16_fpn_1x_ov-coco": (109_016_724, 22_824_084, 48, 65),
    "fvlm_clip-vit-l14_fpn_1x_ov-coco": (329_543_956, 25_577_748, 48, 65),
    "fvlm_toy-vit_fpn_toy": (1_760_035, 520_483, 42, 48),
    "mask-rcnn_clip-vit-b16_fpn_48e_ov-lvis": (112_689_301, 26_496_661, 866, 1203),
    "mask-rcnn_toy-vit_fpn_toy": (1_850_404, 610_852, 42, 48),
}
PREFIXES = ("atss", "fvit", "fvlm", "mask-rcnn")
stems = pytest.mark.parametrize("stem", DETECTORS)


def config_of(stem, options=None):
    return load_config(DETECTION / f"{stem}.py", options)


def test_the_table_is_whole():
    found = {p.stem for p in DETECTION.glob("*.py") if p.stem.startswith(PREFIXES)}
    assert found == set(DETECTORS)


@stems
def test_unreduced_on_the_meta_device(stem):
    parameters, trained, base, classes = DETECTORS[stem]
    config = config_of(stem)
    init_default_scope("mmdet")
    with torch.device("meta"):
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.parameters()) == parameters
    own = {n: p.numel() for n, p in model.named_parameters() if p.requires_grad}
    assert sum(own.values()) == trained
    assert not any(n.startswith("backbone") for n in own)
    # The split is the data set's own list; its classes reach the last layer.
    data = config.train_dataloader.dataset
    data = data.get("dataset", data)
    assert data.only_base
    if stem.endswith("ov-coco"):
        assert (len(OV_COCO_BASE), len(OV_COCO_BASE + OV_COCO_NOVEL)) == (base, classes)
        assert data.novel == config.test_dataloader.dataset.novel == "ov-coco"
    elif stem.endswith("ov-lvis"):
        assert data.type == "react_mm.OpenVocabularyLVISDataset"
        assert config.test_evaluator.type == "react_mm.OpenVocabularyLVISMetric"
    model.class_embedder = HashEmbedder(model.backbone.embed_dim)
    classifier = model.named_head.classifier
    for count in (base, classes):
        model.set_vocabulary([f"class {i}" for i in range(count)])
        width = classifier.embed.in_features
        dense = stem.startswith("atss")
        shape = (2, width, 4, 4) if dense else (2, width)
        logits = classifier(torch.empty(shape, device="meta"))
        assert logits.shape == ((2, count, 4, 4) if dense else (2, count + 1))
    if stem.startswith("mask"):
        assert model.roi_head.mask_head.conv_logits.out_channels == 1


@stems
def test_fusion_is_the_published_one(stem):
    config = config_of(stem).model
    head = config.get("roi_head", config.get("bbox_head"))
    combiner = dict(head.score_combiner)
    if stem.startswith("fvlm_clip"):
        assert PUBLISHED["f-vlm"].items() <= combiner.items()
        assert (head.vlm_temperature, head.detector_temperature) == (0.01, 0.01)
        assert head.bbox_head.background_weight == 0.9
        rcnn = config.test_cfg.rcnn
        assert (rcnn.nms.iou_threshold, rcnn.score_thr) == (0.5, 0.0)
    elif stem.endswith("ov-lvis"):
        assert PUBLISHED["f-vit-b_ov-lvis"].items() <= combiner.items()
        assert head.vlm_temperature == 1 / 50
        rcnn = config.test_cfg.rcnn
        assert (rcnn.nms.iou_threshold, rcnn.score_thr, rcnn.max_per_img) == (0.5, 1e-4, 300)
    elif stem.startswith("fvit"):
        assert PUBLISHED["f-vit_ov-coco"].items() <= combiner.items()
        assert head.vlm_temperature == 1 / 75 and head.bbox_head.background_weight == 0.6
        rcnn = config.test_cfg.rcnn
        assert (rcnn.nms.iou_threshold, rcnn.score_thr) == (0.4, 0.01)
        assert config.backbone.out_indices == (3, 5, 7, 11)
    elif stem.startswith("atss"):
        assert combiner["activation"] == "sigmoid"


def test_anchors_regions_and_pyramid_have_the_same_strides():
    """ViT-L/14's cells are 14 pixels wide: the pyramid starts at 3.5."""
    for stem, stride in (
        ("fvlm_clip-vit-l14_fpn_1x_ov-coco", 14),
        ("fvlm_clip-vit-b16_fpn_1x_ov-coco", 16),
    ):
        model = config_of(stem).model
        strides = [stride / s for s in (4, 2, 1, 0.5, 0.25)]
        assert model.rpn_head.anchor_generator.strides == strides
        assert model.roi_head.bbox_roi_extractor.featmap_strides == strides[:4]


@stems
def test_one_step_and_one_test_image(tmp_path, stem):
    config = config_of(stem, reduced(stem, tmp_path))
    config.work_dir = str(tmp_path / "work")
    config.launcher = "none"
    runner = build_runner(config)
    frozen = {k: v.clone() for k, v in runner.model.backbone.state_dict().items()}
    runner.train()
    assert 1 <= runner.iter <= 2
    after = runner.model.backbone.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in frozen.items())
    loss = runner.message_hub.get_scalar("train/loss").current()
    assert np.isfinite(loss) and loss > 0
    metrics = runner.test()
    names = set(runner.test_dataloader.dataset.metainfo["novel_classes"])
    assert names and names < set(runner.model.vocabulary.names)
    wanted = {"ov_coco/base_ap50", "ov_coco/novel_ap50", "ov_coco/bbox_mAP_50"}
    if stem.endswith("ov-lvis"):
        wanted = {f"ov_lvis/bbox_{n}" for n in ("AP", "APr", "APc", "APf")}
        wanted |= {"ov_lvis/segm_APr"} if stem.startswith("mask") else set()
    assert wanted <= set(metrics)
    assert all(np.isfinite(metrics[name]) for name in wanted)
    if not stem.endswith("_toy"):
        assert list((tmp_path / "cache").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.roi_head.score_combiner.nove", "did you mean novel"),
        ("model.roi_head.vlm_temprature", "did you mean vlm_temperature"),
        ("model.backbone.gate_scal", "did you mean gate_scale"),
        ("model.class_embedder.cachedir", "did you mean cache_dir"),
        ("model.train_cfg.rcnn.assigner.ignore_iof", "did you mean ignore_iof_thr"),
        ("train_dataloader.dataset.novl", "did you mean novel"),
    ],
)
def test_broken_key_is_refused_by_name(option, message):
    with pytest.raises(KeyError, match=message):
        config_of("fvit_clip-vit-b16_fpn_3e_ov-coco", {option: 1})


def test_broken_class_list_is_refused_by_name(tmp_path):
    stem = "atss_toy-vit_fpn_toy"
    options = reduced(stem, tmp_path)
    (tmp_path / "target.txt").write_text("eels\n")
    config = config_of(stem, options)
    config.work_dir, config.launcher = str(tmp_path / "work"), "none"
    with pytest.raises(ValueError, match=r"eels.*did you mean eel"):
        build_runner(config).test()


def test_ignored_boxes_that_no_assigner_asks_for_are_refused():
    novel = {"train_dataloader.dataset.ignore_novel": True}
    for stem, keys in (
        ("atss_toy-vit_fpn_toy", ["assigner"]),
        ("fvlm_toy-vit_fpn_toy", ["rpn.assigner", "rcnn.assigner"]),
    ):
        keys = [f"model.train_cfg.{key}.ignore_iof_thr" for key in keys]
        with pytest.raises(ValueError, match=" and ".join(keys)):
            config_of(stem, novel)
        assert config_of(stem, {**novel, **dict.fromkeys(keys, 0.5)})


@pytest.mark.parametrize("stem", ["atss_toy-vit_fpn_toy", "fvlm_toy-vit_fpn_toy"])
def test_ignored_novel_boxes_change_what_is_learned(tmp_path, stem):
    """From the file of a data set to the loss: the same step with and without the option."""
    options = reduced(stem, tmp_path)
    whole = "scenes/annotations/instances_train.json"
    thresholds = ["model.train_cfg.assigner"] if stem.startswith("atss") else []
    thresholds = thresholds or [f"model.train_cfg.{part}.assigner" for part in ("rpn", "rcnn")]
    losses = []
    for run, threshold in enumerate((0.0, 0.0, 0.5)):
        changed = {f"{name}.ignore_iof_thr": threshold for name in thresholds}
        if threshold:
            changed["train_dataloader.dataset.ignore_novel"] = str(tmp_path / whole)
        config = config_of(stem, {**options, **changed})
        config.work_dir, config.launcher = str(tmp_path / str(run)), "none"
        config.train_dataloader.dataset.pipeline[2].prob = 0.0
        runner = build_runner(config)
        runner.train()
        losses.append(runner.message_hub.get_scalar("train/loss_cls").current())
    assert losses[0] == losses[1] != losses[2]
