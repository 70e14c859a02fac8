"""What every model around a CLIP shares."""

import pytest
import torch

from react_mm.models.reco.wrapper import CLIPWrapper, ImageOrFeaturePreprocessor
from tests import tiny


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    arch = tiny.write_architecture(folder)
    return arch, tiny.write_weights(arch, folder / "tiny.safetensors")


def test_is_the_base_as_long_as_nothing_is_overridden(base):
    plain = tiny.build(base).eval()
    model = CLIPWrapper(tiny.clip_config(*base)).eval()
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    data = {"inputs": images, "label": torch.tensor([0, 1])}
    for one in (plain, model):
        one.set_vocabulary(["red", "green"])
    expected, found = plain.test_step(dict(data)), model.test_step(dict(data))
    for a, b in zip(expected, found, strict=True):
        assert torch.equal(a["scores"], b["scores"]) and a["label"] == b["label"]
    assert model.identity() == plain.identity()
    assert model.image_tower is model.base.image_tower and model.text_tower is model.base.text_tower
    assert not [p for p in model.parameters() if p.requires_grad]
    assert not model.train().base.training
    with pytest.raises(RuntimeError, match="nothing to train"):
        model(mode="loss")


def test_without_a_base_only_features_pass():
    model = CLIPWrapper(None)
    batch = {"image": torch.ones(2, 4), "key": ["a", "b"]}
    assert torch.equal(model.data_preprocessor(batch)["image"], batch["image"])
    assert isinstance(model.data_preprocessor, ImageOrFeaturePreprocessor)
    with pytest.raises(RuntimeError, match="has no base"):
        model.encode_image(torch.ones(1))
