import json

import numpy as np
import pytest

from react_mm.datasets.images import DamagedImageError
from react_mm.datasets.zero_shot import RetrievalDataset, ZeroShotDataset
from tests.pair_shards import png, write_shard


@pytest.fixture
def folders(tmp_path):
    for number, name in enumerate(("snail", "traffic_light", "Fir Tree")):
        (tmp_path / "val" / name / "deep").mkdir(parents=True)
        (tmp_path / "val" / name / "a.png").write_bytes(png(10 * number))
        (tmp_path / "val" / name / "deep" / "b.png").write_bytes(png(10 * number + 1))
        (tmp_path / "val" / name / "notes.md").write_text("no image")
    return tmp_path


def test_class_folders_in_the_order_of_the_concept_list(folders):
    names = folders / "names.txt"
    names.write_text("fir tree; pine\nsnail\ntraffic light\nunseen\n")
    dataset = ZeroShotDataset(
        str(folders / "val"), str(names), groups=dict(target=["snail"], other="rest")
    )
    assert dataset.metainfo["classes"] == ("fir tree", "snail", "traffic light", "unseen")
    assert dataset.metainfo["synonyms"] == {"fir tree": ["pine"]}
    alone = ZeroShotDataset(str(folders / "val"), str(names), synonyms=False)
    assert alone.metainfo["synonyms"] == {} and alone.labels == dataset.labels
    assert dataset.metainfo["groups"] == {
        "target": ["snail"],
        "other": ["fir tree", "traffic light", "unseen"],
    }
    items = [dataset[i] for i in range(len(dataset))]
    labels = {item["key"]: item["label"] for item in items}
    assert labels == {
        "Fir Tree/a.png": 0,
        "Fir Tree/deep/b.png": 0,
        "snail/a.png": 1,
        "snail/deep/b.png": 1,
        "traffic_light/a.png": 2,
        "traffic_light/deep/b.png": 2,
    }
    assert items[0]["inputs"].shape == (3, 40, 50)
    found = ZeroShotDataset(str(folders / "val"))
    assert found.metainfo["classes"] == ("Fir Tree", "snail", "traffic light")


def test_what_does_not_fit_is_refused(folders):
    path = str(folders / "val")
    with pytest.raises(ValueError, match=r"'traffic_light'.*not one of the 2"):
        ZeroShotDataset(path, ["snail", "fir tree"])
    with pytest.raises(ValueError, match=r"names 'snial'.*did you mean snail"):
        ZeroShotDataset(path, groups=dict(target=["snial"]))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        ZeroShotDataset(str(folders / "none"))
    with pytest.raises(ValueError, match="stands twice"):
        ZeroShotDataset(path, ["snail", "Snail", "fir tree", "traffic light"])
    (folders / "empty").mkdir()
    with pytest.raises(ValueError, match="no image"):
        ZeroShotDataset(str(folders / "empty"))
    (folders / "val" / "snail" / "a.png").write_bytes(b"<html>")
    dataset = ZeroShotDataset(path)
    with pytest.raises(DamagedImageError, match=r"snail/a\.png"):
        [dataset[i] for i in range(len(dataset))]


def test_labels_from_a_list(folders):
    rows = [
        dict(image="snail/a.png", kind="Slow-Thing", split="test"),
        dict(image="Fir Tree/a.png", kind="plant", split="test"),
        dict(image="Fir Tree/deep/b.png", kind="plant", split="train"),
    ]
    path = folders / "val"
    (path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = ZeroShotDataset(
        str(path), ["plant", "slow thing"], label_field="kind", where=dict(split="test")
    )
    assert dataset.labels == [1, 0]
    with pytest.raises(ValueError, match="did you mean kind"):
        ZeroShotDataset(str(path), label_field="kin")


def test_captions_from_a_list_a_coco_file_and_shards(folders):
    path = folders / "val"
    rows = [
        dict(image="snail/a.png", captions=["one ", "two\nlines", " "], split="val"),
        dict(image="Fir Tree/a.png", text="three", split="val"),
        dict(image="Fir Tree/deep/b.png", text="four", split="train"),
    ]
    (path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = RetrievalDataset(str(path), where=dict(split="val"))
    assert [dataset[i]["captions"] for i in range(2)] == ["one\ntwo lines", "three"]
    assert dataset.metainfo["num_captions"] == 3
    coco = dict(
        images=[dict(id=7, file_name="a.png"), dict(id=3, file_name="deep/b.png")],
        annotations=[
            dict(image_id=3, caption="x"),
            dict(image_id=7, caption="y"),
            dict(image_id=3, caption="z"),
        ],
    )
    (path / "captions.json").write_text(json.dumps(coco))
    dataset = RetrievalDataset(str(path), "captions.json", images="snail", max_captions=1)
    assert [(d["key"], d["captions"]) for d in (dataset[0], dataset[1])] == [
        ("snail/a.png", "y"),
        ("snail/deep/b.png", "x"),
    ]
    write_shard(folders / "p.tar", 4)
    dataset = RetrievalDataset(str(folders / "p.tar"), max_images=3)
    assert [dataset[i]["captions"] for i in range(3)] == ["caption 0", "caption 1", "caption 2"]
    assert len(dataset) == 3
    assert np.array_equal(dataset[1]["inputs"].shape, (3, 40, 50))
    with pytest.raises(FileNotFoundError, match="caption list"):
        RetrievalDataset(str(path), "none.jsonl")
