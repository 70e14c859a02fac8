import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from react_mm.manifest import ManifestError, write_json
from react_mm.retrieval.index import (
    IndexSettings,
    build_index,
    check_encoder,
    choose_index,
    import_faiss,
    load_card,
    load_index,
)
from react_mm.retrieval.stored_embeddings import StoredEmbeddings


class Rows(StoredEmbeddings):
    """Embeddings held in memory: clustered image rows; text rows off the image rows' manifold."""

    def __init__(self, count: int = 4000, dimension: int = 24, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        centres = generator.standard_normal((60, dimension))
        image = centres[generator.integers(0, 60, count)]
        image = image + 0.5 * generator.standard_normal(image.shape)
        gap = generator.standard_normal(dimension)
        text = image + 0.7 * generator.standard_normal(image.shape) + gap
        self.arrays = {"image": _unit(image), "text": _unit(text)}
        self.identity = {"architecture": "fake", "preprocessing": {"size": [8, 8]}}
        self.dimension, self.rows = dimension, count
        self.parts, self.starts = [(0, count)], np.array([0, count])
        self.folder = Path("memory")

    def part(self, modality: str, index: int) -> np.ndarray:
        return self.arrays[modality]


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize(
    ("rows", "kind", "limit", "nlist", "factory"),
    [
        (1, "auto", 200_000, None, "Flat"),
        (200_000, "auto", 200_000, None, "Flat"),
        (200_001, "auto", 200_000, None, "IVF1788,Flat"),
        (1_000_000, "auto", 200_000, None, "IVF4000,Flat"),
        (100_000_000, "auto", 200_000, None, "IVF40000,Flat"),
        (1_000_000, "flat", 200_000, None, "Flat"),
        (1000, "ivf_flat", 200_000, None, "IVF25,Flat"),
        (10, "ivf_flat", 200_000, None, "IVF1,Flat"),
        (1000, "ivf_flat", 200_000, 100, "IVF100,Flat"),
        (5, "ivf_flat", 200_000, 100, "IVF5,Flat"),
    ],
)
def test_choice_by_table(rows: int, kind: str, limit: int, nlist: int | None, factory: str) -> None:
    plan = choose_index(rows, kind, limit, nlist)
    assert plan.factory == factory
    assert plan.train_rows <= rows
    assert (plan.nlist == 0) == (factory == "Flat")
    if plan.nlist and nlist is None:
        assert plan.nlist == max(1, min(int(4 * math.sqrt(rows)), rows // 39))


def test_choice_refuses_no_rows() -> None:
    with pytest.raises(ValueError, match="0 rows"):
        choose_index(0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "hnsw"}, "'hnsw'; known are auto, flat, ivf_flat"),
        ({"recall_target": 0}, "recall_target"),
        ({"nprobe": 0}, "nprobe"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        IndexSettings(**settings)


def _brute_recall(store: Rows, index: object, modality: str, card: dict, k: int) -> float:
    """Recall@k by numpy alone, with the card's own queries."""
    chosen = np.sort(np.random.default_rng(0).permutation(store.rows)[:256])
    queries = store.arrays["text"][chosen].astype(np.float32)
    scores = queries @ store.arrays[modality].astype(np.float32).T
    found = index.search(queries, k + 1)[1]
    shares = []
    for number, own in enumerate(chosen):
        line, rows = scores[number].copy(), found[number]
        if modality == "text":
            line[own], rows = -9, rows[rows != own]
        best = np.argsort(-line)[:k]
        shares.append(len(set(best) & set(rows[:k])) / k)
    return float(np.mean(shares))


def test_ivf_reaches_its_target_with_text_queries_and_the_card_says_so(tmp_path: Path) -> None:
    store = Rows()
    settings = IndexSettings(kind="ivf_flat", recall_target=0.9, k=20)
    card = build_index(store, tmp_path, settings, progress=False)
    assert load_card(tmp_path) == json.loads(json.dumps(card))
    for modality in ("image", "text"):
        entry = card["keys"][modality]
        assert load_index(tmp_path, modality).metric_type == import_faiss().METRIC_INNER_PRODUCT
        index = load_index(tmp_path, modality)
        assert index.nprobe == entry["nprobe"] > 1
        assert index.ntotal == store.rows
        assert entry["recall_reached"] and entry["recall"]["recall@20"] >= 0.9
        truth = _brute_recall(store, index, modality, card, 20)
        assert truth == pytest.approx(entry["recall"]["recall@20"], abs=2e-3)
        index.nprobe = entry["nprobe"] // 2
        assert _brute_recall(store, index, modality, card, 20) < 0.9


def test_a_given_nprobe_is_kept_and_a_missed_target_is_told(tmp_path: Path) -> None:
    settings = IndexSettings(kind="ivf_flat", nprobe=1, recall_target=0.999)
    card = build_index(Rows(), tmp_path, settings, progress=False)
    assert card["keys"]["image"]["nprobe"] == 1
    assert card["keys"]["image"]["recall_reached"] is False
    assert load_index(tmp_path, "image").nprobe == 1
    card["keys"]["image"]["nprobe"] = 3  # the card decides, not what faiss keeps in its file
    write_json(tmp_path / "index.json", card)
    assert load_index(tmp_path, "image").nprobe == 3


def test_damaged_missing_and_foreign_index_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="index.json is missing"):
        load_card(tmp_path)
    build_index(Rows(300), tmp_path, progress=False)
    path = tmp_path / "image.index"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    with pytest.raises(ManifestError, match="image.index is damaged"):
        load_index(tmp_path, "image")
    path.unlink()
    with pytest.raises(ManifestError, match="image.index is missing"):
        load_index(tmp_path, "image")
    assert load_index(tmp_path, "text").ntotal == 300


def test_another_encoder_is_refused_with_both_identities() -> None:
    card = {"encoder": {"architecture": "ViT-B-32", "mean": [1, 2]}}
    check_encoder(card, {"architecture": "ViT-B-32", "mean": (1, 2)})
    with pytest.raises(ManifestError) as error:
        check_encoder(card, {"architecture": "ViT-B-16", "mean": (1, 2)})
    message = str(error.value)
    assert "ViT-B-32" in message and "ViT-B-16" in message
    assert "architecture: 'ViT-B-32' -> 'ViT-B-16'" in message


def test_faiss_is_imported_only_when_needed_and_its_absence_is_explained() -> None:
    code = (
        "import sys\n"
        "import react_mm.retrieval.pipeline, react_mm.retrieval.index as index\n"
        "assert not {'faiss', 'torch', 'mmdet', 'mmengine'} & set(sys.modules), 'imported early'\n"
        "sys.modules['faiss'] = None\n"
        "try:\n    index.import_faiss()\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install faiss-cpu" in done.stdout
