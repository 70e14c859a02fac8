"""Class lists, and training files without novel boxes."""

import ast
import json
import runpy
import sys
from pathlib import Path

import pytest

from react_mm.datasets.base_novel import (
    OV_COCO_BASE,
    OV_COCO_NOVEL,
    base_only,
    check_classes,
    read_coco,
    read_names,
    split_classes,
)
from tests.coco_files import NOVEL, coco, random_boxes, write_coco
from tests.lvis_files import lvis


def test_ov_coco_lists_are_mmdets():
    import mmdet

    source = Path(mmdet.__file__).parent / ".mim/tools/dataset_converters/coco2ovd.py"
    lists = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.Assign)
    }
    assert lists["base_classes"] == OV_COCO_BASE and len(OV_COCO_BASE) == 48
    assert lists["novel_classes"] == OV_COCO_NOVEL and len(OV_COCO_NOVEL) == 17


def test_base_only_file_has_no_novel_box():
    annotation = coco([*random_boxes(), [("bee", 1, 1, 9, 9)]])
    kept, counts = base_only(annotation, ("cat", "dog"))
    names = {c["id"]: c["name"] for c in kept["categories"]}
    assert set(names.values()) == {"cat", "dog"}
    assert {names[a["category_id"]] for a in kept["annotations"]} == {"cat", "dog"}
    used = {a["image_id"] for a in kept["annotations"]}
    assert {i["id"] for i in kept["images"]} == used and 13 not in used
    assert counts["boxes_kept"] + counts["boxes_dropped"] == len(annotation["annotations"])
    assert counts["images_kept"] + counts["images_dropped"] == 13
    assert counts["boxes_dropped"] > 1
    assert len(annotation["categories"]) == 4, "the input must not be changed"
    everything, _ = base_only(annotation, ("cat", "dog"), keep_images=True)
    assert len(everything["images"]) == 13


def test_names_and_splits(tmp_path):
    (tmp_path / "novel.txt").write_text("bee; honey bee\nwasp\n")
    assert read_names(str(tmp_path / "novel.txt")) == ("bee", "wasp")
    assert read_names("ov-coco") == OV_COCO_NOVEL
    assert read_names(None) == read_names([]) == ()
    assert split_classes(("cat", "wasp", "dog", "bee"), NOVEL) == (("cat", "dog"), ("wasp", "bee"))
    with pytest.raises(ValueError, match="did you mean wasp"):
        check_classes(["wapsp"], ["cat", "wasp"], "x.json")


def test_wrong_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.json"):
        read_coco(tmp_path / "nothing.json")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        read_coco(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"images": []}')
    with pytest.raises(ValueError, match="no field 'annotations'"):
        read_coco(tmp_path / "b.json")


def test_tool_writes_base_and_both(tmp_path, repository, monkeypatch, capsys):
    source = write_coco(tmp_path, random_boxes())
    novel = tmp_path / "novel.txt"
    novel.write_text("bee\nwasp\n")

    def call(*arguments):
        tool = repository / "tools" / "convert_ov_dataset.py"
        monkeypatch.setattr(sys, "argv", [str(tool), str(source), *map(str, arguments)])
        runpy.run_path(str(tool), run_name="__main__")
        return capsys.readouterr().out

    said = call("--novel", novel, "--out", tmp_path / "base.json")
    kept = json.loads((tmp_path / "base.json").read_text())
    assert [c["name"] for c in kept["categories"]] == ["cat", "dog"]
    assert f"boxes kept: {len(kept['annotations'])}" in said
    call("--novel", novel, "--keep", "base-novel", "--out", tmp_path / "both.json")
    assert len(json.loads((tmp_path / "both.json").read_text())["categories"]) == 4
    with pytest.raises(ValueError, match="no categories"):
        call("--novel", "ov-coco", "--out", tmp_path / "x.json")
    with pytest.raises(SystemExit, match="input file itself"):
        call("--novel", novel, "--out", source)


def test_tool_takes_lvis_base_lists_and_places(tmp_path, repository, monkeypatch, capsys):
    source = tmp_path / "mine_train.json"
    source.write_text(json.dumps(lvis()))

    def call(*arguments):
        tool = repository / "tools" / "convert_ov_dataset.py"
        arguments = [str(tool), str(source), "--out", tmp_path / "out.json", *arguments]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        runpy.run_path(str(tool), run_name="__main__")
        return capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())

    said, content = call("--novel", "ov-lvis", "--novel-as-ignore")
    assert "classes: 2 base, 2 novel" in said and "boxes as ignore regions: 2" in said
    assert [c["name"] for c in content["categories"]] == ["dog", "cat"]
    assert content["images"][1]["neg_category_ids"] == [7]
    (tmp_path / "base.txt").write_text("cat\n")
    (tmp_path / "novel.txt").write_text("bee\n")
    _, content = call("--novel", tmp_path / "novel.txt", "--base", tmp_path / "base.txt")
    assert [c["name"] for c in content["categories"]] == ["cat"]
    assert "ignore_regions" not in content

    (tmp_path / "base.txt").write_text("catt\nbow weapon\n")
    with pytest.raises(ValueError, match=r"catt; did you mean cat\?.*bow weapon; did you mean bow"):
        call("--novel", tmp_path / "novel.txt", "--base", tmp_path / "base.txt")
    (tmp_path / "base.txt").write_text("cat\nbee\n")
    with pytest.raises(ValueError, match=r"both base and novel: \['bee'\]"):
        call("--novel", tmp_path / "novel.txt", "--base", tmp_path / "base.txt")
    with pytest.raises(SystemExit, match="goes with --keep base"):
        call("--novel", "ov-lvis", "--novel-as-ignore", "--keep", "base-novel")
    source.write_text((tmp_path / "out.json").read_text())
    with pytest.raises(ValueError, match="no rare class"):
        call("--novel", "ov-lvis")
    source.write_text(json.dumps(coco(random_boxes())))
    with pytest.raises(ValueError, match="has no 'frequency'"):
        call("--novel", "ov-lvis")
