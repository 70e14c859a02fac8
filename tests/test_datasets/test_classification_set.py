import pytest

from react_mm.classification_sets import class_lines, folder_lines, read_card, set_names
from react_mm.datasets.classification_set import ClassificationSetDataset
from react_mm.prompts import read_concepts
from tests.pair_shards import png


def fill(folder, names):
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "a.png").write_bytes(png(number))


def test_archive_folders_and_class_names_give_the_same_labels(tmp_path):
    fill(tmp_path / "a" / "test", folder_lines("eurosat"))
    fill(tmp_path / "b" / "test", class_lines("eurosat"))
    archive = ClassificationSetDataset("eurosat", str(tmp_path / "a"))
    named = ClassificationSetDataset("eurosat", str(tmp_path / "b"))
    assert sorted(archive.labels) == sorted(named.labels) == list(range(10))
    by_key = {archive[i]["key"]: archive[i]["label"] for i in range(10)}
    assert by_key["SeaLake/a.png"] == class_lines("eurosat").index("lake or sea")
    assert archive.metainfo["set"] == "eurosat"
    assert archive.metainfo["published_images"] == 5000
    assert archive.metainfo["classes"] == tuple(class_lines("eurosat"))


@pytest.mark.parametrize("name", set_names())
def test_every_set_reads_folder_names_and_class_names(name, tmp_path):
    numbers = list(range(read_card(name).classes))
    vocabulary = read_concepts(name).names
    for written in (folder_lines(name), vocabulary):
        if written is None or (name == "imagenet-1k" and written is vocabulary):
            continue  # two pairs of ImageNet's classes share a name: folders must tell them apart
        rows = "".join(f"{i}.png\t{label}\n" for i, label in enumerate(written))
        (tmp_path / "test.txt").write_text(rows)
        dataset = ClassificationSetDataset(name, str(tmp_path))
        labels = [x[0] for x in dataset.labels] if dataset.multi_label else dataset.labels
        assert labels == numbers
    if name == "imagenet-1k":
        (tmp_path / "test.txt").write_text("a.png\tmissile\n")
        with pytest.raises(ValueError, match="several classes: write n03773504 or n04008634"):
            ClassificationSetDataset(name, str(tmp_path))


def test_several_classes_per_image_come_from_a_list(tmp_path):
    rows = "".join(
        f"i/{n}.png\t{name}\n" for n, name in enumerate(class_lines("voc-2007-classification"))
    )
    (tmp_path / "i").mkdir()
    for number in range(21):
        (tmp_path / "i" / f"{number}.png").write_bytes(png(number))
    (tmp_path / "test.txt").write_text(rows + "i/20.png\tcat\tdog\n")
    dataset = ClassificationSetDataset("voc-2007-classification", str(tmp_path))
    label = dataset[20]["label"]
    assert label.shape == (20,) and label.sum() == 2
    assert [dataset.metainfo["classes"][i] for i in label.nonzero().flatten()] == ["cat", "dog"]
    (tmp_path / "test.txt").unlink()
    fill(tmp_path / "test", ["cat"])
    with pytest.raises(ValueError, match="several classes per image: .*test.txt is needed"):
        ClassificationSetDataset("voc-2007-classification", str(tmp_path))


def test_what_is_not_the_set_is_refused_by_name(tmp_path):
    fill(tmp_path / "test", ["0", "1", "2"])
    with pytest.raises(ValueError, match="10 classes are expected, 3 have images; missing: 3, 4"):
        ClassificationSetDataset("mnist", str(tmp_path))
    assert len(ClassificationSetDataset("mnist", str(tmp_path), partial=True)) == 3
    fill(tmp_path / "test", ["eleven"])
    with pytest.raises(ValueError, match="label 'eleven'.*not one of the 10 classes"):
        ClassificationSetDataset("mnist", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="neither the list .*val.txt nor the folder"):
        ClassificationSetDataset("mnist", str(tmp_path), split="val")
    with pytest.raises(ValueError, match="did you mean"):
        ClassificationSetDataset("minst", str(tmp_path))


def test_own_names_replace_the_sets_names(tmp_path):
    fill(tmp_path / "test", ["0", "1"])
    own = ["healthy tissue", "tumour tissue; cancer"]
    dataset = ClassificationSetDataset("patch-camelyon", str(tmp_path), classes=own)
    assert dataset.metainfo["classes"] == ("healthy tissue", "tumour tissue")
    assert dataset.metainfo["synonyms"] == {"tumour tissue": ["cancer"]}
    assert dataset.labels == [0, 1]
    with pytest.raises(ValueError, match="has 2 classes"):
        ClassificationSetDataset("patch-camelyon", str(tmp_path), classes=["a", "b", "c"])
