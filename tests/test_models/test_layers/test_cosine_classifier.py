"""The cosine classifier by hand."""

import numpy as np
import pytest
import torch

from react_mm.models.layers.cosine_classifier import CosineClassifier, DenseCosineClassifier
from react_mm.models.open_vocabulary import OpenVocabulary
from tests.dense_towers import HashEmbedder


class Source(OpenVocabulary, torch.nn.Module):
    def __init__(self, names, synonyms=None):
        super().__init__()
        self.init_vocabulary(HashEmbedder(6), 6)
        self.set_vocabulary(names, synonyms)


def test_logits_by_hand():
    source = Source(["cat", "dog"], {"dog": ["hound"]})
    layer = CosineClassifier(4, 6, temperature=0.05)
    layer.follow(source)
    x = torch.randn(5, 4)
    ours = layer(x).detach().numpy()

    unit = lambda v: v / np.linalg.norm(v)  # noqa: E731
    embedder = HashEmbedder(6)
    cat, dog, hound = (unit(v) for v in embedder.embed_names(["cat", "dog", "hound"]).numpy())
    background = unit(layer.background.detach().numpy())
    weight, bias = layer.embed.weight.detach().numpy(), layer.embed.bias.detach().numpy()
    for row, logits in zip(x.numpy(), ours, strict=True):
        e = unit(weight @ row + bias)
        expected = [e @ cat, max(e @ dog, e @ hound), e @ background]
        np.testing.assert_allclose(logits, np.array(expected) / 0.05, rtol=1e-4, atol=1e-4)


def test_needs_a_vocabulary():
    with pytest.raises(RuntimeError, match="no vocabulary"):
        CosineClassifier(4, 6)(torch.randn(1, 4))


def test_class_embeddings_are_no_weights():
    layer = CosineClassifier(4, 6)
    layer.follow(Source(["cat", "dog"]))
    assert set(layer.state_dict()) == {
        "embed.weight",
        "embed.bias",
        "background",
        "log_temperature",
    }


def test_dense_logits_by_hand():
    source = Source(["cat", "dog"], {"dog": ["hound"]})
    layer = DenseCosineClassifier(4, 6, temperature=0.05, prior=0.2)
    layer.follow(source)
    x = torch.randn(2, 4, 3, 5)
    ours = layer(x)
    assert ours.shape == (2, 2, 3, 5)
    unit = lambda v: v / np.linalg.norm(v)  # noqa: E731
    cat, dog, hound = (
        unit(v) for v in HashEmbedder(6).embed_names(["cat", "dog", "hound"]).numpy()
    )
    weight, bias = layer.embed.weight.detach().numpy(), layer.embed.bias.detach().numpy()
    for image, row, column in ((0, 0, 0), (1, 2, 4), (1, 1, 3)):
        e = unit(weight @ x[image, :, row, column].numpy() + bias)
        expected = np.array([e @ cat, max(e @ dog, e @ hound)]) / 0.05 + np.log(0.2 / 0.8)
        found = ours[image, :, row, column].detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("start", [0.01, 0.02])
def test_the_temperature_learns_from_its_start(start):
    """F-VLM starts at .01; a bound there would stop it for ever."""
    layer = CosineClassifier(4, 6, temperature=start)
    layer.follow(Source(["cat", "dog"]))
    layer(torch.randn(5, 4)).square().sum().backward()
    assert layer.log_temperature.grad.abs() > 0
