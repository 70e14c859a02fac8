"""Proposal files: what is read, what is refused, and where boxes land."""

import json
import pickle

import numpy as np
import pytest

from react_mm.datasets.proposals import LoadProposals, Proposals

ROWS = [
    dict(image_id=7, bbox=[10, 20, 30, 40], score=0.25),
    dict(image_id=3, bbox=[0, 0, 5, 5], score=0.5, category_id=1),
    dict(image_id=7, bbox=[1, 2, 3, 4.5], score=0.75),
    dict(image_id=7, bbox=[10, 20, 30, 40], score=0.5, category_id=9),  # once more, better
]


def write(folder, rows=ROWS, name="p.json"):
    path = folder / name
    path.write_text(json.dumps(rows))
    return str(path)


def test_best_first_and_each_box_once(tmp_path):
    boxes, scores = Proposals.read(write(tmp_path)).of(7)
    assert boxes.tolist() == [[1, 2, 4, 6.5], [10, 20, 40, 60]]
    assert scores.tolist() == [0.75, 0.5]
    assert boxes.dtype == scores.dtype == np.float32
    assert Proposals.read(write(tmp_path)).of(5) is None


def test_arrays_hold_the_same(tmp_path):
    read = Proposals.read(write(tmp_path))
    read.save(tmp_path / "p.npz")
    again = Proposals.read(tmp_path / "p.npz")
    for image in (3, 7):
        for one, other in zip(read.of(image), again.of(image), strict=True):
            assert np.array_equal(one, other)


def test_boxes_land_in_input_pixels_inside_the_image(tmp_path):
    transform = LoadProposals(write(tmp_path), max_proposals=1)
    base = dict(img_id=7, img_path="7.png", img_shape=(48, 64))
    assert transform(dict(base))["proposals"].tolist() == [[1, 2, 4, 6.5]]
    transform = LoadProposals(write(tmp_path))
    out = transform(dict(base, scale_factor=(2.0, 0.5)))
    assert out["proposals"].tolist() == [[2, 1, 8, 3.25], [20, 10, 64, 30]]
    assert out["proposals_scores"].tolist() == [0.75, 0.5]
    with pytest.raises(ValueError, match="flipped"):
        transform(dict(base, flip=True))


def test_images_without_proposals_are_refused_unless_allowed(tmp_path):
    results = dict(img_id=4, img_path="4.png", img_shape=(9, 9))
    with pytest.raises(ValueError, match=r"no proposal of image 4 \(4.png\).*allow_missing"):
        LoadProposals(write(tmp_path))(dict(results))
    out = LoadProposals(write(tmp_path), allow_missing=True)(dict(results))
    assert out["proposals"].shape == (0, 4) and out["proposals_scores"].shape == (0,)


class Trap:
    ran = False

    def __reduce__(self):
        return setattr, (Trap, "ran", True)


def test_pickles_are_refused_unread(tmp_path):
    path = tmp_path / "proposals.pkl"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="executes code.*outfile_prefix"):
        Proposals.read(path)
    np.savez(tmp_path / "p.npz", image_id=np.array([Trap()]), bbox=[[0, 0, 1, 1]], score=[1])
    with pytest.raises(ValueError, match="p.npz"):
        Proposals.read(tmp_path / "p.npz")
    assert not Trap.ran


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no proposals"),
        ({"a": 1}, "no list of results"),
        ([dict(ROWS[0], score=1.5)], r"row 0: score 1.5 is no objectness"),
        ([ROWS[0], dict(ROWS[1], bbox=[0, 0, 0, 5])], "row 1: bbox .* is no box"),
        ([ROWS[0], dict(image_id=1, bbox=[0, 0, 1, 1])], r"row 1: no \['score'\]"),
        ([dict(ROWS[0], bbox=[1, 2, 3])], "row 0: no bbox of 4 numbers"),
        ([dict(ROWS[0], image_id="a.png")], "image_id is no whole number"),
        ([dict(ROWS[0], score=None)], "row 0: score nan"),
    ],
)
def test_broken_files_are_refused_by_row(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        Proposals.read(write(tmp_path, rows))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.json does not exist"):
        Proposals.read(tmp_path / "absent.json")
    with pytest.raises(ValueError, match="is no proposal file"):
        Proposals.read(tmp_path / "p.txt")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ValueError, match="b.json is not JSON"):
        Proposals.read(tmp_path / "b.json")
    np.savez(tmp_path / "c.npz", image_id=[1], bbox=[[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="c.npz.*score"):
        Proposals.read(tmp_path / "c.npz")
