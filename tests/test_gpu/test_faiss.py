"""faiss on the GPU (requirements-gpu.txt): a stored index searched there and on the CPU."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("factory", ["Flat", "IVF16,Flat"])
def test_an_index_gives_the_same_neighbours_on_both(tmp_path: Path, factory: str) -> None:
    faiss = pytest.importorskip("faiss")
    if not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("needs a GPU build of faiss: requirements-gpu.txt")
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((2000, 32)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    faiss.write_index(index, str(tmp_path / "i.index"))
    stored = faiss.read_index(str(tmp_path / "i.index"))
    on_gpu = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, stored)
    for searched in (stored, on_gpu):
        if "IVF" in factory:
            searched.nprobe = 16
    scores, found = stored.search(rows[:50], 5)
    gpu_scores, gpu_found = on_gpu.search(rows[:50], 5)
    assert np.array_equal(found[:, 0], np.arange(50))
    assert (gpu_found == found).mean() > 0.99
    np.testing.assert_allclose(gpu_scores, scores, atol=1e-4)
