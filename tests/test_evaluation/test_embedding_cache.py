import os

import pytest
import torch

from react_mm.datasets.zero_shot import ZeroShotDataset
from react_mm.evaluation.embedding_cache import dataset_fingerprint, embed_images
from tests.pair_shards import png


class Model(torch.nn.Module):
    """Means of the three channels; counts the images it was asked for."""

    asked = 0
    weights = "a"

    def identity(self):
        return {"weights_hash": self.weights, "dimension": 3}

    def data_preprocessor(self, data):
        return {"inputs": data["inputs"].float()}

    def encode_image(self, images):
        self.asked += len(images)
        return images.mean((2, 3))


@pytest.fixture
def dataset(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "0.png").write_bytes(png(ord(name)))
    return ZeroShotDataset(str(tmp_path / "images"))


def loader(dataset):
    return [{"inputs": dataset[i]["inputs"][None]} for i in range(len(dataset))]


def test_each_weights_and_images_are_embedded_once(dataset, tmp_path):
    model = Model()
    first = embed_images(model, loader(dataset), dataset, tmp_path / "cache")
    expected = torch.stack([dataset[i]["inputs"].float().mean((1, 2)) for i in range(2)])
    torch.testing.assert_close(first, torch.nn.functional.normalize(expected, dim=-1))
    assert torch.equal(first, embed_images(model, [], dataset, tmp_path / "cache"))
    assert model.asked == 2
    model.weights = "b"
    embed_images(model, loader(dataset), dataset, tmp_path / "cache")
    assert model.asked == 4
    before = dataset_fingerprint(dataset)
    path = dataset.files[0][1]
    path.write_bytes(path.read_bytes() + b" ")  # another file of the same name
    os.utime(path, (1, 1))
    assert dataset_fingerprint(dataset) != before
    embed_images(model, loader(dataset), dataset, tmp_path / "cache")
    assert model.asked == 6


def test_too_few_batches_are_refused(dataset, tmp_path):
    with pytest.raises(ValueError, match="1 images came of a data set of 2"):
        embed_images(Model(), loader(dataset)[:1], dataset, tmp_path)
    with pytest.raises(TypeError, match="no list of files"):
        dataset_fingerprint(object())
