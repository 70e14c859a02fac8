"""mmcv's operators against references written from their definitions, gradients included."""

import importlib.machinery
import subprocess
import sys

import numpy as np
import pytest
import torch

import react_mm  # noqa: F401  (installs the finder)
from react_mm.ops import MmcvExtensionFinder, install_mmcv_finder, mmcv_ext


def brute_force_nms(boxes, scores, threshold, offset):
    """Greedy suppression by definition, in float64."""
    boxes = boxes.astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    kept = []
    for candidate in order:
        suppressed = False
        for winner in kept:
            x1, y1 = np.maximum(boxes[candidate, :2], boxes[winner, :2])
            x2, y2 = np.minimum(boxes[candidate, 2:], boxes[winner, 2:])
            overlap = max(0.0, x2 - x1 + offset) * max(0.0, y2 - y1 + offset)
            areas = [np.prod(boxes[i, 2:] - boxes[i, :2] + offset) for i in (candidate, winner)]
            suppressed |= overlap / (sum(areas) - overlap) > threshold
        if not suppressed:
            kept.append(candidate)
    return np.array(kept, dtype=np.int64)


def reference_roi_align(feature, rois, size, scale, sampling, aligned):
    """RoIAlign by its definition, in plain differentiable PyTorch, one sample at a time."""
    height, width = feature.shape[-2:]

    def sample(image, y, x):
        if y < -1.0 or y > height or x < -1.0 or x > width:
            return image.new_zeros(image.shape[0])
        y, x = max(y, 0.0), max(x, 0.0)
        y0, x0 = min(int(y), height - 1), min(int(x), width - 1)
        y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
        ly = 0.0 if y0 == height - 1 else y - y0
        lx = 0.0 if x0 == width - 1 else x - x0
        top = image[:, y0, x0] * (1 - lx) + image[:, y0, x1] * lx
        bottom = image[:, y1, x0] * (1 - lx) + image[:, y1, x1] * lx
        return top * (1 - ly) + bottom * ly

    out = []
    shift = 0.5 if aligned else 0.0
    for roi in rois.tolist():
        image = feature[int(roi[0])]
        x1, y1, x2, y2 = (v * scale - shift for v in roi[1:])
        w, h = x2 - x1, y2 - y1
        if not aligned:
            w, h = max(w, 1.0), max(h, 1.0)
        bin_h, bin_w = h / size, w / size
        grid_h = sampling if sampling > 0 else max(int(np.ceil(h / size)), 0)
        grid_w = sampling if sampling > 0 else max(int(np.ceil(w / size)), 0)
        bins = []
        for i in range(size):
            for j in range(size):
                points = [
                    sample(
                        image,
                        y1 + (i + (a + 0.5) / grid_h) * bin_h,
                        x1 + (j + (b + 0.5) / grid_w) * bin_w,
                    )
                    for a in range(grid_h)
                    for b in range(grid_w)
                ]
                bins.append(torch.stack(points).mean(0))
        out.append(torch.stack(bins, dim=1).reshape(-1, size, size))
    return torch.stack(out)


def random_boxes(rng, count, extent):
    start = rng.uniform(0, extent * 0.8, (count, 2))
    return np.concatenate([start, start + rng.uniform(1, extent * 0.5, (count, 2))], axis=1)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_nms_equals_brute_force(offset, threshold):
    from mmcv.ops import nms

    for seed in range(10):
        rng = np.random.default_rng(seed)
        # Whole-number boxes of a few pixels: here the offset decides many suppressions.
        boxes = np.round(random_boxes(rng, 60, 20)).astype(np.float32)
        scores = rng.permutation(60).astype(np.float32) / 60 + 0.01
        _, indices = nms(torch.tensor(boxes), torch.tensor(scores), threshold, offset=offset)
        np.testing.assert_array_equal(
            indices.numpy(), brute_force_nms(boxes, scores, threshold, offset)
        )


