"""Region self-distillation against a loop over crops and torchvision; other regularizers."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from react_mm.models.losses import FrozenTeacher, L2ToStart, RegionDistillation
from react_mm.models.losses.region_boxes import grid_boxes
from tests.tiny import batch, build, open_gates, train

GATED = {"method": "gated-image", "method_options": {"blocks": 2}}


def run(model, loss, data):
    """The losses and the model's own pass, as CLIP.loss makes it."""
    data = model.data_preprocessor(data)
    inputs = data.pop("inputs")
    pairs = data["role"] == 0
    return loss(model, inputs, model.encode_image(inputs), pairs, data), inputs


def dense_batch(size=56, epoch=0):
    generator = torch.Generator().manual_seed(4)
    large = torch.randint(0, 256, (6, 3, size, size), dtype=torch.uint8, generator=generator)
    keys = [f"image {i}" for i in range(6)]
    return {**batch(), "dense_inputs": large, "key": keys, "epoch": torch.full((6,), epoch)}


@pytest.mark.parametrize("mode", ["vanilla", "maskclip", "sclip", "naclip", "clearclip"])
def test_equals_a_loop_over_crops_and_reaches_the_gates(base, mode):
    model = build(base, **GATED)
    open_gates(model)
    loss = RegionDistillation(weight=3.0, images="general", dense_mode=mode, grid=3, bins=4)
    data = dense_batch()
    start = build(base).eval()  # another model: the base without gates
    got, _ = run(model, loss, copy.deepcopy(data))

    rows = [4, 5]
    pixels = (data["dense_inputs"][rows].float() / 255 - model.data_preprocessor.mean) / (
        model.data_preprocessor.std
    )
    rois = loss.regions((56, 56), torch.tensor(rows), data)
    assert set(rois[:, 0].tolist()) == {0.0, 1.0} and len(rois) > 2
    visual = build(base, **GATED).image_tower
    visual.load_state_dict(model.image_tower.state_dict())
    visual.dense_mode = mode
    with torch.no_grad():
        maps = F.normalize(visual.dense_embedding(pixels), dim=1)
        pooled = roi_align(maps, rois, 4, 1 / 8, 0, True).mean((2, 3))
        total = 0.0
        for roi, student in zip(rois.int().tolist(), pooled, strict=True):
            image, x1, y1, x2, y2 = roi
            crop = pixels[image : image + 1, :, y1:y2, x1:x2]
            crop = F.interpolate(crop, (32, 32), mode="bicubic", antialias=True)
            teacher = start.encode_image(crop)[0]
            total += 1 - F.cosine_similarity(student, teacher, dim=0)
    torch.testing.assert_close(got["loss_regions"], 3 * total / len(rois), atol=1e-5, rtol=1e-5)
    assert got["loss_regions"] > 0.05

    got["loss_regions"].backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if "gated_attn_block" in n}
    assert len(gradients) == 2 * 14
    for name, gradient in gradients.items():
        if "in_proj_bias" not in name:
            assert gradient is not None and gradient.abs().sum() > 0, name
    assert model.image_tower.dense_mode == "vanilla"


def test_inputs_are_enlarged_where_no_larger_image_comes(base):
    model = build(base, **GATED)
    loss = RegionDistillation(resolution=64, images="pairs", images_per_batch=2)
    seen = []
    tower = model.image_tower
    dense = tower.dense_embedding
    tower.dense_embedding = lambda x, sizes=None: seen.append(x) or dense(x, sizes)
    _, inputs = run(model, loss, batch())
    expected = F.interpolate(inputs[:2], (64, 64), mode="bicubic", antialias=True)
    torch.testing.assert_close(seen[0], expected)
    with pytest.raises(ValueError, match="stored tokens"):
        loss(model, torch.zeros(6, 4, 64), torch.zeros(6, 32), torch.ones(6, dtype=bool), {})


def test_boxes_depend_on_seed_key_and_epoch_alone():
    loss, rows = RegionDistillation(), torch.arange(6)
    first = loss.regions((64, 96), rows, dense_batch())
    assert torch.equal(first, loss.regions((64, 96), rows, dense_batch()))
    alone = loss.regions((64, 96), torch.tensor([3]), dense_batch())
    assert torch.equal(alone[:, 1:], first[first[:, 0] == 3][:, 1:])
    later = loss.regions((64, 96), rows, dense_batch(epoch=1))
    other = RegionDistillation(seed=1).regions((64, 96), rows, dense_batch())
    for drawn in (later, other):
        assert drawn.shape != first.shape or not torch.equal(drawn, first)


