"""mIoU and zero-IoU share against a confusion matrix by hand."""

import numpy as np
import pytest
import torch

from react_mm.evaluation.segmentation import SegmentationIoU

CLASSES = ("background", "cat", "dog", "bee", "ant", "owl")
META = dict(classes=CLASSES, novel_classes=("bee", "ant"))


def sample(label, predicted):
    return dict(
        img_path="x.png",
        gt_sem_seg=dict(data=torch.as_tensor(label)[None]),
        pred_sem_seg=dict(data=torch.as_tensor(predicted)[None]),
    )


def evaluate(pairs, **options):
    metric = SegmentationIoU(**options)
    metric.dataset_meta = META
    for label, predicted in pairs:
        metric.process({}, [sample(label, predicted)])
    return metric.evaluate(len(pairs))


def test_equals_a_confusion_matrix():
    rng = np.random.default_rng(0)
    pairs = []
    confusion = np.zeros((6, 6))
    for _ in range(3):
        label = rng.choice([0, 1, 2, 3, 4, 255], (9, 7))  # no owl anywhere
        predicted = np.where(rng.random((9, 7)) < 0.5, label, rng.choice([0, 1, 2, 3], (9, 7)))
        predicted[(predicted == 255) | (predicted == 4)] = 0  # ants are never found
        pairs.append((label, predicted))
        for a, b in zip(label.ravel(), predicted.ravel(), strict=True):
            if a != 255:
                confusion[a, b] += 1
    hits = np.diag(confusion)
    iou = hits / np.maximum(confusion.sum(0) + confusion.sum(1) - hits, 1)
    figures = evaluate(pairs)
    assert figures["segmentation/mIoU"] == pytest.approx(iou[:5].mean())
    assert figures["segmentation/mIoU_target"] == pytest.approx(iou[[3, 4]].mean())
    assert figures["segmentation/mIoU_other"] == pytest.approx(iou[[1, 2]].mean())
    target, other = iou[[3, 4]].mean(), iou[[1, 2]].mean()
    harmonic = 1 / np.mean([1 / target, 1 / other])
    assert figures["segmentation/mIoU_harmonic"] == pytest.approx(harmonic)
    written = evaluate(pairs, unseen=True)
    assert written["segmentation/mIoU_unseen"] == figures["segmentation/mIoU_target"]
    assert written["segmentation/mIoU_seen"] == figures["segmentation/mIoU_other"]
    assert written["segmentation/mIoU_harmonic"] == figures["segmentation/mIoU_harmonic"]
    assert figures["segmentation/zero_iou"] == pytest.approx(1 / 5)
    assert figures["segmentation/zero_iou_target"] == pytest.approx(1 / 2)
    assert figures["segmentation/pixel_accuracy"] == pytest.approx(hits.sum() / confusion.sum())


def test_nothing_found_of_the_target_is_a_harmonic_mean_of_zero():
    label = np.array([[1, 3], [2, 4]])
    figures = evaluate([(label, np.array([[1, 1], [2, 2]]))])
    assert figures["segmentation/mIoU_harmonic"] == 0
    assert figures["segmentation/zero_iou_target"] == 1


def test_keeps_pixel_counts_image_by_image():
    rng = np.random.default_rng(2)
    pairs = [(rng.integers(0, 6, (8, 8)), rng.integers(0, 6, (8, 8))) for _ in range(3)]
    metric = SegmentationIoU()
    metric.dataset_meta = META
    for label, predicted in pairs:
        metric.process({}, [sample(label, predicted)])
    figures = metric.evaluate(3)
    for name, outcomes in metric.outcomes.items():
        assert outcomes.value() == pytest.approx(figures[f"segmentation/{name}"])
    # two draws of the first image and one of the last equal a test set of these three
    drawn = evaluate([pairs[0], pairs[0], pairs[2]])
    for name, outcomes in metric.outcomes.items():
        assert outcomes.value([2, 0, 1]) == pytest.approx(drawn[f"segmentation/{name}"])


def test_agrees_with_mmseg():
    from mmseg.evaluation.metrics import IoUMetric

    import react_mm  # noqa: F401  (first: mmcv's operators)

    rng = np.random.default_rng(1)
    pairs = [(rng.integers(0, 6, (8, 8)), rng.integers(0, 6, (8, 8))) for _ in range(2)]
    theirs = IoUMetric()
    theirs.dataset_meta = META
    for label, predicted in pairs:
        theirs.process({}, [sample(label, predicted)])
    expected = theirs.evaluate(2)["mIoU"] / 100
    assert evaluate(pairs)["segmentation/mIoU"] == pytest.approx(expected, abs=1e-4)


def test_labels_and_predictions_outside_the_classes_are_refused():
    fine = np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(ValueError, match="a label of 6"):
        evaluate([(fine + 6, fine)])
    with pytest.raises(ValueError, match="a prediction of 7"):
        evaluate([(fine, fine + 7)])
    with pytest.raises(ValueError, match="shape"):
        evaluate([(fine, fine[:1])])
