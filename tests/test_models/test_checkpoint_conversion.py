"""Official, open_clip and delta: round trips bit for bit, features as the plain rewrite gives."""

import open_clip
import pytest
import torch

from react_mm.checkpoints import load_delta, load_state, read_card, save_delta, save_state
from react_mm.models.checkpoint_conversion import Base, base_of_card, convert_delta, convert_whole
from react_mm.models.official_checkpoints import read_whole
from react_mm.registry import MODELS
from tests import official_release as release
from tests.tiny import CAPTIONS, clip_config, train


def same(one, other):
    return set(one) == set(other) and all(
        v.dtype == other[k].dtype and torch.equal(v, other[k]) for k, v in one.items()
    )


def base_file(folder, width=32, quick_gelu=False):
    path = release.write_architecture(folder, width, quick_gelu)
    state = release.plain_state(path)
    save_state(folder / "base.safetensors", state)
    return path, state, Base(str(path), None, str(folder / "base.safetensors"))


def clip(base, **options):
    return MODELS.build(clip_config(base.arch, base.checkpoint, **options)).eval()


@pytest.mark.parametrize("width", list(release.WIDTHS))
@pytest.mark.parametrize("quick_gelu", [False, True])
def test_official_checkpoint_gives_the_features_of_a_plain_rewrite(tmp_path, width, quick_gelu):
    path, state, base = base_file(tmp_path, width, quick_gelu)
    official = state | release.gates(width)
    official["logit_scale"] = torch.tensor(4.25)
    source = release.save_as_trainer(official, tmp_path / "react.pt")
    out = str(tmp_path / "delta.safetensors")
    card = convert_whole(read_whole(source), out, base, str(source))
    assert card["method_options"] == {"blocks": 2, "mlp_ratio": 4.0}
    heads, x = release.WIDTHS[width], torch.randn(3, 3, 32, 32)
    model = clip(base, delta=out)
    with torch.no_grad():
        for scale in (1.0, 0.5, 0.0):
            model.set_gate_scale(scale)
            expected = release.encode_image(official, x, heads, quick_gelu, scale)
            got = model.encode_image(x)
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
        assert (release.encode_image(official, x, heads, quick_gelu) - expected).abs().max() > 0.1
        plain = open_clip.create_model(path.stem).eval()
        plain.load_state_dict(state)
        torch.testing.assert_close(plain.encode_image(x), expected, atol=1e-5, rtol=1e-5)
        texts = open_clip.get_tokenizer(path.stem)(CAPTIONS)
        torch.testing.assert_close(model.encode_text(CAPTIONS), plain.encode_text(texts))
    assert float(model.logit_scale.detach()) == 4.25


@pytest.mark.parametrize("scalar", [False, True])
def test_official_round_trip_is_bitwise(tmp_path, scalar):
    _, state, base = base_file(tmp_path)
    official = state | release.gates(32, blocks=3, ratio=2.5, scalar=scalar)
    source = str(release.save_as_trainer(official, tmp_path / "react.pt"))
    out, own = str(tmp_path / "d.safetensors"), str(tmp_path / "frozen.safetensors")
    # Without the base: a gated checkpoint holds its own.
    arch_only = Base(base.arch)
    convert_whole(read_whole(source), out, arch_only, source, base_out=own)
    assert same(load_state(own), state)
    assert len(load_delta(out)[0]) == 3 * 14 + 1, "the delta alone"
    for back in ("back.pt", "back.safetensors"):
        written = convert_delta(out, str(tmp_path / back), Base(base.arch, None, own))
        assert written["gate_scale"] == 1.0 and written["method"] == "gated-image"
        assert same(read_whole(tmp_path / back), official)
    assert torch.load(tmp_path / "back.pt", weights_only=True).keys() == {"state_dict"}
    again = str(tmp_path / "again.safetensors")
    convert_whole(read_whole(tmp_path / "back.pt"), again, base, "back.pt")
    assert same(load_delta(again)[0], load_delta(out)[0])
    assert read_card(again)["delta_hash"] == read_card(out)["delta_hash"]


