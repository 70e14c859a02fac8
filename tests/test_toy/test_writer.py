"""The files of the drawn world: layout, determinism, COCO and semantic annotations."""

import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from react_mm.toy import sampling, writer
from react_mm.toy.world import CONCEPTS, concept_names, other_names, target_names

PARTS = ("pool", "classification", "scenes")


@pytest.fixture(scope="module")
def small():
    """Shrink the world: what is written per item does not depend on how many there are."""
    patch = pytest.MonkeyPatch()
    patch.setattr(writer, "SCENES", {"train": 24, "val": 4, "test": 4})
    patch.setattr(writer, "CLASSIFICATION_PER_CONCEPT", 1)
    patch.setattr(writer, "SHARD_SIZE", 40)
    parts = {k: sampling.PairPart(60, v.target, v.mention) for k, v in sampling.PAIR_PARTS.items()}
    patch.setattr(writer, "PAIR_PARTS", parts)
    patch.setattr(writer, "ProcessPoolExecutor", _Serial)
    yield
    patch.undo()


class _Serial:
    """Runs tasks in this process, so that the shrunken sizes hold in them, too."""

    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        pass

    map = staticmethod(map)


@pytest.fixture(scope="module")
def world(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    return folder, writer.write_world(folder, 0, PARTS, progress=False)


def _files(folder: Path):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def test_same_seed_same_bytes(small, world, tmp_path):
    folder, card = world
    again = writer.write_world(tmp_path / "a", 0, PARTS, progress=False)
    assert again == card
    assert _files(tmp_path / "a") == _files(folder)
    other = writer.write_world(tmp_path / "b", 1, PARTS, progress=False)
    for part in PARTS:
        assert other["parts"][part]["sha256"] != card["parts"][part]["sha256"]


def test_processes_write_the_same(tmp_path):
    """With two real processes and the full table of concepts (classification only)."""
    hashes = []
    for workers in (1, 2):
        card = writer.write_world(
            tmp_path / str(workers), 0, ("classification",), workers, progress=False
        )
        hashes.append(card["parts"]["classification"]["sha256"])
    assert hashes[0] == hashes[1]


def test_shards_hold_whole_pairs(world):
    folder, _ = world
    shards = sorted((folder / "pool").glob("*.tar"))
    assert [s.name for s in shards] == ["pool-000000.tar", "pool-000001.tar"]
    keys = []
    for shard in shards:
        with tarfile.open(shard) as tar:
            members = {m.name: tar.extractfile(m).read() for m in tar}
        assert {m.partition(".")[2] for m in members} == {"jpg", "txt", "json"}
        for name, data in members.items():
            key, _, suffix = name.partition(".")
            if suffix == "jpg":
                keys.append(key)
                image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
                row = sampling.pair(0, "pool", int(key[4:]))
                assert image.shape == row.drawing.image.shape
                # JPEG is lossy, but a swapped channel order would show
                assert np.abs(image[..., ::-1].astype(int) - row.drawing.image).mean() < 8
                assert members[f"{key}.txt"].decode() == row.caption
    assert keys == [f"pool{i:08d}" for i in range(60)]


def test_classification_folders(world):
    folder, _ = world
    for split in ("val", "test"):
        folders = {p.name for p in (folder / "classification" / split).iterdir()}
        assert folders == set(concept_names())
    name = concept_names()[3]
    image = cv2.imread(str(folder / "classification" / "val" / name / "0000.png"))[..., ::-1]
    assert (image == sampling.labelled_single(0, "val", 3, 0).image).all()


def test_coco_files_load_and_agree_with_the_masks(world):
    from pycocotools.coco import COCO

    folder, _ = world
    coco = COCO(str(folder / "scenes/annotations/instances_test.json"))
    categories = coco.dataset["categories"]
    assert [c["name"] for c in categories] == list(concept_names())
    assert [c["id"] for c in categories] == list(range(1, len(CONCEPTS) + 1))
    assert len(coco.getImgIds()) == 4
    for number in coco.getImgIds():
        name = coco.loadImgs(number)[0]["file_name"]
        semantic = cv2.imread(str(folder / "scenes/semantic/test" / name), cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(folder / "scenes/test" / name))
        assert semantic.shape == image.shape[:2]
        rebuilt = np.zeros_like(semantic)
        for annotation in coco.loadAnns(coco.getAnnIds(number)):
            mask = coco.annToMask(annotation).astype(bool)
            ys, xs = np.nonzero(mask)
            assert annotation['bbox'] == [
                xs.min(), ys.min(), xs.max() - xs.min() + 1, ys.max() - ys.min() + 1
            ]  # fmt: skip
            assert annotation["area"] == mask.sum()
            assert not rebuilt[mask].any()
            rebuilt[mask] = annotation["category_id"]
        assert (rebuilt == semantic).all()


def test_base_only_training_annotations_hold_no_novel_box(world):
    folder, _ = world
    annotations = folder / "scenes/annotations"
    whole = json.loads((annotations / "instances_train.json").read_text())
    base = json.loads((annotations / "instances_train_base.json").read_text())
    names = {c["id"]: c["name"] for c in base["categories"]}
    assert tuple(names.values()) == other_names()
    whole_names = {c["id"]: c["name"] for c in whole["categories"]}
    novel = [a for a in whole["annotations"] if whole_names[a["category_id"]] in target_names()]
    assert novel, "the scenes should show the target family"
    assert not any(names.get(a["category_id"]) in target_names() for a in base["annotations"])
    assert all(a["category_id"] in names for a in base["annotations"])
    assert len(base["annotations"]) == len(whole["annotations"]) - len(novel)
    assert base["images"] == whole["images"]


def test_concept_files(world):
    from react_mm.prompts import read_concepts

    folder, _ = world
    assert read_concepts(folder / "concepts.txt").names == concept_names()
    target = read_concepts(folder / "target.txt")
    assert target.names == target_names()
    assert "ladybug" in target.all_names("ladybird")


def test_parts_written_later_join_the_card(small, tmp_path):
    writer.write_world(tmp_path, 0, ("pool",), progress=False)
    card = writer.write_world(tmp_path, 0, ("scenes",), progress=False)
    assert list(card["parts"]) == ["pool", "scenes"]
    card = writer.write_world(tmp_path, 1, ("scenes",), progress=False)
    assert list(card["parts"]) == ["scenes"]  # another seed: the pool is not of this world


@pytest.mark.parametrize("parts", [("moon",), (), ("pool", "bas")])
def test_unknown_parts_are_refused_before_anything_is_written(parts, tmp_path):
    with pytest.raises(ValueError, match="choose from"):
        writer.write_world(tmp_path / "w", 0, parts)
    assert not (tmp_path / "w").exists()


def test_workers_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="workers"):
        writer.write_world(tmp_path / "w", 0, ("pool",), workers=0)
