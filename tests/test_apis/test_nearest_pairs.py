"""Pictures find their own pairs in an index."""

import numpy as np
import pytest

from react_mm.apis import Inferencer
from react_mm.apis.encoder import Encoder
from react_mm.manifest import ManifestError
from react_mm.retrieval.pipeline import run
from tests.inference_toys import CLASSIFIER, SEGMENTOR, picture, write_gated_delta


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Twelve captioned pictures, embedded and indexed by toy-vit."""
    folder = tmp_path_factory.mktemp("pool")
    (folder / "photos").mkdir()
    for seed in range(12):
        picture(64, 64, seed).save(folder / "photos" / f"{seed}.png")
        (folder / "photos" / f"{seed}.txt").write_text(f"picture {seed}")
    (folder / "names.txt").write_text("cat\n")
    encoder = Encoder(Inferencer(CLASSIFIER, vocabulary=["cat"]).model)
    settings = dict(
        work_dir=str(folder / "line"),
        pool=[dict(type="folder", path=str(folder / "photos"))],
        query=dict(concepts=str(folder / "names.txt")),
    )
    run(settings, encoder, ["embed", "index"], progress=False)
    return folder


def test_a_picture_finds_itself(pool):
    inferencer = Inferencer(CLASSIFIER)
    result = inferencer.retrieve(picture(64, 64, 5), pool / "line", k=4)
    assert result["pairs"][0]["caption"] == "picture 5"
    assert result["pairs"][0]["score"] == pytest.approx(1, abs=1e-3)
    assert [pair["rank"] for pair in result["pairs"]] == [1, 2, 3, 4]
    vectors = np.concatenate(
        [np.load(p) for p in sorted((pool / "line/embeddings/img_emb").glob("*.npy"))]
    ).astype(np.float64)
    cosines = sorted(vectors @ vectors[int(np.argmax(_rows(pool) == "picture 5"))], reverse=True)
    found = [pair["score"] for pair in result["pairs"]]
    np.testing.assert_allclose(found, cosines[:4], atol=2e-3)


def _rows(pool):
    import pyarrow.parquet as pq

    files = sorted((pool / "line/embeddings/metadata").glob("*.parquet"))
    return np.concatenate([pq.read_table(f)["caption"].to_numpy() for f in files])


def test_folders_and_damaged_pictures(pool):
    (pool / "photos" / "zero.png").write_bytes(b"")
    results = Inferencer(CLASSIFIER).retrieve(pool / "photos", pool / "line", k=1)
    found = {r["image"]: r["pairs"][0]["caption"] for r in results if "pairs" in r}
    assert found == {f"{seed}.png": f"picture {seed}" for seed in range(12)}
    assert [r["image"] for r in results if "rejected" in r] == ["zero.png"]


def test_another_encoder_is_refused(pool, tmp_path):
    other = Inferencer(CLASSIFIER, delta=write_gated_delta(tmp_path / "d.safetensors"))
    with pytest.raises(ManifestError, match="weights_hash"):
        other.retrieve(picture(), pool / "line")
    with pytest.raises(ValueError, match=r"react_mm\.CLIP"):
        Inferencer(SEGMENTOR).retrieve(picture(), pool / "line")
    with pytest.raises(ValueError, match="image or text"):
        Inferencer(CLASSIFIER).retrieve(picture(), pool / "line", keys="images")
