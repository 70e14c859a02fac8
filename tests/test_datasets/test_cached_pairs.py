"""Pairs from stored tokens: the right image's tokens, other fields as without the store."""

import numpy as np
import pytest
import torch

from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.datasets.images import DamagedImageError
from react_mm.datasets.pairs import PairDataset
from tests.pair_shards import add, png, write_shard

PIPELINE = [dict(type="react_mm.ResizeCenterCrop", size=32)]


def encode(images: np.ndarray) -> np.ndarray:
    """Tokens that tell the images apart: pixel sums per channel and half."""
    halves = images.reshape(len(images), 3, 2, -1).astype(np.float32).mean(-1)
    return halves.transpose(0, 2, 1)


@pytest.fixture
def sources(tmp_path):
    write_shard(tmp_path / "pairs.tar", 7, captions=3)
    write_shard(tmp_path / "general.tar", 4, first=5)
    return [
        dict(path=str(tmp_path / "pairs.tar")),
        dict(path=str(tmp_path / "general.tar"), role="general"),
    ]


def test_items_are_those_of_the_plain_data_set_with_tokens_for_pixels(sources, tmp_path):
    plain = PairDataset(sources, PIPELINE)
    cached = CachedPairDataset(str(tmp_path / "store"), sources=sources, pipeline=PIPELINE)
    assert torch.equal(cached[3]["inputs"], plain[3]["inputs"])  # not filled yet
    # 7 + 4 images, of which k005 and k006 are in both
    assert cached.fill_prefix_cache(encode, "prefix", batch_size=2) == 9
    for index in range(len(plain)):
        expected, item = plain[(3, index)], cached[(3, index)]
        tokens = torch.from_numpy(encode(expected["inputs"].numpy()[None])[0]).half()
        assert torch.equal(item.pop("inputs"), tokens)
        expected.pop("inputs")
        assert item == expected
    assert np.array_equal(cached.indices_of("general"), plain.indices_of("general"))


def test_a_second_run_computes_nothing_and_another_prefix_all(sources, tmp_path):
    def make():
        return CachedPairDataset(str(tmp_path / "store"), sources=sources, pipeline=PIPELINE)

    make().fill_prefix_cache(encode, "prefix")
    assert make().fill_prefix_cache(encode, "prefix") == 0
    assert make().fill_prefix_cache(encode, "other weights") == 9
    smaller = CachedPairDataset(
        str(tmp_path / "store"),
        sources=sources,
        pipeline=[dict(type="react_mm.ResizeCenterCrop", size=16)],
    )
    assert smaller.fill_prefix_cache(encode, "prefix") == 9  # other pixels, other tokens


def test_a_damaged_image_is_named(tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in (("a", png(1)), ("b", b"no picture"), ("c", png(2))):
            add(tar, f"{name}.png", data)
            add(tar, f"{name}.txt", name.encode())
    cached = CachedPairDataset(
        str(tmp_path / "store"), sources=[dict(path=str(tmp_path / "a.tar"))], pipeline=PIPELINE
    )
    with pytest.raises(DamagedImageError, match=r"a/b: .*leave it out"):
        cached.fill_prefix_cache(encode, "prefix")


def test_random_augmentation_is_refused(sources, tmp_path):
    with pytest.raises(ValueError, match="RandomHorizontalFlip may change"):
        CachedPairDataset(
            str(tmp_path), sources=sources, pipeline=[dict(type="react_mm.RandomHorizontalFlip")]
        )