METHODS = [
    ("full", {}),
    ("locked-text", {}),
    ("locked-image", {}),
    ("lora", {"rank": 2, "alpha": 6, "targets": ["q", "v", "out_proj", "c_fc"], "text": "lora"}),
    ("gated-image", {"blocks": 2}),
]


@pytest.fixture(scope="module", params=METHODS, ids=[m for m, _ in METHODS])
def trained(request, tmp_path_factory):
    """Method, base, trained model and its delta."""
    folder = tmp_path_factory.mktemp("trained")
    base = base_file(folder)[2]
    method, options = request.param
    model = clip(base, method=method, method_options=options)
    train(model, steps=3)
    path = str(save_delta(model.eval(), folder / "delta.safetensors"))
    return method, base, model, path


def test_delta_becomes_plain_open_clip_where_the_method_allows_it(trained, tmp_path):
    method, base, model, delta = trained
    out = str(tmp_path / "plain.safetensors")
    if method == "gated-image":
        with pytest.raises(ValueError, match="plain open_clip has no place for"):
            convert_delta(delta, out, plain=True)
        official = str(tmp_path / "official.pt")
        convert_delta(delta, official)
        with pytest.raises(ValueError, match="plain open_clip has no place for"):
            convert_delta(official, out, plain=True)
        return
    convert_delta(delta, out, plain=True)
    state = load_state(out)
    name = base.arch.split("/")[-1].removesuffix(".json")
    open_clip.add_model_config(base.arch)
    plain = open_clip.create_model(name).eval()
    plain.load_state_dict(state)
    x = torch.randn(2, 3, 32, 32)
    tokens = open_clip.get_tokenizer(name)(CAPTIONS)
    with torch.no_grad():
        got = plain.encode_image(x), plain.encode_text(tokens)
        for one, other in zip(
            got, (model.encode_image(x), model.encode_text(CAPTIONS)), strict=True
        ):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
        start = release.encode_image(load_state(base.checkpoint), x, release.WIDTHS[32])
        assert ((got[0] - start).abs().max() > 1e-3) == (method != "locked-image")
    assert state["logit_scale"] == model.logit_scale


def test_delta_whole_delta_is_bitwise(trained, tmp_path):
    method, base, _, delta = trained
    whole, back = str(tmp_path / "whole.pt"), str(tmp_path / "back.safetensors")
    convert_delta(delta, whole)
    card = convert_whole(read_whole(whole), back, base, whole)
    if method == "lora":  # merged, it is a tuning of the whole towers
        assert card["method"] == "full"
        return
    tensors, old = load_delta(delta)
    assert card["method"] == method and same(load_delta(back)[0], tensors)
    assert card["base"]["image_hash"] == old["base"]["image_hash"]
    assert set(card["image_tensors"]) == set(old["image_tensors"])
    again, model = clip(base, delta=back), clip(base, delta=delta)
    assert again.identity()["weights_hash"] == model.identity()["weights_hash"]


@pytest.mark.parametrize("scale", [0.5, 0.0])
def test_gate_scale_goes_into_the_exported_weights(trained, tmp_path, scale):
    method, base, model, delta = trained
    if method not in ("gated-image", "lora"):
        return
    out = str(tmp_path / "scaled.safetensors")
    assert convert_delta(delta, out, gate_scale=scale)["gate_scale"] == 1.0
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = clip(base, delta=delta, gate_scale=scale).encode_image(x)
        got = release.encode_image(load_state(out), x, release.WIDTHS[32])
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_a_scale_that_half_precision_cannot_hold_stays_in_the_card(tmp_path):
    _, state, base = base_file(tmp_path)
    official = {k: v.half() for k, v in (state | release.gates(32)).items()}
    save_state(tmp_path / "base.safetensors", {k: v.half() for k, v in state.items()})
    out, whole = str(tmp_path / "d.safetensors"), str(tmp_path / "w.safetensors")
    convert_whole(official, out, base, "half")
    assert convert_delta(out, whole, gate_scale=0.3)["gate_scale"] == 0.3
    assert read_card(whole)["gate_scale"] == 0.3 and same(load_state(whole), official)


