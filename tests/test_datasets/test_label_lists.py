import pytest

from react_mm.datasets.label_lists import LabelNumbers, folded, listed_images, resolve_groups


def test_folder_names_are_told_apart_from_spelling():
    assert folded("F-16A_B") == folded("F-16A/B") == "f 16a b"
    number = LabelNumbers(["traffic light", "Fir Tree"])
    assert [number(label, "x") for label in ("traffic_light", "fir-tree", "Fir Tree")] == [0, 1, 1]
    with pytest.raises(
        ValueError, match=r"here is not one of the 2 classes; did you mean Fir Tree"
    ):
        number("fir treee", "here")


def test_folder_names_of_an_archive_win_over_class_names():
    number = LabelNumbers(["1", "2", "cat"], ["2", "1", "n0"])
    assert [number(label, "x") for label in ("1", "2", "n0", "cat")] == [1, 0, 2, 2]
    with pytest.raises(ValueError, match="2 folder names for 3 classes"):
        LabelNumbers(["a", "b", "c"], ["a", "b"])
    with pytest.raises(ValueError, match="two class names"):
        LabelNumbers(["a-b", "a b"])
    with pytest.raises(ValueError, match="two folder names"):
        LabelNumbers(["a", "b"], ["x", "X"])


def test_incomplete_folders_are_refused_by_name():
    number = LabelNumbers(["a", "b", "c"])
    number.check_complete([2, 0, 1, 1], "x")
    with pytest.raises(ValueError, match="x: 3 classes are expected, 1 have images; missing: b, c"):
        number.check_complete([0], "x")


def test_lists(tmp_path):
    path = tmp_path / "test.txt"
    path.write_text("# image, label\na/1.jpg\tsea\n\nb 2.jpg\tfir tree\n")
    assert list(listed_images(path)) == [(("sea",), "a/1.jpg"), (("fir tree",), "b 2.jpg")]
    path.write_text("a.jpg\tcat\tdog\n")
    assert list(listed_images(path, multi_label=True)) == [(("cat", "dog"), "a.jpg")]
    with pytest.raises(ValueError, match="line 1: 2 labels, expected one"):
        list(listed_images(path))
    for bad in ("a.jpg cat\n", "a.jpg\t\n", "\tcat\n"):
        path.write_text("ok.jpg\tx\n" + bad)
        with pytest.raises(ValueError, match="line 2: expected image<TAB>label"):
            list(listed_images(path))
    with pytest.raises(FileNotFoundError):
        list(listed_images(tmp_path / "none.txt"))


def test_groups():
    got = resolve_groups({"target": ["b_b"], "other": "rest"}, ["a", "b b", "c"])
    assert got == {"target": ("b b",), "other": ("a", "c")}
    with pytest.raises(ValueError, match="did you mean"):
        resolve_groups({"t": ["bb"]}, ["a", "b b"])
