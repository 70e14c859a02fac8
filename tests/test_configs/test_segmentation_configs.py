"""Every segmentation config: built unreduced on the meta device, and run on drawn data.

In the runs only paths, sizes, iterations and widths are others.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

import react_mm  # noqa: F401  (first: mmcv's operators)
import react_mm.registry  # noqa: F401
from react_mm.engine.configuration import load_config
from react_mm.prompts import read_concepts
from react_mm.segmentation_sets import class_file, set_names
from tests.dense_towers import ARCHITECTURES, HashEmbedder
from tests.segmentation_files import LAYOUT, write_set

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "segmentation"
PATHS = sorted(p for p in CONFIGS.glob("*.py") if "_lite_" not in p.name)
TOWERS = {"clip-vit-b16": 86_192_640, "toy-vit": 1_239_552}
HEADS = {  # unreduced weights of the heads
    "cosine-head_clip-vit-b16": 1_443_585,
    "cost-aggregation_clip-vit-b16": 167_458,
    "cosine-head_toy-vit": 53_569,
    "cost-aggregation_toy-vit": 3_866,
}
SMALL_HEAD = dict(embed_dim=24, channels=8)


def parts(path):
    """Method, tower and data of a config's name."""
    method, tower, data = path.stem.split("_", 2)
    return method, tower, data


