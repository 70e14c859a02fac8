"""RECO on a tiny CLIP whose embeddings fill a real memory: loss, gradients, use, swapping."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from react_mm.apis.encoder import Encoder
from react_mm.checkpoints import save_delta
from react_mm.manifest import ManifestError
from react_mm.models.reco import RECO
from react_mm.registry import MODELS
from tests import tiny
from tests.reco_memory import write_memory
from tests.test_models.test_reco.test_fusion import batch as neighbours

LAYER = {"type": "react_mm.NeighbourFusion", "dim": 16, "heads": 2, "residual": False}
WIDE = {**LAYER, "dim": 32}


def batch():
    found = {}
    for seed, side in enumerate(("image", "text")):
        query, near, scores, there = neighbours(count=6, seed=seed)
        there[seed, 2:] = False
        parts = (query, near, scores, there)
        names = (side, *(f"{side}_{n}" for n in ("neighbours", "scores", "there")))
        found |= dict(zip(names, parts, strict=True))
    return found


def entropy(image, text, temperature):
    """InfoNCE by hand: mean of both directions."""
    logits = image @ text.T / temperature
    value = 0.0
    for rows in (logits, logits.T):
        shifted = rows - rows.max(1, keepdims=True)
        value += np.mean(np.log(np.exp(shifted).sum(1)) - np.diag(shifted)) / 2
    return value


def test_loss_terms_are_numpys():
    torch.manual_seed(0)
    model = RECO(LAYER, temperature=0.1, term_weights=(2.0, 1.0, 1.0)).eval()
    losses = model.loss(**batch())
    original, refined = model.fuse_batch(batch())
    o = {k: v.numpy().astype(float) for k, v in original.items()}
    r = {k: v.detach().numpy().astype(float) for k, v in refined.items()}
    expected = {
        "loss_refined_refined": 0.5 * entropy(r["image"], r["text"], 0.1),
        "loss_refined_original": 0.25 * entropy(r["image"], o["text"], 0.1),
        "loss_original_refined": 0.25 * entropy(o["image"], r["text"], 0.1),
    }
    assert set(losses) == set(expected)
    for name, value in expected.items():
        assert float(losses[name].detach()) == pytest.approx(value, abs=1e-5), name
    assert not np.allclose(r["image"], o["image"], atol=1e-2)
    without = RECO(LAYER, term_weights=(1.0, 0.0, 0.0)).loss(**batch())
    assert list(without) == ["loss_refined_refined"]


def test_pairs_of_one_caption_are_no_negatives_where_asked():
    model = RECO(LAYER, loss=dict(type="react_mm.LabelAwareInfoNCE", same_concept="ignored")).eval()
    alone = model.loss(**batch(), caption_id=torch.arange(6))
    shared = model.loss(**batch(), caption_id=torch.tensor([0, 0, 1, 2, 3, 4]))
    assert shared["loss_refined_refined"] < alone["loss_refined_refined"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny CLIP, its config and two memories that it filled."""
    folder = tmp_path_factory.mktemp("reco")
    arch = tiny.write_architecture(folder)
    base = (arch, tiny.write_weights(arch, folder / "tiny.safetensors"))
    plain = tiny.build(base)
    encoder = Encoder(plain)
    memory = write_memory(folder / "one", encoder)
    other = write_memory(folder / "two", encoder, shards=1)
    return dict(base=base, plain=plain, memory=memory, other=other)


def build(world, memory="memory", **options):
    torch.manual_seed(3)
    config = dict(
        type="react_mm.RECO",
        base=world["plain"],
        fusion=WIDE,
        memory=dict(type="react_mm.PairMemory", folder=world[memory]),
        k=4,
        **options,
    )
    return MODELS.build(config).eval()


def images(count=3):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, 32, 32, generator=generator)


def test_gradient_reaches_only_the_fusions(world):
    model = build(world).train()
    assert not model.base.training
    query, near, scores, there = neighbours(count=6, dim=32)
    data = {}
    for side in ("image", "text"):
        parts = (query, near, scores, there)
        names = (side, *(f"{side}_{n}" for n in ("neighbours", "scores", "there")))
        data |= dict(zip(names, parts, strict=True))
    sum(model.loss(**data).values()).backward()
    moved = {n for n, p in model.named_parameters() if p.grad is not None}
    wanted = {n for n, p in model.named_parameters() if p.requires_grad}
    fusions = {n for n, _ in model.named_parameters() if n.startswith("refiner.fusions.")}
    assert moved == wanted == fusions
    assert set(model.delta_state()) == {n.removeprefix("refiner.fusions.") for n in fusions}


def test_embeddings_are_the_base_s_refined_by_their_neighbours(world):
    model = build(world)
    plain = F.normalize(model.base.encode_image(images()), dim=-1)
    refined = model.encode_image(images())
    rows, scores, found = model.refiner.memory(plain.numpy(), 4, "image", "uni", "cross")
    fusion = model.refiner.fusions["image"]
    there = torch.ones(3, 4, dtype=torch.bool)
    expected, _ = fusion(plain, torch.from_numpy(found), torch.from_numpy(scores), there)
    assert torch.allclose(refined, expected, atol=1e-6)
    assert not torch.allclose(refined, plain, atol=1e-2)
    one = build(world, sides=("text",))
    assert torch.equal(one.encode_image(images()), plain)
    assert torch.equal(one.encode_text(["a red thing"]), model.encode_text(["a red thing"]))


