"""The memory that configs name."""

import numpy as np
import pytest

from react_mm.datasets.pair_memory import PairMemory
from react_mm.manifest import ManifestError
from react_mm.registry import DATASETS
from tests.reco_memory import write_memory
from tests.test_retrieval.fake_world import HashEncoder


def test_answers_as_the_memory_below_and_names_itself(tmp_path):
    folder = write_memory(tmp_path)
    memory = DATASETS.build(dict(type="react_mm.PairMemory", folder=folder))
    queries = HashEncoder().encode_texts(["red"])
    rows, scores, embeddings = memory(queries, 3, "text")
    below = memory.memory.search(queries, 3, "text")
    assert np.array_equal(rows, below.rows) and np.array_equal(scores, below.scores)
    assert np.array_equal(embeddings, below.embeddings)
    assert len(memory) == 40 == memory.describe()["rows"]
    assert all("red" in caption for caption in memory.captions(rows[0]))
    part = PairMemory(folder, exclude=["pool-000001"])
    assert len(part) == 20 and part.digest != memory.digest
    with pytest.raises(ManifestError, match="architecture"):
        memory.check_encoder(HashEncoder("other").identity)