def test_grids_keep_to_their_limits():
    shapes = set()
    for seed in range(200):
        boxes = grid_boxes((60, 90), seed, max_grid=6, aspect=2.0, most=20)
        width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        assert 1 <= len(boxes) <= 20 and (boxes == boxes.round()).all()
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 90).all() and (boxes[:, 3] <= 60).all()
        # whole pixels: a side is off by less than one
        assert ((width + 1) / (height - 1) >= 0.5).all()
        assert ((width - 1) / (height + 1) <= 2.0).all()
        if len(boxes) < 20:
            assert (width * height).sum() == 60 * 90  # cells tile the image
        shapes.add((len(boxes.unique(dim=0)), float(width[0])))
    assert len(shapes) > 8
    with pytest.raises(ValueError, match="no grid"):
        grid_boxes((10, 1000), 0)


def test_given_boxes_are_used_and_small_ones_are_not():
    nan = float("nan")
    boxes = torch.tensor([[[0.0, 0, 0.5, 1], [0.5, 0.5, 0.52, 0.52], [nan] * 4]]).repeat(6, 1, 1)
    data = {**dense_batch(), "boxes": boxes}
    found = RegionDistillation(boxes="given").regions((64, 64), torch.tensor([2]), data)
    assert found.tolist() == [[0, 0, 0, 32, 64]]
    both = RegionDistillation(boxes="both").regions((64, 64), torch.tensor([2]), data)
    assert len(both) > 1 and both[0].tolist() == found[0].tolist()
    with pytest.raises(ValueError, match="no `boxes`"):
        RegionDistillation(boxes="given").regions((64, 64), torch.tensor([2]), dense_batch())


def test_no_region_gives_a_loss_of_zero_with_a_graph(base):
    model = build(base, **GATED)
    loss = RegionDistillation(boxes="given")
    data = {**dense_batch(), "boxes": torch.full((6, 2, 4), float("nan"))}
    got, _ = run(model, loss, data)
    assert got["loss_regions"].item() == 0
    got["loss_regions"].backward()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": "pair"}, "did you mean pairs"),
        ({"boxes": "grids"}, "did you mean grid"),
        ({"grid": 0}, "1 or more"),
        ({"dense_mode": "mask"}, "unknown dense_mode"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RegionDistillation(**options)


def test_dense_only_training_changes_the_regions_towards_the_crops(base):
    torch.manual_seed(0)
    region = {"type": "react_mm.RegionDistillation", "resolution": 64, "grid": 2}
    model = build(base, **GATED, contrastive_weight=0.0, regularizers=[region])
    losses = train(model, steps=12)
    assert losses[0]["loss_contrastive"].item() == 0
    assert losses[-1]["loss_regions"].item() < losses[0]["loss_regions"].item()


def test_dense_teacher_is_the_start_cell_by_cell(base):
    model = build(base, **GATED)
    open_gates(model)
    got, inputs = run(model, FrozenTeacher(weight=0.0, dense_weight=2.0), batch())
    start = build(base).eval()
    with torch.no_grad():
        kept = start.image_tower.dense_embedding(inputs[4:]).flatten(2)
        now = model.image_tower.dense_embedding(inputs[4:]).flatten(2)
        expected = (1 - F.cosine_similarity(now, kept, dim=1)).mean()
    torch.testing.assert_close(got["loss_dense_teacher"], 2 * expected)
    assert expected > 0.01
    got["loss_dense_teacher"].backward()
    assert "loss_dense_teacher" not in run(model, FrozenTeacher(), batch())[0]
    none = run(model, FrozenTeacher(dense_weight=1.0), {**batch(), "role": torch.zeros(6)})[0]
    assert none["loss_dense_teacher"].item() == 0


def test_l2_to_start_is_the_squared_distance_also_after_loading(base, tmp_path):
    loss = {"type": "react_mm.L2ToStart", "weight": 0.5}
    model = build(base, method="locked-text", regularizers=[loss])
    start = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    (first,) = train(model, steps=1)
    assert first["loss_l2_to_start"].item() == 0
    trained = {k: v.clone() for k, v in model.state_dict().items()}
    resumed = build(base, method="locked-text", regularizers=[loss])
    resumed.load_state_dict(trained)
    now = dict(resumed.named_parameters())
    expected = sum(
        ((now[n] - p) ** 2).sum() for n, p in start.items() if n != "logit_scale"
    ).detach()
    got = resumed.regularization(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    torch.testing.assert_close(got["loss_l2_to_start"].detach(), 0.5 * expected)
    assert expected > 0
    got["loss_l2_to_start"].backward()
    assert not [k for k in trained if "regularizers" in k]
    with pytest.raises(ValueError, match="gated-image"):
        build(base, **GATED, regularizers=[loss])
    assert L2ToStart(0.1).weight == 0.1
