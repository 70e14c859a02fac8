"""The inferencer says what the models say, for every input, vocabulary and customization."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from react_mm.apis import Inferencer
from react_mm.apis.inferencer import label_map
from react_mm.datasets.images import DamagedImageError
from react_mm.engine.configuration import load_config
from tests.inference_toys import (
    CLASSIFIER,
    DETECTOR,
    EVERY_BOX,
    NAMES,
    SEGMENTOR,
    detector_checkpoint,
    picture,
    write_folder,
    write_gated_delta,
)

PROBE = """
import sys, time
start = time.perf_counter()
import react_mm
assert time.perf_counter() - start < 2
from react_mm.apis import Inferencer
result = Inferencer({config!r}, vocabulary=["cat", "bus"])({image!r})
assert len(result["classes"]) == 2
loaded = {{"mmdet", "mmseg", "faiss"}} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.fixture(scope="module")
def delta(tmp_path_factory):
    return write_gated_delta(tmp_path_factory.mktemp("delta") / "customized.safetensors")


@pytest.fixture(scope="module")
def classifier():
    return Inferencer(CLASSIFIER, vocabulary=NAMES, top=4)


@pytest.fixture(scope="module")
def segmentor():
    return Inferencer(SEGMENTOR, vocabulary=NAMES)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    path = tmp_path_factory.mktemp("detector") / "iter_1.pth"
    meta = dict(classes=NAMES[:2], base_classes=NAMES[:2])
    detector_checkpoint(path, dataset_meta=meta)
    return Inferencer(DETECTOR, path, NAMES, options=EVERY_BOX)


def test_import_is_lazy():
    code = "import sys, react_mm.apis; assert not {'torch', 'mmengine'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(ImportError, match="Inferenzer"):
        from react_mm.apis import Inferenzer  # noqa: F401


def test_classification_needs_no_mmdet(tmp_path):
    picture().save(tmp_path / "a.png")
    code = PROBE.format(config=str(CLASSIFIER), image=str(tmp_path / "a.png"))
    subprocess.run([sys.executable, "-c", code], check=True)


