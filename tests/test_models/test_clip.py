"""The two-tower model: losses, cache, teacher, vocabulary."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from react_mm.registry import MODELS
from tests.test_models.test_losses import numpy_info_nce
from tests.tiny import CAPTIONS, batch, build, clip_config, open_gates, train, write_architecture


def losses_of(model, data):
    return model.loss(**model.data_preprocessor(data, True))


def test_preprocessing_equals_open_clips_normalisation(base):
    model = build(base)
    data = batch()
    got = model.data_preprocessor(data)["inputs"]
    mean = np.array([0.48145466, 0.4578275, 0.40821073]).reshape(3, 1, 1)
    std = np.array([0.26862954, 0.26130258, 0.27577711]).reshape(3, 1, 1)
    assert np.allclose(got.numpy(), (data["inputs"].numpy() / 255 - mean) / std, atol=1e-5)


def test_loss_is_info_nce_on_pairs_alone(base):
    model = build(base, method="gated-image", method_options={"blocks": 2}).eval()
    open_gates(model)
    data = batch(general=2)
    with torch.no_grad():
        got = losses_of(model, data)
        inputs = model.data_preprocessor(data)["inputs"]
        image = F.normalize(model.encode_image(inputs[:4]), dim=-1).double().numpy()
        text = F.normalize(model.encode_text(CAPTIONS[:4]), dim=-1).double().numpy()
    scale = math.exp(float(model.logit_scale))
    assert np.isclose(got["loss_contrastive"].item(), numpy_info_nce(image, text, scale), atol=1e-5)
    assert "loss_teacher" not in got


def test_teacher_is_the_frozen_base_on_general_images(base):
    model = build(base, method="gated-image", method_options={"blocks": 2}, teacher_weight=5.0)
    data = batch(general=3)
    with torch.no_grad():
        assert losses_of(model, data)["loss_teacher"].item() == pytest.approx(0, abs=1e-6)
        open_gates(model)
        got = losses_of(model, data)["loss_teacher"].item()
        inputs = model.data_preprocessor(data)["inputs"][3:]
        cosine = F.cosine_similarity(
            model.encode_image(inputs), build(base).encode_image(inputs), dim=-1
        )
    assert got == pytest.approx(5 * (1 - cosine).mean().item(), abs=1e-5) and got > 1e-3
    assert model.image_tower.gate_scale == 1.0, "the gates are open again"


def test_teacher_of_locked_text_stays_the_base(base):
    model = build(base, method="locked-text", teacher_weight=5.0)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        before = model.encode_image(x)
    train(model)
    with torch.no_grad():
        with model.starting_tower() as start:
            assert torch.equal(start.encode_image(x), before)
        assert not torch.equal(model.encode_image(x), before)
    assert not [k for k in model.state_dict() if "teacher" in k or "start" in k]


def test_text_cache_gives_the_same_loss(base):
    model = build(base, method="gated-image", method_options={"blocks": 2}).eval()
    data = batch()
    with torch.no_grad():
        plain = losses_of(model, data)["loss_contrastive"]
        order = [3, 0, 5, 1, 4, 2]
        texts = [CAPTIONS[order.index(i)] for i in range(6)]
        model.set_text_cache(F.normalize(model.encode_text(texts), dim=-1))
        data = {**data, "caption_id": torch.tensor(order)}
        del data["caption"]
        torch.testing.assert_close(losses_of(model, data)["loss_contrastive"], plain)
    with pytest.raises(RuntimeError, match="trains the text tower"):
        build(base, method="full").set_text_cache(torch.zeros(1, 32))


def test_logit_scale_is_clamped(base):
    model = build(base, method="gated-image", method_options={"blocks": 1})
    for start, end in ((9.0, math.log(100)), (-3.0, 0.0)):
        with torch.no_grad():
            model.logit_scale.fill_(start)
        losses_of(model, batch())
        assert float(model.logit_scale) == pytest.approx(end)


def test_vocabulary_can_change_and_synonyms_take_the_best(base):
    model = build(base, templates=["a {}", "the {}."]).eval()
    data = {"inputs": batch()["inputs"], "label": torch.arange(6), "key": list("abcdef")}
    model.set_vocabulary(["cat", "boat"])
    first = model.val_step(data)
    assert first[3]["key"] == "d" and first[3]["label"] == 3

    def classifier(name):
        rows = F.normalize(model.encode_text([f"a {name}", f"the {name}."]), dim=-1)
        return F.normalize(rows.mean(0), dim=-1)

    with torch.no_grad():
        x = F.normalize(model.encode_image(model.data_preprocessor(data)["inputs"]), dim=-1)
        scale = model.logit_scale.exp()
        expected = scale * x @ torch.stack([classifier("cat"), classifier("boat")]).T
    got = torch.stack([r["scores"] for r in first])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)

    model.set_vocabulary(["boat", "cat"])
    swapped = torch.stack([r["scores"] for r in model.val_step(data)])
    torch.testing.assert_close(swapped, got.flip(1))
    model.set_vocabulary(["cat", "boat"], {"cat": ["kitten"]})
    both = torch.stack([r["scores"] for r in model.val_step(data)])
    best = torch.maximum(expected[:, 0], scale * x @ classifier("kitten"))
    torch.testing.assert_close(both[:, 0], best, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(both[:, 1], got[:, 1])


def test_towers_of_two_models_are_refused(base, tmp_path):
    other = write_architecture(tmp_path, "wide", embed_dim=48)
    config = clip_config(*base)
    config["text_tower"] = {"type": "react_mm.CLIPText", "arch": other}
    with pytest.raises(ValueError, match="48 dimensions, the image tower has 32"):
        MODELS.build(config).set_vocabulary(["cat"])