def test_what_is_no_open_clip_model_stays_a_delta():
    card = {"base": {"architecture": {"image": {"type": "react_mm.LiteImageTower"}}}}
    with pytest.raises(ValueError, match=r"one of react_mm\.LiteImageTower"):
        base_of_card(card)


def test_wrong_bases_and_keys_are_refused_by_name(tmp_path):
    _, state, base = base_file(tmp_path)
    official, out = state | release.gates(32), str(tmp_path / "d.safetensors")
    lacking = {k: v for k, v in official.items() if k != "visual.ln_post.weight"}
    with pytest.raises(ValueError, match=r"1 missing: visual\.ln_post\.weight"):
        convert_whole(lacking, out, base, "x")
    other = official | {"visual.proj": official["visual.proj"] + 1}
    with pytest.raises(ValueError, match=r"1 frozen weights differ, such as \['visual\.proj'\]"):
        convert_whole(other, out, base, "x")
    with pytest.raises(ValueError, match="equals the base"):
        convert_whole(state, out, base, "x")
    with pytest.raises(ValueError, match="holds no base of its own"):
        changed = state | {"visual.proj": state["visual.proj"] + 1}
        convert_whole(changed, out, base, "x", base_out=str(tmp_path / "b.pt"))
    with pytest.raises(ValueError, match=r"a delta is a \.safetensors file"):
        convert_whole(official, str(tmp_path / "d.pt"), base, "x")
    convert_whole(official, out, base, "x")
    save_state(tmp_path / "other.safetensors", state | {"visual.proj": state["visual.proj"] + 1})
    wrong = Base(base.arch, None, str(tmp_path / "other.safetensors"))
    with pytest.raises(ValueError, match="the delta was trained on image weights"):
        convert_delta(out, str(tmp_path / "w.pt"), wrong)
    with pytest.raises(ValueError, match="written as"):
        convert_delta(out, str(tmp_path / "w.bin"), base)


@pytest.mark.parametrize("scalar", [False, True])
def test_a_released_checkpoint_loads_as_it_is(tmp_path, scalar):
    _, state, base = base_file(tmp_path)
    official = state | release.gates(32, scalar=scalar)
    source = str(release.save_as_trainer(official, tmp_path / "react.pt"))
    released, x = Base(base.arch, None, source), torch.randn(2, 3, 32, 32)
    model = clip(released)
    with torch.no_grad():
        for scale in (1.0, 0.5):
            model.set_gate_scale(scale)
            expected = release.encode_image(official, x, release.WIDTHS[32], scale=scale)
            torch.testing.assert_close(model.encode_image(x), expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(clip(released, gate_scale=0.5).encode_image(x), model.encode_image(x))
        assert torch.equal(
            clip(released, gate_scale=0.0).encode_image(x), clip(base).encode_image(x)
        )
    assert not [n for n, p in model.named_parameters() if p.requires_grad]
    out = str(tmp_path / "d.safetensors")
    convert_whole(read_whole(source), out, base, source)
    assert (
        clip(base, delta=out).identity()["weights_hash"]
        == clip(released).identity()["weights_hash"]
    )
    with pytest.raises(ValueError, match="gated blocks of its own"):
        MODELS.build(dict(type="react_mm.CLIPViT", arch=base.arch, checkpoint=source, delta=out))
    torch.save({k: v for k, v in official.items() if "2.gated_attn_block.ln_1" not in k}, source)
    with pytest.raises(ValueError, match=r"before block 2 lacks \['ln_1\.bias', 'ln_1\.weight'\]"):
        clip(released)