def build(config):
    init_default_scope(config.default_scope)
    return MODELS.build(config.model)


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_builds_unreduced_on_the_meta_device(path):
    config = load_config(path)
    with torch.device("meta"):
        model = build(config)
    method, tower, data = parts(path)
    assert all(p.is_meta for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if hasattr(model, "decode_head"):
        assert trained == sum(p.numel() for p in model.decode_head.parameters())
        assert trained == HEADS[f"{method}_{tower}"]
        assert all(hook.type for hook in config.default_hooks.values())
        assert config.train_cfg.max_iters and config.train_dataloader.dataset.get("only_seen", True)
    else:
        assert trained == 0
        assert config.get("train_dataloader") is None
    counted = sum(p.numel() for p in model.backbone.parameters())
    assert counted == TOWERS[tower]
    if method in ("maskclip", "sclip", "naclip", "clearclip", "naclip-pamr") and tower != "toy-vit":
        assert model.backbone.dense_mode == method.removesuffix("-pamr")
    dataset = config.test_dataloader.dataset
    name = dataset.get("benchmark")
    if name:
        assert name in set_names() and data.startswith(name)
        with_background = read_concepts(class_file(name)).names[0] == "background"
        assert bool(model.background) == with_background
    given = config.model.data_preprocessor
    for key in ("mean", "std"):
        values = torch.tensor(given[key]) / 255
        torch.testing.assert_close(values, torch.tensor(model.backbone.preprocess[key]))
    assert given.bgr_to_rgb
    assert len(path.read_text().splitlines()) <= 40
    assert config.test_evaluator.type == "react_mm.SegmentationIoU"
    assert "react_mm.VocabularyHook" in {hook.type for hook in config.custom_hooks}


def test_every_method_has_every_set():
    have = {p.stem for p in PATHS}
    for method in ("maskclip", "sclip", "naclip", "clearclip", "proxyclip"):
        assert {f"{method}_clip-vit-b16_{name}" for name in set_names()} <= have


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Each set once, for all configs; and a small tower."""
    folder = tmp_path_factory.mktemp("drawn")
    for name in LAYOUT:
        for seed, part in enumerate(("train", "val")):
            write_set(folder / name, name, part, seed=seed)
    own = folder / "my-folder"
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for kind, end in (("images", ".jpg"), ("masks", ".png")):
            (own / part / kind).mkdir(parents=True)
            pixels = rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)
            pixels = pixels if kind == "images" else pixels[..., 0] % 3
            Image.fromarray(pixels).save(own / part / kind / f"a{end}")
    (own / "names.txt").write_text("cat; kitten\ndog\n")
    toy = folder / "toy"
    for part in ("train", "test"):
        for kind in ("scenes", "scenes/semantic"):
            (toy / kind / part).mkdir(parents=True)
            pixels = rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)
            pixels = pixels if kind == "scenes" else pixels[..., 0] % 4
            Image.fromarray(pixels).save(toy / kind / part / "a.png")
    (toy / "concepts.txt").write_text("cat\ndog\nbee\n")
    (toy / "target.txt").write_text("bee\n")
    (folder / "plain.json").write_text(json.dumps(ARCHITECTURES["plain"]))
    return folder


def reduced(path, folder):
    """The config with other paths, sizes, iterations and widths."""
    config = load_config(path)
    method, tower, data = parts(path)
    own = dict(arch=str(folder / "plain.json"), pretrained=None)
    model = config.model
    model.backbone.update(own)
    model.class_embedder.text_tower.update(own)
    if "out_indices" in model.backbone:
        model.backbone.out_indices = (-1,)
    if "proxy" in model:
        small = dict(embed_dim=24, depth=1, num_heads=2, img_size=32)
        model.proxy.update(pretrained=False, options=small)
    if "decode_head" in model:
        model.decode_head.update(SMALL_HEAD)
        if model.decode_head.get("tap_channels"):
            model.decode_head.tap_channels = 48
    if "refinement" in model:
        model.refinement.update(iterations=2, dilations=(1,))
    if model.test_cfg.mode == "slide":
        model.test_cfg.update(crop_size=(48, 48), stride=(32, 32))
    sets = [n for n in LAYOUT if data.startswith(n)]
    root = str(folder / (sets[-1] if sets else data))
    for name in ("train_dataloader", "test_dataloader"):
        loader = config.get(name)
        if loader is None:
            continue
        loader.dataset.data_root = root
        for key in ("concepts", "novel"):
            if key in loader.dataset:
                loader.dataset[key] = f"{root}/{Path(loader.dataset[key]).name}"
        for step in loader.dataset.pipeline:
            if "scale" in step:
                step.scale = (2048, 48)
            if "crop_size" in step:
                step.crop_size = (48, 48)
    return config


def train_twice(config, model):
    """Two steps on the first training image: the last layers start at zero."""
    before = [p.clone() for p in model.parameters() if p.requires_grad]
    _, batch = load(config.train_dataloader.dataset, model)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        data = model.data_preprocessor(batch, training=True)
        losses = model.train().loss(data["inputs"], data["data_samples"])
        sum(v for k, v in losses.items() if "loss" in k).backward()
        optimizer.step()
    after = [p for p in model.parameters() if p.requires_grad]
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


def load(dataset_config, model):
    """One item of the data set, and its vocabulary on the model, as VocabularyHook sets it."""
    from mmengine.registry import DATASETS

    data = DATASETS.build(dataset_config)
    model.set_base_classes(data.metainfo.get("base_classes", ()))
    model.set_vocabulary(data.metainfo["classes"], data.metainfo.get("synonyms"))
    item = data[0]
    return data, dict(inputs=[item["inputs"]], data_samples=[item["data_samples"]])


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_runs_on_drawn_data(path, drawn):
    from mmengine.registry import METRICS

    torch.manual_seed(0)
    config = reduced(path, drawn)
    model = build(config)
    model.class_embedder = HashEmbedder(24)
    model.init_weights()
    if config.get("train_dataloader"):
        train_twice(config, model)
    data, batch = load(config.test_dataloader.dataset, model.eval())
    (sample,) = model.test_step(batch)
    classes = len(data.metainfo["classes"])
    assert sample.seg_logits.shape == sample.gt_sem_seg.shape == (40, 56)
    assert sample.seg_logits.data.shape[0] == classes
    assert torch.isfinite(sample.seg_logits.data).all()
    metric = METRICS.build(config.test_evaluator)
    metric.dataset_meta = data.metainfo
    metric.process({}, [sample.to_dict()])
    figures = metric.evaluate(1)
    assert 0 <= figures["segmentation/mIoU"] <= 1
    if data.metainfo["novel_classes"]:
        assert "segmentation/mIoU_harmonic" in figures


@pytest.mark.parametrize("name", ["voc20", "coco-object"])
def test_wrong_class_list_is_refused_by_name(name, drawn, tmp_path):
    from mmengine.registry import DATASETS

    names = list(read_concepts(class_file(name)).names)
    names[3], names[4] = names[4], names[3]
    (tmp_path / "names.txt").write_text("\n".join(names))
    config = reduced(CONFIGS / f"sclip_clip-vit-b16_{name}.py", drawn)
    config.test_dataloader.dataset.names = str(tmp_path / "names.txt")
    init_default_scope("mmseg")
    with pytest.raises(ValueError, match=f"class 4 is '{names[3]}', the label of that number is"):
        DATASETS.build(config.test_dataloader.dataset)


@pytest.mark.skipif(find_spec("efficientnet_lite_pytorch") is None, reason="needs the extra lite")
@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*_lite_*.py")), ids=lambda p: p.stem)
def test_lite_configs_run_on_drawn_data(path, drawn, tmp_path, monkeypatch):
    mini = tmp_path / "coco_mini"
    for kind, source, end in (("val", "images", ".jpg"), ("semantic/val", "masks", ".png")):
        (mini / kind).mkdir(parents=True)
        content = (drawn / "my-folder" / "val" / source / f"a{end}").read_bytes()
        (mini / kind / f"a{end}").write_bytes(content)
    listed = "classes: {0: void, 1: person, 2: sky-other-merged}"
    (mini / "semantic" / "classes_config.yaml").write_text(listed)
    monkeypatch.setenv("REACT_MM_DATA", str(tmp_path))
    config = load_config(path)
    for name in ("train_dataloader", "test_dataloader"):
        dataset = (config.get(name) or {}).get("dataset")
        if dataset and "concepts" in dataset:
            root = str(drawn / "my-folder")
            dataset.update(data_root=root, concepts=f"{root}/names.txt")
            for step in dataset.pipeline:
                step.update({k: (2048, 96) for k in ("scale",) if k in step})
                step.update({k: (96, 96) for k in ("crop_size",) if k in step})
    model = build(config)
    model.class_embedder = HashEmbedder(384)
    model.init_weights()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    head = sum(p.numel() for p in getattr(model, "decode_head", torch.nn.Identity()).parameters())
    assert trained == head == (394_241 if path.stem.startswith("cosine-head") else 0)
    if head:
        train_twice(config, model)
    data, batch = load(config.test_dataloader.dataset, model.eval())
    (sample,) = model.test_step(batch)
    assert sample.pred_sem_seg.shape == (40, 56)
    assert len(sample.seg_logits.data) == len(data.metainfo["classes"])
