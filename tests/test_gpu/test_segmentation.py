"""Segmentors on CUDA against the same on the CPU: every form, windows, heads, refinement."""

import copy

import pytest
import torch

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.models.layers.dense_attention import DENSE_MODES
from tests.dense_models import batch_of, segmentation_sample, small_segmentor
from tests.test_models.test_segmentors.test_trained import HEADS, labelled
from tests.test_models.test_segmentors.test_trained import small as small_trained
from tests.test_models.test_segmentors.test_variants import CLASSES, SCALE, SLIDE, small_proxy

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _exact():
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def compare(model):
    pairs = [segmentation_sample(70, 100, 1), segmentation_sample(96, 50, 2)]
    expected = [s.seg_logits.data for s in model.test_step(copy.deepcopy(batch_of(pairs)))]
    got = model.cuda().test_step(copy.deepcopy(batch_of(pairs)))
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.seg_logits.data.is_cuda
        torch.testing.assert_close(ours.seg_logits.data.cpu(), theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", list(DENSE_MODES))
def test_training_free(tmp_path, mode):
    model = small_segmentor(
        tmp_path,
        CLASSES,
        logit_scale=SCALE,
        test_cfg=SLIDE,
        background=dict(threshold=0.3, names=["sky"]),
        prune=dict(min_area=0.01),
        refinement=dict(type="react_mm.PixelAdaptiveRefinement", iterations=2, dilations=(1,)),
        global_combiner=dict(type="react_mm.ScoreCombiner", base=0.2, novel=0.2, kind="arithmetic"),
    )
    model.backbone.dense_mode = mode
    compare(model)


def test_remedies_and_proxy(tmp_path):
    compare(small_segmentor(tmp_path, layer=-2, outlier_ratio=1.1, logit_scale=SCALE))
    compare(small_proxy(tmp_path, 8))


@pytest.mark.parametrize("kind", list(HEADS))
def test_trained(tmp_path, kind):
    fusion = dict(type="react_mm.ScoreCombiner", base=0.4, novel=0.8)
    compare(small_trained(tmp_path, kind, score_combiner=fusion))
    model = small_trained(tmp_path, kind).cuda()
    data = model.data_preprocessor(batch_of([labelled(64, 80, 1), labelled(48, 64, 2)]), True)
    loss = model.loss(data["inputs"], data["data_samples"])["loss_ce"]
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in model.decode_head.parameters())