def test_classes_are_those_of_open_clip(classifier):
    """Against the towers' own open_clip models, prompts and preprocessing by hand."""
    from torchvision import transforms as tv

    image = picture(80, 60)
    steps = tv.Compose(
        [
            tv.Resize(64, tv.InterpolationMode.BICUBIC),
            tv.CenterCrop(64),
            tv.ToTensor(),
            tv.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    model = classifier.model
    text_model = model.text_tower.model
    prompts = ["a drawing of a {}", "a picture of a {}", "a {}", "the {}"]
    rows = []
    with torch.no_grad():
        embedded = torch.nn.functional.normalize(model.image_tower.visual(steps(image)[None]))
        for name in NAMES:
            article = [p.replace("a {}", "an {}") if name == "apple" else p for p in prompts]
            tokens = model.text_tower.tokenize([p.format(name) for p in article])
            texts = torch.nn.functional.normalize(text_model.encode_text(tokens))
            rows.append(torch.nn.functional.normalize(texts.mean(0), dim=-1))
        logits = model.logit_scale.exp() * embedded @ torch.stack(rows).T
    expected = logits.softmax(-1)[0]
    found = {entry["name"]: entry["score"] for entry in classifier(image)["classes"]}
    for place, name in enumerate(NAMES):
        assert found[name] == pytest.approx(float(expected[place]), abs=2e-5)
    scores = [entry["score"] for entry in classifier(image)["classes"]]
    assert scores == sorted(scores, reverse=True)


def test_kinds_of_input_agree(detector, tmp_path):
    image = picture()
    image.save(tmp_path / "a.png")
    bgr = np.asarray(image)[..., ::-1].copy()
    by_file = detector(tmp_path / "a.png")
    for other in (image, bgr, str(tmp_path / "a.png")):
        assert detector(other)["objects"] == by_file["objects"]
    assert detector([bgr])[0]["objects"] == by_file["objects"]
    assert len(by_file["objects"]) > 5
    assert (by_file["width"], by_file["height"]) == image.size
    json.dumps(by_file, allow_nan=False)
    rgb = detector(np.asarray(image))  # channels swapped: another picture
    assert rgb["objects"] != by_file["objects"]


def test_detections_are_those_of_the_test_pipeline(detector, tmp_path):
    """The pipeline as tools/test.py builds it, file loader and annotations included."""
    from mmengine.dataset import Compose, pseudo_collate
    from mmengine.registry import DefaultScope

    picture(90, 41, 3).save(tmp_path / "a.png")
    steps = detector.loaded.config.test_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope("mmdet"), torch.no_grad():
        packed = Compose(steps)(dict(img_path=str(tmp_path / "a.png"), img_id=1, instances=[]))
        sample = detector.model.test_step(pseudo_collate([packed]))[0]
    found = detector(tmp_path / "a.png")["objects"]
    assert len(found) == len(sample.pred_instances)
    np.testing.assert_allclose(
        [entry["score"] for entry in found], sample.pred_instances.scores.numpy(), atol=1e-6
    )
    np.testing.assert_allclose(
        [entry["box"] for entry in found], sample.pred_instances.bboxes.numpy(), atol=6e-3
    )
    assert [entry["label"] for entry in found] == sample.pred_instances.labels.tolist()


@pytest.mark.parametrize("kind", ["classifier", "detector", "segmentor"])
def test_a_batch_gives_what_its_images_give_alone(kind, request, tmp_path):
    inferencer = request.getfixturevalue(kind)
    write_folder(tmp_path)
    together = inferencer(tmp_path, batch_size=3)
    alone = inferencer(tmp_path, batch_size=1)
    assert [r["image"] for r in together] == ["0.png", "2.png", "sub/1.png"]
    for a, b in zip(together, alone, strict=True):
        for part in ("classes", "objects", "regions"):
            for x, y in zip(a.get(part, []), b.get(part, []), strict=True):
                assert x["name"] == y["name"]
                if "score" in x:
                    assert x["score"] == pytest.approx(y["score"], abs=1e-4)
                if "box" in x:
                    assert x["box"] == pytest.approx(y["box"], abs=0.05)


def test_vocabulary_changes_at_call_time_and_not_after(detector):
    image = picture()
    first = detector(image)["objects"]
    turned = detector(image, vocabulary=NAMES[::-1])["objects"]
    assert len(turned) == len(first)
    for a, b in zip(turned, first, strict=True):
        assert (a["name"], 3 - a["label"]) == (b["name"], b["label"])
        assert a["score"] == pytest.approx(b["score"], abs=1e-5)
    other = detector(image, vocabulary=["tree"])["objects"]
    assert {o["name"] for o in other} == {"tree"}
    assert detector(image)["objects"] == first


def test_names_file_with_synonyms(classifier, tmp_path):
    (tmp_path / "names.txt").write_text("cat; kitten\nbus\n")
    found = classifier(picture(), vocabulary=tmp_path / "names.txt")["classes"]
    assert {entry["name"] for entry in found} == {"cat", "bus"}
    assert len(classifier.model.class_embeddings) == 3


def test_without_vocabulary_it_says_so():
    with pytest.raises(ValueError, match="no vocabulary"):
        Inferencer(CLASSIFIER)(picture())


def test_checkpoint_brings_classes_and_base_classes(tmp_path):
    meta = dict(classes=("cat", "bus"), base_classes=("cat", "bus"))
    path = detector_checkpoint(tmp_path / "iter_1.pth", dataset_meta=meta)
    inferencer = Inferencer(DETECTOR, path, options=EVERY_BOX)
    assert inferencer.vocabulary.names == ("cat", "bus")
    assert inferencer.model.base_classes == ("cat", "bus")
    as_novel = Inferencer(DETECTOR, path, options=EVERY_BOX, base_classes=[])
    image = picture()
    assert inferencer(image)["objects"] != as_novel(image)["objects"]


def test_weights_that_do_not_fit_are_refused(tmp_path, delta):
    torch.save({"state_dict": {"neck.nothing": torch.zeros(1)}}, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match="neck.nothing"):
        Inferencer(DETECTOR, tmp_path / "odd.pth", NAMES)
    gated = detector_checkpoint(tmp_path / "gated.pth", delta=delta)
    with pytest.raises(ValueError, match="give the delta"):
        Inferencer(DETECTOR, gated, NAMES)
    assert Inferencer(DETECTOR, gated, NAMES, delta=delta).task == "detect"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        Inferencer(DETECTOR, tmp_path / "nowhere.pth", NAMES)


@pytest.mark.parametrize("config", [CLASSIFIER, SEGMENTOR], ids=["classify", "segment"])
def test_customization_on_and_off(config, delta):
    image = picture()

    def scores(**options):
        result = Inferencer(config, vocabulary=NAMES, **options)(image)
        return result.get("classes", result.get("map_png"))

    plain = scores()
    assert scores(delta="none") == plain
    assert scores(delta=delta) != plain
    if config == CLASSIFIER:
        assert scores(delta=delta, gate_scale=0.5) not in (plain, scores(delta=delta))
        for a, b in zip(scores(delta=delta, gate_scale=0.0), plain, strict=True):
            assert (a["name"], a["score"]) == (b["name"], pytest.approx(b["score"], abs=1e-5))


def test_a_config_that_was_read_is_left_alone(delta):
    config = load_config(SEGMENTOR)
    text = config.pretty_text
    changed = {"model.background.threshold": 0.999}
    by_object = Inferencer(config, vocabulary=NAMES, delta=delta, options=changed)
    by_file = Inferencer(SEGMENTOR, vocabulary=NAMES, delta=delta, options=changed)
    assert config.pretty_text == text
    assert by_object(picture())["regions"] == by_file(picture())["regions"]
    assert by_object.key() == by_file.key()


def test_a_delta_replaces_the_tower_of_the_checkpoint(tmp_path, delta):
    """Heads of one checkpoint on the plain and on the customized tower."""
    path = detector_checkpoint(tmp_path / "iter_1.pth")
    image = picture()
    plain = Inferencer(DETECTOR, path, NAMES, options=EVERY_BOX)
    after = Inferencer(DETECTOR, path, NAMES, options=EVERY_BOX, delta=delta)
    heads = [m.roi_head.state_dict() for m in (plain.model, after.model)]
    assert all(torch.equal(heads[0][k], heads[1][k]) for k in heads[0])
    assert plain(image)["objects"] != after(image)["objects"]
    closed = Inferencer(DETECTOR, path, NAMES, options=EVERY_BOX, delta=delta, gate_scale=0.0)
    expected = plain(image)["objects"]
    for a, b in zip(closed(image)["objects"], expected, strict=True):
        assert a["box"] == pytest.approx(b["box"], abs=0.05)


def test_gate_scale_without_gates_is_refused():
    with pytest.raises(ValueError, match="no gates"):
        Inferencer(CLASSIFIER, vocabulary=NAMES, gate_scale=0.5)


def test_segmentation_map_and_counts(segmentor):
    image = picture(75, 41)
    result = segmentor(image)
    labels = label_map(result)
    assert labels.shape == (41, 75)
    assert segmentor.model.vocabulary.names == ("background", *NAMES)
    counted = {entry["label"]: entry["pixels"] for entry in result["regions"]}
    present, pixels = np.unique(labels, return_counts=True)
    assert counted == dict(zip(present.tolist(), pixels.tolist(), strict=True))
    assert sum(entry["share"] for entry in result["regions"]) == pytest.approx(1, abs=1e-4)
    json.dumps(result, allow_nan=False)


def test_damaged_pictures_have_a_reason(classifier, tmp_path):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    picture(200, 200).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    results = {r["image"]: r for r in classifier(tmp_path)}
    assert "0 bytes" in results["empty.jpg"]["rejected"]
    assert "UnidentifiedImageError" in results["text.png"]["rejected"]
    assert "truncated" in results["cut.jpg"]["rejected"]
    assert "classes" in results["whole.jpg"]
    with pytest.raises(DamagedImageError, match="text.png"):
        classifier(tmp_path / "text.png")


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (np.zeros((8, 8, 3), np.float32), ValueError, "uint8"),
        (np.zeros((8, 8, 4), np.uint8), ValueError, "BGR"),
        (3, TypeError, "int"),
        ("nowhere.png", FileNotFoundError, "nowhere.png"),
    ],
)
def test_wrong_inputs_are_named(classifier, wrong, error, words):
    with pytest.raises(error, match=words):
        classifier(wrong)


def test_grey_array_is_a_picture(classifier):
    grey = np.asarray(picture().convert("L"))
    expected = classifier(Image.fromarray(grey))["classes"]
    assert classifier(grey)["classes"] == expected


def test_models_without_names_or_of_given_boxes_are_refused():
    with pytest.raises(ValueError, match="mask_format"):
        Inferencer(CLASSIFIER, mask_format="png")
    with pytest.raises(ValueError, match="score_thr"):
        Inferencer(CLASSIFIER, score_thr=2)
    for name in ("gt-box_toy-vit_toy.py", "proposals_toy-vit_toy.py"):
        with pytest.raises(ValueError, match="given boxes"):
            Inferencer(DETECTOR.with_name(name), vocabulary=NAMES)
