"""A drawn world of a few images, and the chain's shipped config made small enough for tests."""

from __future__ import annotations

import pytest

from react_mm.toy import writer

NO_WORKERS = {"num_workers": 0, "persistent_workers": False}
SMALL_TRAINING = {
    "train_cfg": {"max_iters": 2, "val_interval": 2},
    "train_dataloader": {
        "batch_size": 8,
        "sampler": {"pairs_per_batch": 4, "general_per_batch": 4},
    },
}


@pytest.fixture(scope="session")
def small_world(tmp_path_factory):
    """``data/toy`` with 96 pairs, one labelled image per concept and split, and 20 scenes."""
    folder = tmp_path_factory.mktemp("world")
    out = folder / "data" / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "CLASSIFICATION_PER_CONCEPT", 1)
        patch.setattr(writer, "SCENES", {"train": 8, "val": 5, "test": 7})
        out.mkdir(parents=True)
        writer._write_names(out)
        writer._write_shard(out / "pool", 0, "pool", 0, 96)
        for split in ("val", "test"):
            for concept in range(48):
                writer._write_class(out / "classification", 0, split, concept)
        for split in ("train", "val", "test"):
            writer._write_scenes(out / "scenes", 0, split)
    return folder


@pytest.fixture
def small_options():
    """Options that shrink ``configs/chain/toy.py``; the world is there already."""
    return {
        "world": None,
        "lanes": 1,
        "retrieval": {
            "options": {
                "search.k": 10,
                "select.min_score": None,
                "select.per_concept": 4,
                "sample.0.number": 12,
            }
        },
        "customization": {
            "customized": {"options": SMALL_TRAINING},
            "dense": {"options": SMALL_TRAINING},
        },
        "gate_scale": {"scales": [0.0, 1.0]},
        "detector": {
            "options": {
                "train_cfg": {"max_iters": 2, "val_interval": 2},
                "train_dataloader": {"batch_size": 2, **NO_WORKERS},
                "val_dataloader": NO_WORKERS,
                "test_dataloader": NO_WORKERS,
            }
        },
        "score_weights": [[0.35, 0.65], [0.0, 1.0]],
        "tests": {"gt_box": {"options": {"test_dataloader": NO_WORKERS}}},
    }


@pytest.fixture
def toy_config(repository):
    """The shipped chain of the drawn world."""
    return repository / "configs" / "chain" / "toy.py"
