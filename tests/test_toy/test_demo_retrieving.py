"""How right the retrieved set is, by what the drawn world knows."""

import io
import json
import tarfile

import pytest
from PIL import Image

from react_mm.toy.demo.retrieving import drawn_concepts, gallery, precision

SHOWN = {"p0": {"snail"}, "p1": {"snail", "kite"}, "p2": {"kite"}, "p3": {"bee"}}


def row(key, concept, score=0.3, shard="set-000000.tar"):
    return {
        "key": f"x_{key}",
        "source_key": key,
        "concept": concept,
        "standard_score": score,
        "best_score": score / 2,
        "modes": "T2I",
        "caption": f"about {key}",
        "shard": shard,
    }


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_precision_counts_the_concept_asked_for_and_the_family():
    rows = [row("p0", "snail"), row("p1", "bee"), row("p2", "snail"), row("p3", "bee")]
    found = precision(rows, SHOWN, family={"snail", "bee"})
    assert found == {"pairs": 4, "precision": 0.5, "family_precision": 0.75}


def test_nothing_retrieved_is_refused():
    with pytest.raises(ValueError, match="nothing was retrieved"):
        precision([], SHOWN, {"snail"})


def test_drawn_concepts_come_from_the_pool(tmp_path):
    for number, keys in enumerate((("p0", "p1"), ("p2",))):
        members = {}
        for key in keys:
            objects = [{"concept": name, "box": [0, 0, 1, 1]} for name in sorted(SHOWN[key])]
            members[f"{key}.json"] = json.dumps({"key": key, "objects": objects}).encode()
            members[f"{key}.txt"] = b"a caption"
        write_tar(tmp_path / f"pool-{number}.tar", members)
    assert drawn_concepts(tmp_path) == {key: SHOWN[key] for key in ("p0", "p1", "p2")}


def test_gallery_shows_the_best_and_the_last_with_their_own_pictures(tmp_path):
    colours = {"p0": (250, 0, 0), "p1": (0, 250, 0), "p2": (0, 0, 250)}
    members = {}
    for key, colour in colours.items():
        stream = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(stream, "JPEG", quality=95)
        members[f"x_{key}.jpg"] = stream.getvalue()
    write_tar(tmp_path / "set-000000.tar", members)
    rows = [row("p0", "snail", 0.2), row("p1", "snail", 0.6), row("p2", "snail", 0.4)]
    shown = gallery(rows, SHOWN, tmp_path, tmp_path / "out" / "retrieved", best=1, last=1)
    assert [(entry["concept"], entry["found"]) for entry in shown] == [("snail", 3)]
    items = shown[0]["items"]
    assert [item["caption"] for item in items] == ["about p1", "about p0"]
    assert [item["right"] for item in items] == [True, True]
    assert items[0]["score"] == pytest.approx(0.3)
    with Image.open(tmp_path / "out" / items[0]["image"]) as picture:
        assert picture.getpixel((4, 4))[1] > 200
