"""Every training-free variant, from uint8 images to probabilities, against a rewrite by hand."""

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, init_default_scope

from react_mm.models.layers.dense_attention import DENSE_MODES
from tests.dense_models import batch_of, finish, model_config, segmentation_sample, small_segmentor
from tests.test_models.test_layers import test_dense_attention as by_hand

SCALE = 8.0
SIZES = [(70, 100), (96, 50)]
SLIDE = dict(mode="slide", crop_size=(48, 64), stride=(24, 40))
CLASSES = ("background", "cat", "dog", "bee")
MEAN = torch.tensor([122.7709383, 116.7460125, 104.09373615]).view(3, 1, 1)
STD = torch.tensor([68.5005327, 66.6321579, 70.32316305]).view(3, 1, 1)
TRUNK = dict(embed_dim=24, depth=2, num_heads=2, img_size=32)


def pairs_of(seed=1):
    return [segmentation_sample(h, w, seed + i) for i, (h, w) in enumerate(SIZES)]


def predict(model, pairs):
    return model.test_step(copy.deepcopy(batch_of(pairs)))


def normalised(image):
    return (image.flip(0).float() - MEAN) / STD


def cosines(dense_of, model, image):
    """Cosines (C, H, W) of one window."""
    dense = dense_of(image)
    names = torch.stack([model.class_embeddings[model.class_of_row == i][0] for i in range(4)])
    cells = torch.einsum(
        "dhw,cd->chw", dense / dense.norm(dim=0), names / names.norm(dim=1)[:, None]
    )
    size = [-(-side // 16) * 16 for side in image.shape[1:]]
    full = F.interpolate(cells[None], size, mode="bilinear")[0]
    return full[:, : image.shape[1], : image.shape[2]]


def windows(length, crop, stride):
    """Where windows begin, the last one flush with the end."""
    starts = list(range(0, max(length - crop, 0), stride)) + [max(length - crop, 0)]
    return sorted(set(starts))


def expected(dense_of, model, image, slide):
    x = normalised(image)
    if not slide:
        return (SCALE * cosines(dense_of, model, x)).softmax(0)
    total, count = torch.zeros(4, *x.shape[1:]), torch.zeros(x.shape[1:])
    (crop_h, crop_w), (step_h, step_w) = SLIDE["crop_size"], SLIDE["stride"]
    for top in windows(x.shape[1], crop_h, step_h):
        for left in windows(x.shape[2], crop_w, step_w):
            part = slice(top, top + crop_h), slice(left, left + crop_w)
            total[:, *part] += cosines(dense_of, model, x[:, *part])
            count[part] += 1
    return (SCALE * total / count).softmax(0)


@pytest.mark.parametrize("slide", [False, True], ids=["whole", "slide"])
@pytest.mark.parametrize("mode", list(DENSE_MODES))
def test_variant_equals_functional_rewrite(tmp_path, mode, slide):
    options = dict(test_cfg=SLIDE) if slide else {}
    model = small_segmentor(tmp_path, CLASSES, logit_scale=SCALE, **options)
    model.backbone.dense_mode = mode
    pairs = pairs_of()
    for ours, (image, _) in zip(predict(model, pairs), pairs, strict=True):
        dense_of = lambda x: by_hand.reference_dense(model.backbone, x, mode)  # noqa: E731
        theirs = expected(dense_of, model, image, slide)
        torch.testing.assert_close(ours.seg_logits.data, theirs, rtol=0, atol=1e-5)


def proxy_config(folder, patch, **changes):
    config = model_config(
        folder, "training_free_segmentor.py", type="react_mm.ProxySegmentor", logit_scale=SCALE
    )
    config.proxy = dict(
        type="react_mm.TimmFeatures",
        arch="vit_tiny_patch16_224",
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.25),
        options=dict(TRUNK, patch_size=patch),
    )
    for key, value in changes.items():
        config[key] = value
    return config


def small_proxy(folder, patch, **changes):
    init_default_scope("mmseg")
    torch.manual_seed(0)
    return finish(MODELS.build(proxy_config(folder, patch, **changes)), CLASSES)


def proxy_dense(model, patch, beta, gamma, x):
    """ProxyCLIP's map (D, h, w) of one normalised image, by loops and plain formulas."""
    x = F.pad(x, (0, -x.shape[2] % 16, 0, -x.shape[1] % 16))
    rows, columns = x.shape[1] // 16, x.shape[2] // 16
    picture = x * STD / 255 + MEAN / 255
    size = [-(-side // patch) * patch for side in picture.shape[1:]]
    picture = F.interpolate(picture[None], size, mode="bilinear")
    picture = (picture - torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)) / torch.tensor(
        [0.2, 0.3, 0.25]
    ).view(3, 1, 1)
    options = dict(TRUNK, patch_size=patch, dynamic_img_size=True, num_classes=0)
    trunk = timm.create_model("vit_tiny_patch16_224", **options).eval()
    trunk.load_state_dict(model.proxy.trunk.state_dict())
    with torch.no_grad():
        seen = trunk.forward_features(picture)[0, 1:]
    seen = seen / seen.norm(dim=1, keepdim=True)
    similarity = seen @ seen.T
    logits = gamma * (similarity - beta * similarity.mean())
    grid = [side // patch for side in size]
    # tokens before the last block
    visual, blocks = model.backbone.visual, model.backbone.insertion_points()
    kernel = visual.conv1.weight.flatten(1)
    cells = [
        kernel @ x[:, r * 16 : r * 16 + 16, c * 16 : c * 16 + 16].flatten()
        for r in range(rows)
        for c in range(columns)
    ]
    native = visual.positional_embedding[1:].T.reshape(1, -1, *visual.grid_size)
    resized = F.interpolate(native, (rows, columns), mode="bicubic", antialias=True)
    places = torch.cat([visual.positional_embedding[:1], resized[0].flatten(1).T])
    tokens = visual.ln_pre(torch.stack([visual.class_embedding, *cells]) + places)
    for block in blocks[:-1]:
        tokens = by_hand.last_block(by_hand.gate(tokens, block), block, "vanilla", rows, columns)
    last = blocks[-1]
    normed = by_hand.layer_norm(by_hand.gate(tokens, last), last.ln_1)[1:]
    width = normed.shape[1]
    weight, bias = last.attn.in_proj_weight[2 * width :], last.attn.in_proj_bias[2 * width :]
    values = (normed @ weight.T + bias).T.reshape(1, width, rows, columns)
    values = F.interpolate(values, grid, mode="bilinear")[0].flatten(1).T
    mixed = []
    for i in range(len(values)):
        kept = [j for j in range(len(values)) if logits[i, j] >= 0]
        assert kept  # otherwise the formula says nothing
        weights = logits[i, kept].exp()
        mixed.append((weights / weights.sum()) @ values[kept])
    out = by_hand.linear(torch.stack(mixed), last.attn.out_proj.weight, last.attn.out_proj.bias)
    dense = by_hand.layer_norm(out, visual.ln_post) @ visual.proj
    return dense.T.reshape(-1, *grid)


@pytest.mark.parametrize("slide", [False, True], ids=["whole", "slide"])
@pytest.mark.parametrize("patch", [8, 14])
def test_proxy_equals_functional_rewrite(tmp_path, patch, slide):
    changes = dict(test_cfg=SLIDE) if slide else {}
    model = small_proxy(tmp_path, patch, beta=1.0, gamma=2.0, **changes)
    pairs = pairs_of(3)
    for ours, (image, _) in zip(predict(model, pairs), pairs, strict=True):
        theirs = expected(
            lambda x: proxy_dense(model, patch, 1.0, 2.0, x).detach(), model, image, slide
        )
        torch.testing.assert_close(ours.seg_logits.data, theirs, rtol=0, atol=1e-5)


def test_proxy_wants_a_transformer_with_values(tmp_path):
    tower = dict(type="react_mm.CLIPResNet", arch="RN50", pretrained=None)
    with torch.device("meta"), pytest.raises(ValueError, match="CLIPResNet has none"):
        MODELS.build(proxy_config(tmp_path, 8, backbone=tower))


def test_proxy_sees_no_other_image_of_the_batch(tmp_path):
    model = small_proxy(tmp_path, 8)
    pairs = [segmentation_sample(64, 48, 1), segmentation_sample(64, 48, 2)]
    both, alone = predict(model, pairs)[0], predict(model, pairs[:1])[0]
    torch.testing.assert_close(both.seg_logits.data, alone.seg_logits.data, rtol=0, atol=1e-5)
    model.set_vocabulary(["bee", "background", "dog", "cat"])
    turned = predict(model, pairs[:1])[0].seg_logits.data
    torch.testing.assert_close(turned, alone.seg_logits.data[[3, 0, 2, 1]])


def test_whole_image_is_added_as_freeda_does(tmp_path):
    combiner = dict(type="react_mm.ScoreCombiner", base=0.2, novel=0.5, kind="arithmetic")
    model = small_segmentor(
        tmp_path,
        CLASSES,
        global_combiner=combiner,
        base_classes=("cat", "dog"),
        logit_scale=SCALE,
        test_cfg=SLIDE,
    )
    plain = small_segmentor(tmp_path, CLASSES, logit_scale=SCALE, test_cfg=SLIDE)
    (image, sample), *_ = pairs_of()
    ours = predict(model, [(image, sample)])[0].seg_logits.data
    x = normalised(image)[None]
    local = plain.slide_inference(x, [{}])[0]
    pooled = F.normalize(model.backbone.encode_image(x)[0], dim=0) @ model.class_embeddings.T
    weight = torch.tensor([0.5, 0.2, 0.2, 0.5])[:, None, None]
    theirs = ((1 - weight) * local + weight * pooled[:, None, None]) * SCALE
    torch.testing.assert_close(ours, theirs.softmax(0), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="kind='arithmetic'"):
        small_segmentor(tmp_path, global_combiner=dict(type="react_mm.ScoreCombiner"))


def test_refinement_runs_on_probabilities_before_the_background(tmp_path):
    changes = dict(background=dict(threshold=0.3), logit_scale=SCALE)
    pamr = dict(type="react_mm.PixelAdaptiveRefinement", iterations=2, dilations=(1, 3))
    model = small_segmentor(tmp_path, CLASSES, refinement=pamr, **changes)
    image, sample = segmentation_sample(40, 64)
    sample.set_metainfo(dict(ori_shape=(20, 32)))
    ours = predict(model, [(image, sample)])[0].seg_logits.data
    x = normalised(image)[None]
    classes = (SCALE * model.encode_decode(x, [])[:, 1:]).softmax(1)
    refined = F.interpolate(model.refinement(x, classes), (20, 32), mode="bilinear")[0]
    torch.testing.assert_close(ours[1:], refined, rtol=0, atol=1e-5)
    assert ours[0].eq(0.3).all()


def test_pruned_classes_win_nowhere(tmp_path):
    pair = segmentation_sample(64, 96)
    plain = predict(small_segmentor(tmp_path, CLASSES), [pair])[0]
    shares = plain.pred_sem_seg.data.flatten().bincount(minlength=4).float()
    shares[0] = 0
    shares = shares / shares.sum()
    smallest = [i for i in range(1, 4) if 0 < shares[i] < shares.max()]
    assert smallest, "the picture holds one class alone: another seed"
    limit = float(shares[smallest].max())
    pruned = predict(small_segmentor(tmp_path, CLASSES, prune=dict(min_area=limit)), [pair])[0]
    assert not set(smallest) & set(pruned.pred_sem_seg.data.unique().tolist())
    with pytest.raises(ValueError, match="min_are.*did you mean min_area"):
        small_segmentor(tmp_path, prune=dict(min_are=0.1))


def test_windows_with_gaps_are_refused(tmp_path):
    with pytest.raises(ValueError, match="gaps"):
        small_segmentor(tmp_path, test_cfg=dict(mode="slide", crop_size=(32, 32), stride=(33, 32)))
