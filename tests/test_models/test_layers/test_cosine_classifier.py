"""The cosine classifier by hand."""

import numpy as np
import pytest
import torch

from react_mm.models.layers.cosine_classifier import CosineClassifier
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
