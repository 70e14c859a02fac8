"""Folder runs: each image once, killed runs go on, what changed is done again."""

import json

import pytest

from react_mm.apis import Inferencer
from react_mm.apis.inference_folder import read_results, result_path
from react_mm.apis.inferencer import label_map
from react_mm.datasets.images import DamagedImageError
from react_mm.manifest import Manifest, ManifestError, RunLock
from tests.inference_toys import CLASSIFIER, NAMES, SEGMENTOR, picture, write_folder


@pytest.fixture(scope="module")
def inferencer():
    return Inferencer(CLASSIFIER, vocabulary=NAMES)


@pytest.fixture
def images(tmp_path):
    write_folder(tmp_path / "images")
    return tmp_path / "images"


def asked(inferencer, monkeypatch):
    """Notes which images the model is asked about."""
    seen = []
    original = Inferencer._prepared

    def noted(self, image, name):
        seen.append(name)
        return original(self, image, name)

    monkeypatch.setattr(Inferencer, "_prepared", noted)
    return seen


def test_a_folder_once(inferencer, images, tmp_path, monkeypatch):
    seen, out = asked(inferencer, monkeypatch), tmp_path / "out"
    counts = inferencer.run(images, out, progress=False)
    assert counts == {"images": 3, "written": 3, "kept": 0, "rejected": 0}
    assert seen == ["0.png", "2.png", "sub/1.png"]
    found = {r["image"]: r["classes"] for r in read_results(out)}
    assert found == {r["image"]: r["classes"] for r in inferencer(images)}
    del seen[:]
    assert inferencer.run(images, out, progress=False)["kept"] == 3
    assert seen == []
    manifest = Manifest.load(out)
    assert manifest.complete
    assert manifest.settings["vocabulary"] == {name: [] for name in NAMES}
    assert manifest.facts["kept"] == 3


def test_a_killed_run_goes_on(inferencer, images, tmp_path, monkeypatch):
    out, original = tmp_path / "out", Inferencer._predict

    def killed(self, prepared):
        if (out / "results" / "2.png.json").exists():
            raise KeyboardInterrupt
        return original(self, prepared)

    monkeypatch.setattr(Inferencer, "_predict", killed)
    with pytest.raises(KeyboardInterrupt):
        inferencer.run(images, out, batch_size=1, progress=False)
    assert not Manifest.load(out).complete
    monkeypatch.setattr(Inferencer, "_predict", original)
    counts = inferencer.run(images, out, batch_size=1, progress=False)
    assert counts == {"images": 3, "written": 1, "kept": 2, "rejected": 0}


def test_what_changed_is_done_again(inferencer, images, tmp_path, monkeypatch):
    out = tmp_path / "out"
    inferencer.run(images, out, progress=False)
    seen = asked(inferencer, monkeypatch)
    picture(72, 56, 9).save(images / "0.png")  # another picture under the same name
    result_path(out, "2.png").write_text("{")  # a damaged result
    assert inferencer.run(images, out, progress=False)["written"] == 2
    assert seen == ["0.png", "2.png"]
    counts = inferencer.run(images, out, vocabulary=["tree", "sun"], progress=False)
    assert counts["written"] == 3
    assert {c["name"] for r in read_results(out) for c in r["classes"]} == {"tree", "sun"}
    few = Inferencer(CLASSIFIER, vocabulary=["tree", "sun"], top=1)
    assert few.run(images, out, progress=False)["written"] == 3


def test_the_ledger_names_damaged_images(inferencer, images, tmp_path):
    out = tmp_path / "out"
    (images / "sub" / "bad.jpg").write_bytes(b"\xff\xd8 no picture")
    inferencer.run(images, out, progress=False)
    ledger = json.loads((out / "rejected.json").read_text())
    assert [entry["image"] for entry in ledger] == ["sub/bad.jpg"]
    assert "UnidentifiedImageError" in ledger[0]["reason"]
    assert not result_path(out, "sub/bad.jpg").exists()
    counts = inferencer.run(images, out, progress=False)
    assert counts == {"images": 4, "written": 0, "kept": 3, "rejected": 1}
    picture().save(images / "sub" / "bad.jpg")  # mended
    assert inferencer.run(images, out, progress=False)["written"] == 1
    assert json.loads((out / "rejected.json").read_text()) == []


def test_nothing_readable_is_an_error(inferencer, tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match="no image files"):
        inferencer.run(tmp_path / "images", tmp_path / "out")
    (tmp_path / "images" / "a.png").write_bytes(b"")
    with pytest.raises(DamagedImageError, match="0 bytes"):
        inferencer.run(tmp_path / "images", tmp_path / "out", progress=False)


def test_two_runs_into_one_folder_are_refused(inferencer, images, tmp_path):
    with RunLock(tmp_path / "out"), pytest.raises(ManifestError, match="another run"):
        inferencer.run(images, tmp_path / "out", progress=False)


def test_label_maps_lie_beside_the_results(images, tmp_path):
    segmentor, out = Inferencer(SEGMENTOR, vocabulary=NAMES), tmp_path / "out"
    segmentor.run(images, out, progress=False)
    stored = {r["image"]: r for r in read_results(out)}
    for result in segmentor(images):
        assert (label_map(stored[result["image"]], out) == label_map(result)).all()
    (out / stored["0.png"]["map_file"]).unlink()
    assert segmentor.run(images, out, progress=False)["written"] == 1
