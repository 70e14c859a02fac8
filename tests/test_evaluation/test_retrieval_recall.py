import numpy as np
import pytest
import torch

from react_mm.evaluation.retrieval_recall import RetrievalRecall, best_ranks


def normalised(rng, *shape):
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def brute_force(images, texts, k):
    """Recall by sorted lists, one query after the other."""
    flat = [(i, t) for i, own in enumerate(texts) for t in own]
    i2t = 0
    for i, image in enumerate(images):
        ranked = sorted(range(len(flat)), key=lambda j: (-float(image @ flat[j][1]), j))[:k]
        i2t += any(flat[j][0] == i for j in ranked)
    t2i = 0
    for i, text in flat:
        ranked = sorted(range(len(images)), key=lambda j: (-float(text @ images[j]), j))[:k]
        t2i += i in ranked
    return i2t / len(images), t2i / len(flat)


@pytest.mark.parametrize("per_image", [[1] * 12, [5] * 12, [1, 5, 2, 7, 3, 1, 1, 2, 4, 1, 2, 2]])
def test_equals_brute_force(per_image):
    rng = np.random.default_rng(len(per_image) + per_image[0])
    images = normalised(rng, 12, 4)
    texts = [normalised(rng, n, 4) for n in per_image]
    metric = RetrievalRecall(topk=(1, 3, 10))
    metric.process(
        None,
        [
            {"image_embedding": torch.tensor(i), "text_embedding": torch.tensor(t)}
            for i, t in zip(images, texts, strict=True)
        ],
    )
    got = metric.evaluate(12)
    for k in (1, 3, 10):
        i2t, t2i = brute_force(images, texts, k)
        assert got[f"retrieval/i2t_R@{k}"] == pytest.approx(i2t)
        assert got[f"retrieval/t2i_R@{k}"] == pytest.approx(t2i)
    assert got["retrieval/captions"] == sum(per_image)


def test_blocks_and_ties():
    rng = np.random.default_rng(0)
    images, texts = normalised(rng, 30, 4), normalised(rng, 70, 4)
    owner = rng.integers(0, 30, 70)
    for a, b in zip(
        best_ranks(images, texts, owner), best_ranks(images, texts, owner, 7), strict=True
    ):
        assert np.array_equal(a, b)
    same = np.ones((5, 2), dtype=np.float32)
    i2t, t2i = best_ranks(same, same, np.arange(5))
    assert i2t.tolist() == t2i.tolist() == [0, 1, 2, 3, 4]  # a blind model is right by chance


def test_an_image_without_text_is_not_found():
    rng = np.random.default_rng(0)
    i2t, _ = best_ranks(normalised(rng, 3, 4), normalised(rng, 2, 4), np.array([0, 1]))
    assert i2t[2] == 2
