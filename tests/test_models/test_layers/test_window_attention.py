"""Windowed blocks against full attention with a mask written out cell by cell, gates open."""

import pytest
import torch

from react_mm.models.backbones import CLIPViT
from react_mm.models.layers.lora import LowRankUpdate, insert_lora
from react_mm.models.layers.window_attention import Windows, resolve_global_blocks
from tests.dense_towers import ARCHITECTURES, gated_tower, shake, write_architecture

TOLERANCE = dict(rtol=0, atol=1e-5)


def images(count, height, width, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def seen(rows, columns, size):
    """Who sees whom, said in words: bool (N, N) for the class token and rows x columns patches."""
    window_of = [None] + [(r // size, c // size) for r in range(rows) for c in range(columns)]
    table = [[None in (one, other) or one == other for other in window_of] for one in window_of]
    return torch.tensor(table)


def masked_tower(tower, size, globals_, patch):
    """The same weights run by open_clip's own blocks, windows as a mask on full attention."""
    blocks = tower.insertion_points()

    def run(x):
        grid = (-(-x.shape[2] // patch[0]), -(-x.shape[3] // patch[1]))
        hidden = ~seen(*grid, size)
        tokens, _, _ = tower._embed(x, None)
        mask = torch.zeros(hidden.shape).masked_fill(hidden, float("-inf"))
        for index, block in enumerate(blocks):  # the hook in front of a block runs its gate
            tokens = block(tokens, attn_mask=None if index in globals_ else mask)
        cells = tower.visual.ln_post(tokens[:, 1:]) @ tower.visual.proj
        return tower._pool(tokens, None), cells.transpose(1, 2).unflatten(2, grid)

    return run


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_windows_equal_a_mask_on_full_attention(tmp_path, name, size):
    tower = gated_tower(tmp_path, name, window_size=size, global_blocks=(0, -1))
    patch = tower.visual.patch_size
    x = images(2, 5 * patch[0] - 3, 7 * patch[1] - 1)  # 5 x 7 cells: no multiple of 2 or 3
    pooled, dense = masked_tower(tower, size, tower.global_blocks, patch)(x)
    out = tower.forward_all(x)
    torch.testing.assert_close(out["pooled"], pooled, **TOLERANCE)
    torch.testing.assert_close(out["dense"], dense, **TOLERANCE)
    full = gated_tower(tmp_path, name).forward_all(x)
    assert (full["dense"] - dense).abs().max() > 1e-3  # windows do change something


@pytest.mark.parametrize("mode", ["vanilla", "maskclip", "sclip", "naclip", "clearclip"])
def test_one_window_is_full_attention(tmp_path, mode):
    x, sizes = images(2, 90, 60), [(90, 60), (50, 33)]
    options = dict(dense_mode=mode, out_indices=(0, -1))
    plain = gated_tower(tmp_path, "plain", **options).forward_all(x, sizes)
    for size in (6, 100):  # 6 x 4 patches
        tower = gated_tower(
            tmp_path, "plain", window_size=size, global_blocks=[3], blocks=3, **options
        )
        out = tower.forward_all(x, sizes)
        expected = gated_tower(tmp_path, "plain", blocks=3, **options).forward_all(x, sizes)
        torch.testing.assert_close(out, expected, **TOLERANCE)
        assert (out["dense"] - plain["dense"]).abs().max() > 0.01  # three gates, not two


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_padded_batch_equals_single_images(tmp_path, name):
    options = dict(window_size=2, global_blocks=(-1,), out_indices=(0, -1), dense_mode="maskclip")
    tower = gated_tower(tmp_path, name, **options)
    sizes = [(50, 70), (64, 33), (24, 40)]
    batch = torch.full((3, 3, 72, 96), 7.0)  # padding that must not be seen
    singles = [images(1, h, w, seed=i) for i, (h, w) in enumerate(sizes)]
    for row, single, (h, w) in zip(batch, singles, sizes, strict=True):
        row[:, :h, :w] = single[0]
    together = tower.forward_all(batch, image_sizes=sizes)
    for i, single in enumerate(singles):
        alone = tower.forward_all(single)
        torch.testing.assert_close(together["pooled"][i : i + 1], alone["pooled"], **TOLERANCE)
        for ours, expected in [
            (together["dense"], alone["dense"]),
            *zip(together["taps"], alone["taps"], strict=True),
        ]:
            h, w = expected.shape[-2:]
            torch.testing.assert_close(ours[i : i + 1, :, :h, :w], expected, **TOLERANCE)
            assert ours[i, :, h:].eq(0).all() and ours[i, :, :, w:].eq(0).all()


def test_low_rank_updates_act_within_windows(tmp_path):
    def tower(**options):
        made = gated_tower(tmp_path, "plain", blocks=0, **options)
        insert_lora(made.insertion_points(), rank=2)
        updates = [m for m in made.modules() if isinstance(m, LowRankUpdate)]
        for number, update in enumerate(updates):
            shake(update, seed=number)
        return made

    x = images(1, 64, 64)
    windowed, full = tower(window_size=4), tower()
    torch.testing.assert_close(windowed.encode_image(x), full.encode_image(x), **TOLERANCE)
    windowed.set_gate_scale(0.0)
    assert (windowed.encode_image(x) - full.encode_image(x)).abs().max() > 1e-3


def test_checkpointing_gives_the_same_gradients(tmp_path):
    path, x = write_architecture(tmp_path, "plain"), images(2, 90, 64)
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        options = dict(window_size=2, global_blocks=(3,), frozen=False, with_cp=with_cp)
        tower = CLIPViT(path, **options).train()
        out = tower.forward_all(x, [(48, 64), (90, 40)])
        (out["pooled"].sum() + out["dense"].square().sum()).backward()
        gradients.append(tower.visual.conv1.weight.grad)
    torch.testing.assert_close(*gradients)


def test_split_and_join_are_inverse():
    cells = torch.randn(2, 3, 35, 4)
    for size in (1, 2, 3, 5, 9):
        windows = Windows((5, 7), size)
        parts = windows.split(cells)
        down, across = windows.counts
        assert len(parts) == 2 * down * across
        assert torch.equal(windows.join(parts), cells)
    # the second window of the first image: columns 3 to 5 of rows 0 to 2
    corner = Windows((5, 7), 3).split(cells)[1].unflatten(1, (3, 3))
    assert torch.equal(corner, cells[0].unflatten(1, (5, 7))[:, :3, 3:6])


def test_default_global_blocks_are_vitdets():
    assert resolve_global_blocks(14, None, 12) == (2, 5, 8, 11)
    assert resolve_global_blocks(14, None, 24) == (5, 11, 17, 23)
    assert resolve_global_blocks(14, None, 3) == (0, 1, 2)
    assert resolve_global_blocks(None, None, 3) == (0, 1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(global_blocks=(3,)), "without window_size"),
        (dict(window_size=0), "at least 1"),
        (dict(window_size=2, global_blocks=(4,)), "has 4 blocks"),
        (dict(window_size=2, global_blocks=(0,)), r"lacks the last block \(3\)"),
        (dict(window_size=2, dense_mode="local"), "no window_size"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        CLIPViT(write_architecture(tmp_path, "plain"), **options)


def test_stored_tokens_are_refused(tmp_path):
    tower = gated_tower(tmp_path, "plain", window_size=2)
    with pytest.raises(ValueError, match="no prefix with window_size"):
        tower.prefix(images(1, 64, 64))
    with pytest.raises(ValueError, match="no prefix with window_size"):
        tower.encode_image(torch.zeros(1, 17, 48))


def test_cost_at_1024_pixels_is_what_the_docstring_says():
    from torch.utils.flop_counter import FlopCounterMode

    counts = []
    for size in (None, 14):
        with torch.device("meta"):
            tower = CLIPViT("ViT-B-16", dense_mode="maskclip", window_size=size)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                tower.dense_embedding(torch.zeros(1, 3, 1024, 1024))
        counts.append(counter.get_total_flops())
    assert counts[1] / counts[0] == pytest.approx(0.69, abs=0.005), counts