def test_nms_offset_matters_and_others_are_refused():
    boxes = torch.tensor([[0.0, 0, 3, 3], [2.0, 0, 5, 3]])
    scores = torch.tensor([0.9, 0.8])
    # Overlap 3 of 15 without the offset (IoU .2), 8 of 24 with it (IoU .333).
    assert len(mmcv_ext.nms(boxes, scores, 0.25, offset=0)) == 2
    assert len(mmcv_ext.nms(boxes, scores, 0.25, offset=1)) == 1
    with pytest.raises(ValueError, match="offset must be 0 or 1"):
        mmcv_ext.nms(boxes, scores, 0.25, offset=2)


def test_nms_of_nothing():
    assert mmcv_ext.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, offset=1).shape == (0,)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [0, 2])
def test_roi_align_equals_reference_with_gradients(sampling, aligned):
    from mmcv.ops import roi_align

    rng = np.random.default_rng(3)
    boxes = random_boxes(rng, 7, 48)
    boxes[0] = [-9, -7, 5, 6]  # leaves the image on one side
    boxes[1] = [30, 20, 70, 66]  # and on the other
    index = rng.integers(0, 2, (7, 1))
    rois = torch.tensor(np.concatenate([index, boxes], 1), dtype=torch.float64)
    feature = torch.tensor(rng.normal(size=(2, 3, 10, 12)), requires_grad=True)
    theirs = feature.detach().clone().requires_grad_()
    weights = torch.tensor(rng.normal(size=(7, 3, 3, 3)))

    ours = roi_align(feature, rois, (3, 3), 0.25, sampling, "avg", aligned)
    expected = reference_roi_align(theirs, rois, 3, 0.25, sampling, aligned)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)
    (ours * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(feature.grad, theirs.grad, rtol=0, atol=1e-9)


def test_roi_align_of_16_bit_maps_trains_on_the_cpu():
    """torchvision's kernel lacks them; mixed precision on the CPU needs them."""
    from mmcv.ops import roi_align

    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 2, 9, 11, generator=generator)
    rois = torch.tensor([[0.0, 1, 1, 7, 8]])
    gradients = []
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        x = image.clone().to(kind).requires_grad_()
        pooled = roi_align(x, rois.to(kind), (3, 3), 1.0, 0, "avg", True)
        assert pooled.dtype == kind
        pooled.sum().backward()
        gradients.append(x.grad.float())
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(gradients[2], gradients[0], atol=1e-3, rtol=1e-3)


def test_roi_align_max_is_refused_by_name():
    from mmcv.ops import roi_align

    with pytest.raises(NotImplementedError, match="roi_align_forward.*max"):
        roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]), (1, 1), 1.0, 0, "max")


def test_unknown_operator_raises_only_when_called():
    import mmcv.ops

    boxes = torch.tensor([[0.0, 0, 3, 3, 0.1]])
    with pytest.raises(NotImplementedError, match="'nms_rotated'.*softnms"):
        mmcv.ops.nms_rotated(boxes, torch.tensor([0.5]), 0.5)


def test_finder_is_last_installed_once_and_yields_to_a_compiled_file(tmp_path):
    install_mmcv_finder()
    finders = [f for f in sys.meta_path if isinstance(f, MmcvExtensionFinder)]
    assert len(finders) == 1
    path_finder = sys.meta_path.index(importlib.machinery.PathFinder)
    assert sys.meta_path.index(finders[0]) > path_finder
    (tmp_path / "mmcv").mkdir()
    (tmp_path / "mmcv" / "__init__.py").write_text("")
    (tmp_path / "mmcv" / "_ext.py").write_text("compiled = True")
    code = "import react_mm, mmcv._ext; assert mmcv._ext.compiled"
    root = str(__import__("pathlib").Path(react_mm.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={"PYTHONPATH": f"{tmp_path}:{root}", "PATH": ""},
    )


def test_importing_the_package_is_light_and_lets_mm_packages_import():
    code = (
        "import react_mm, sys\n"
        "heavy = {'torch', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'faiss'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import mmdet, mmseg, mmcv.ops\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
