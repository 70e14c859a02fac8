import json

import pytest

from react_mm.datasets.caption_lists import read_captions


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_karpathys_splits_of_coco_and_flickr(tmp_path):
    def image(name, split, folder=None):
        row = {
            "filename": name,
            "split": split,
            "sentences": [{"raw": f"{name} {i}"} for i in "ab"],
        }
        return row | ({"filepath": folder} if folder else {})

    images = [image("1.jpg", "test", "val2014"), image("2.jpg", "train", "train2014")]
    path = write(tmp_path / "dataset_coco.json", {"images": images})
    assert read_captions(path, "images", {"split": "test"}) == {
        "images/val2014/1.jpg": ["1.jpg a", "1.jpg b"]
    }
    path = write(tmp_path / "dataset_flickr30k.json", {"images": [image("9.jpg", "test")]})
    assert list(read_captions(path, "flickr30k-images", {})) == ["flickr30k-images/9.jpg"]


def test_coco_and_lists(tmp_path):
    coco = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "annotations": [{"image_id": 7, "caption": "y"}, {"image_id": 7, "caption": "z"}],
    }
    assert read_captions(write(tmp_path / "c.json", coco), "x", {}) == {"x/a.png": ["y", "z"]}
    path = tmp_path / "p.jsonl"
    path.write_text('{"image": "a", "text": "one", "s": 1}\n{"image": "b", "captions": ["two"]}\n')
    assert read_captions(path, "ignored", {"s": 1}) == {"a": ["one"]}


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="neither a COCO captions file nor"):
        read_captions(write(tmp_path / "x.json", {"images": []}), "", {})
    path = tmp_path / "p.jsonl"
    path.write_text('{"image": "a"}\n{"text": "b"}\n')
    with pytest.raises(ValueError, match="p.jsonl line 2"):
        read_captions(path, "", {})