def test_predicts_refined_scores_and_swaps_memories(world):
    model = build(world)
    model.set_vocabulary(["red", "green", "blue"])
    results = model.predict(images(), label=torch.tensor([0, 1, 2]), captions=["a\nb", "c", "d"])
    image, prompts = model.encode_image(images()), model.base.class_embedder.templates
    classes = torch.stack(
        [
            model.encode_text([t.format(n) for t in prompts]).mean(0)
            for n in ("red", "green", "blue")
        ]
    )
    expected = model.logit_scale.exp() * image @ F.normalize(classes, dim=-1).T
    assert torch.allclose(torch.stack([r["scores"] for r in results]), expected, atol=1e-4)
    assert results[0]["text_embedding"].shape == (2, 32)
    assert torch.allclose(results[1]["text_embedding"], model.encode_text(["c"]), atol=1e-6)
    before = torch.stack([r["scores"] for r in results])
    model.set_memory(dict(type="react_mm.PairMemory", folder=world["other"]))
    after = torch.stack([r["scores"] for r in model.predict(images())])
    assert not torch.allclose(before, after, atol=1e-3)
    fresh = build(world, memory="other")
    fresh.set_vocabulary(["red", "green", "blue"])
    assert torch.allclose(after, torch.stack([r["scores"] for r in fresh.predict(images())]))


def test_class_embeddings_of_the_mean_are_refined_once(world):
    each, mean = build(world), build(world, class_texts="mean")
    for model in (each, mean):
        model.set_vocabulary(["red", "green"])
    plain = mean.base.class_embedder.embed_names(["red", "green"])
    assert torch.allclose(mean.class_embeddings, mean.refiner.refine(plain, "text"), atol=1e-6)
    with pytest.raises(ValueError, match="class_texts is one of"):
        build(world, class_texts="all")


def test_identity_names_base_fusion_memory_and_k(world):
    found = [
        build(world).identity(),
        build(world, memory="other").identity(),
        build(world, sides=("text",)).identity(),
        build(world).base.identity(),
    ]
    assert len({i["weights_hash"] for i in found}) == 4
    assert build(world).identity() == found[0]
    encoder = Encoder(build(world))  # as every other encoder of the project
    assert encoder.dimension == 32 and encoder.identity == found[0]
    texts = encoder.encode_texts(["a red thing"])
    assert np.allclose(texts, build(world).encode_text(["a red thing"]).numpy(), atol=1e-6)
    pixels = np.zeros((2, 3, 32, 32), np.uint8)
    assert np.allclose(np.linalg.norm(encoder.encode_images(pixels), axis=1), 1, atol=1e-5)


def test_weights_come_back_and_another_base_is_refused(world, tmp_path):
    model = build(world)
    extra = {"encoder": model.base.identity()}
    path = str(save_delta(model, tmp_path / "reco.safetensors", extra))
    torch.manual_seed(9)
    again = build(world, weights=path)
    assert torch.equal(again.encode_image(images()), model.encode_image(images()))
    arch = world["base"][0]
    other = tiny.write_weights(arch, tmp_path / "other.safetensors", seed=5)
    stranger = dict(world, plain=tiny.build((arch, other)))
    with pytest.raises(ManifestError, match="weights_hash"):
        build(stranger)
    with pytest.raises(ValueError, match="trained on embeddings of another encoder"):
        RECO(WIDE, stranger["plain"], weights=path)
    with pytest.raises(ValueError, match="trained on the base"):
        tiny.build(world["base"], delta=path)  # it is no customization of a tower


def test_a_customized_base_needs_its_own_memory(world, tmp_path):
    custom = tiny.build(world["base"], method="gated-image", method_options={"blocks": 2})
    tiny.open_gates(custom)
    delta = str(save_delta(custom, tmp_path / "delta.safetensors"))
    with pytest.raises(ValueError, match="given by its delta"):
        RECO(WIDE, custom)
    config = tiny.clip_config(*world["base"], delta=delta)
    with pytest.raises(ManifestError, match="weights_hash"):
        RECO(WIDE, config, memory=dict(type="react_mm.PairMemory", folder=world["memory"]))
    own = write_memory(tmp_path, Encoder(MODELS.build(config)), shards=1)
    model = RECO(WIDE, config, memory=dict(type="react_mm.PairMemory", folder=own), k=3).eval()
    assert model.encode_image(images()).shape == (3, 32)
    with pytest.raises(ManifestError, match="weights_hash"):
        model.set_gate_scale(0.5)


def test_predicts_stored_pairs_without_a_base():
    model = RECO(LAYER).eval()
    results = model(mode="predict", **batch(), key=list("abcdef"))
    _, refined = model.fuse_batch(batch())
    assert torch.equal(results[2]["image_embedding"], refined["image"][2].detach())
    assert results[2]["text_embedding"].shape == (1, 16) and results[2]["key"] == "c"
    with pytest.raises(RuntimeError, match="has no base"):
        model.encode_text(["a"])
    with pytest.raises(ValueError, match="16 dimensions, the fusion 32"):
        RECO(WIDE).loss(**batch())
    for bad in (dict(temperature=0.0), dict(term_weights=(1, 1))):
        with pytest.raises(ValueError, match="temperature"):
            RECO(LAYER, **bad)
