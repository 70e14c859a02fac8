"""Zero-shot accuracy per family."""

import cv2
import numpy as np
import pytest

from react_mm.toy.world import CONCEPTS, TARGET_FAMILY
from react_mm.toy.zero_shot import family_accuracy, zero_shot_by_family


def test_classes_count_equally():
    labels = np.array([0, 0, 0, 1, len(CONCEPTS) - 1, len(CONCEPTS) - 1])
    correct = np.array([1, 1, 1, 0, 1, 0], bool)
    labels = np.concatenate([labels, np.arange(2, len(CONCEPTS) - 1)])
    correct = np.concatenate([correct, np.zeros(len(CONCEPTS) - 3, bool)])
    result = family_accuracy(correct, labels)
    assert result["fruit"] == pytest.approx(1 / 6)  # not 3 / 8
    assert result["target"] == result[TARGET_FAMILY] == pytest.approx(0.5 / 6)
    assert result["other"] == pytest.approx(1 / 42)


@pytest.fixture
def folder(tmp_path):
    for concept in CONCEPTS:
        (tmp_path / concept.name).mkdir()
        cv2.imwrite(str(tmp_path / concept.name / "0.png"), np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def test_an_encoder_that_knows_is_right_and_one_that_is_shifted_is_wrong(folder):
    names = [c.name for c in CONCEPTS]
    eye = np.eye(len(names), dtype=np.float32)

    def texts(prompts):
        return np.stack([eye[[i for i, n in enumerate(names) if n in p][-1]] for p in prompts])

    def images(files, shift=0):
        return np.stack([eye[(names.index(f.parent.name) + shift) % len(names)] for f in files])

    right = zero_shot_by_family(images, texts, folder)
    assert right["target"] == right["other"] == 1.0
    wrong = zero_shot_by_family(lambda files: images(files, 1), texts, folder)
    assert wrong["target"] == wrong["other"] == 0.0


def test_a_missing_class_is_an_error(folder):
    (folder / "snail" / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match="snail"):
        zero_shot_by_family(None, None, folder)
