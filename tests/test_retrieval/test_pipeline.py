import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_world import HashEncoder, config, pair, picture, write_pool, write_tar

from react_mm.manifest import Manifest, ManifestError, RunLock
from react_mm.retrieval.pipeline import STAGES, run
from react_mm.retrieval.records import CHOICE_SCHEMA, HIT_SCHEMA, read_parquet

SCRIPT = Path(__file__).with_name("fake_world.py")
KILLS = 5
LINE = ("embed", "index", "query", "select", "export")


def _bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def _quiet(settings: dict, encoder: HashEncoder | None = None, stages: object = None) -> dict:
    return run(settings, encoder or HashEncoder(), stages, progress=False)


def test_stages_one_by_one_equal_the_whole_run(finished: Path, tmp_path: Path) -> None:
    sample = [{"name": "control"}, {"name": "general", "number": 9, "seed": 3}]
    settings = config(finished / "pool", tmp_path / "work", sample=sample)
    for stage in STAGES:
        result = run(settings, HashEncoder(), [stage], progress=False)
        assert set(result) == {stage, "seconds", "skipped"} and result["skipped"] == []
    for name, data in _bytes_of(finished / "work").items():
        if name not in ("retrieved/manifest.json", "samples/manifest.json"):
            other = (tmp_path / "work" / name).read_bytes()
            text = str(finished / "work").encode()
            assert other.replace(str(tmp_path / "work").encode(), text) == data, name


def test_a_second_run_does_nothing_and_says_so(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    settings = config(finished / "pool", tmp_path / "work", sample={"name": "control"})
    _quiet(settings)
    before = _bytes_of(tmp_path / "work")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "work").rglob("*") if p.is_file()}
    encoder = HashEncoder()
    result = run(settings, encoder, progress=True)
    names = ["embeddings", "index", "hits", "selected", "retrieved", "samples/control"]
    assert result["skipped"] == names
    assert encoder.calls == 0 and _bytes_of(tmp_path / "work") == before
    assert all(p.stat().st_mtime_ns == t for p, t in times.items() if p.name != ".lock")
    assert capsys.readouterr().out.count("done and unchanged, skipped") == len(names)


@pytest.mark.parametrize(
    ("changes", "redone"),
    [
        ({"index": {"kind": "ivf_flat"}}, ["index", "hits"]),
        ({"search": {"k": 9}}, ["hits", "selected", "retrieved"]),
        ({"search": {"k": 10, "batch_size": 1}}, []),
        ({"query": {"concepts": ["red"]}}, ["hits", "selected", "retrieved"]),
        ({"select": {"per_concept": 7}}, ["selected", "retrieved"]),
        ({"export": {"shard_size": 4}}, ["retrieved"]),
        ({"embed": {"batch_size": 7, "workers": 1}}, []),
    ],
)
def test_only_stages_whose_settings_or_inputs_changed_are_redone(
    finished: Path, tmp_path: Path, changes: dict, redone: list[str]
) -> None:
    work = Path(shutil.copytree(finished / "work", tmp_path / "work"))
    result = _quiet(config(finished / "pool", work, **changes))
    names = ("embeddings", "index", "hits", "selected", "retrieved")
    assert [name for name in names if name not in result["skipped"]] == redone


def test_held_out_images_are_in_no_set(finished: Path, tmp_path: Path) -> None:
    colours = ["red", "green", "blue", "yellow", "black", "white"]
    (tmp_path / "eval").mkdir()
    rows = read_parquet(finished / "work/selected/selected.parquet", CHOICE_SCHEMA)["row"]
    leaks = rows.to_pylist()[:4]
    for row in leaks:
        (tmp_path / f"eval/{row}.png").write_bytes(picture(colours[row % 6], row))
    select = {"per_concept": 8, "held_out": [str(tmp_path / "eval")]}
    sample = [{"name": "all", "number": 60}]
    settings = config(finished / "pool", tmp_path / "work", select=select, sample=sample)
    result = _quiet(settings)
    assert result["select"]["rules"][1] == {
        "rule": "held_out",
        "before": 20,
        "removed": 4,
        "after": 16,
    }
    assert result["sample"]["all"]["pairs"] == 56
    for folder in ("retrieved", "samples/all"):
        found = read_parquet(tmp_path / "work" / folder / "pairs.parquet")["row"].to_pylist()
        assert not set(leaks) & set(found)
    (tmp_path / "eval" / f"{leaks[0]}.png").unlink()
    again = _quiet(settings)
    assert again["select"]["rules"][1]["removed"] == 3
    assert again["sample"]["all"]["pairs"] == 57


def test_k_beyond_the_index_gives_every_row_once(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "pool", shards=1, per_shard=6)
    settings = config(pool, tmp_path / "work", search={"k": 500})
    result = _quiet(settings)
    assert result["query"] == {"queries": 4, "hits": 4 * 2 * 6, "pairs": 6}
    hits = read_parquet(tmp_path / "work/hits/hits.parquet", HIT_SCHEMA)
    assert set(hits["row"].to_pylist()) == set(range(6))
    keys = dict(zip(hits["row"].to_pylist(), hits["key"].to_pylist(), strict=True))
    assert keys == {row: f"{row:06d}" for row in range(6)}


def test_refusals_come_before_any_embedding(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "page.tar").write_bytes(b"<html>" * 200)
    bad_pool = [{"type": "webdataset", "path": str(tmp_path / "page.tar")}]
    cases = [
        ({"query": {"concepts": []}}, "empty"),
        ({"query": {"concepts": ["red", "red"]}}, "twice"),
        ({"query": {"concepts": str(tmp_path / "none.txt")}}, "no such file"),
        ({"query": {"concepts": ["red"], "templates": "foto"}}, "did you mean photo"),
        ({"query": None}, "lacks `query`"),
        ({"pool": bad_pool}, "page.tar is not a tar"),
        ({"pool": [{"type": "webdataset", "path": "/nowhere/*.tar"}]}, "no tar shard"),
        ({"select": {"held_out": [str(tmp_path / "gone")]}}, "held-out source"),
    ]
    for changes, words in cases:
        encoder = HashEncoder()
        settings = config(finished / "pool", tmp_path / "work", **changes)
        with pytest.raises((ValueError, OSError), match=words):
            _quiet(settings, encoder)
        assert encoder.calls == 0 and not (tmp_path / "work/embeddings").exists()
    with pytest.raises(ValueError, match="need an encoder"):
        run(config(finished / "pool", tmp_path / "work"), None, ["embed"], progress=False)
    with pytest.raises(ValueError, match="unknown stage.*serch"):
        _quiet(config(finished / "pool", tmp_path / "work"), stages=["serch"])


def test_stages_need_the_ones_before_them(finished: Path, tmp_path: Path) -> None:
    settings = config(finished / "pool", tmp_path / "work", sample={"name": "x"})
    for stage in STAGES[1:]:
        with pytest.raises(ManifestError, match="missing"):
            _quiet(settings, stages=[stage])


def test_another_encoder_is_refused_by_query_and_by_run(finished: Path, tmp_path: Path) -> None:
    work = Path(shutil.copytree(finished / "work", tmp_path / "work"))
    settings = config(finished / "pool", work, query={"concepts": ["green"]})
    before = _bytes_of(work)
    for stages in (["query"], None):
        with pytest.raises(ManifestError, match="(?s)fake.*other"):
            _quiet(settings, HashEncoder("other"), stages)
    assert _bytes_of(work) == before


def test_a_flipped_byte_in_the_embeddings_stops_indexing(finished: Path, tmp_path: Path) -> None:
    work = Path(shutil.copytree(finished / "work", tmp_path / "work"))
    path = work / "embeddings/text_emb/text_emb_0001.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 2
    path.write_bytes(data)
    settings = config(finished / "pool", work, index={"kind": "ivf_flat"})
    with pytest.raises(ManifestError, match="text_emb_0001.npy is damaged"):
        _quiet(settings, stages=["index"])
    hits = work / "hits/pairs.parquet"
    data = bytearray(hits.read_bytes())
    data[len(data) // 2] ^= 2
    hits.write_bytes(data)
    with pytest.raises(ManifestError, match="pairs.parquet is damaged"):
        _quiet(settings, stages=["select"])


def test_a_second_run_on_one_folder_is_refused(finished: Path, tmp_path: Path) -> None:
    settings = config(finished / "pool", tmp_path / "work")
    with RunLock(tmp_path / "work"), pytest.raises(ManifestError, match="another run"):
        _quiet(settings)


def test_duplicate_images_are_selected_once(tmp_path: Path) -> None:
    members = [m for i in range(5) for m in pair(f"r{i}", "red", 0 if i < 3 else i)]
    pool = tmp_path / "pool"
    write_tar(pool / "a.tar", members + pair("b", "blue", 50))
    result = _quiet(config(pool, tmp_path / "work"))
    assert result["select"]["rules"][2]["removed"] == 2
    shas = read_parquet(tmp_path / "work/retrieved/pairs.parquet")["sha256"].to_pylist()
    assert len(set(shas)) == len(shas) == 4


def test_paths_with_spaces_and_other_scripts(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "mein pöol [1]", shards=1, per_shard=12)
    settings = config(pool, tmp_path / "выход 1")
    settings["pool"] = [{"type": "webdataset", "path": str(pool)}]
    assert _quiet(settings)["export"]["pairs"] == 12


def _start(settings: Path, delay: float, stages: str) -> subprocess.Popen:
    """Run stages in a process of their own."""
    command = [sys.executable, str(SCRIPT), str(settings), str(delay), stages]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def _wait_for(process: subprocess.Popen, path: Path) -> None:
    """Wait until a file is there, or fail when the process ended first."""
    while not path.exists():
        assert process.poll() is None, process.communicate()[1].decode()
        time.sleep(0.005)


def test_a_killed_embed_goes_on_where_it_was_with_equal_bytes(
    finished: Path, tmp_path: Path
) -> None:
    settings = config(finished / "pool", tmp_path / "work")
    (tmp_path / "c.json").write_text(json.dumps(settings))
    process = _start(tmp_path / "c.json", 0.3, "embed")
    _wait_for(process, tmp_path / "work/embeddings/parts/part_0000.json")
    with pytest.raises(ManifestError, match=f"process {process.pid}"):
        _quiet(settings)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "work/embeddings/parts/part_0002.json").exists()
    assert not Manifest.load(tmp_path / "work/embeddings").complete
    with pytest.raises(ManifestError, match="no complete embeddings"):
        _quiet(settings, stages=["index"])
    encoder = HashEncoder()
    _quiet(settings, encoder, ["embed"])
    assert encoder.calls in (3, 6)  # three batches a part; the first part was not redone
    whole, resumed = (_bytes_of(root / "work/embeddings") for root in (finished, tmp_path))
    assert resumed == whole


def test_kills_at_random_points_of_the_whole_line_give_equal_bytes(
    finished: Path, tmp_path: Path
) -> None:
    settings = config(finished / "pool", tmp_path / "work")
    (tmp_path / "c.json").write_text(json.dumps(settings))

    def start() -> subprocess.Popen:
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        process = _start(tmp_path / "c.json", 0.05, ",".join(LINE))
        _wait_for(process, tmp_path / "work/.lock")
        return process

    process, begin = start(), time.perf_counter()
    assert process.wait() == 0, process.communicate()[1].decode()
    duration, generator, kills = time.perf_counter() - begin, random.Random(0), 0
    whole = _bytes_of(tmp_path / "work")
    assert (
        whole["embeddings/manifest.json"]
        == _bytes_of(finished / "work")["embeddings/manifest.json"]
    )
    for _ in range(KILLS):
        process = start()
        time.sleep(generator.uniform(0, duration))
        kills += process.poll() is None
        process.kill()
        process.communicate()
        _quiet(settings, stages=LINE)
        assert _bytes_of(tmp_path / "work") == whole
    assert kills >= KILLS // 2


def test_a_moved_folder_can_be_queried(finished: Path, tmp_path: Path) -> None:
    work = Path(shutil.copytree(finished / "work", tmp_path / "elsewhere"))
    settings = config(finished / "pool", work, query={"concepts": ["yellow"]})
    result = _quiet(settings, stages=["query", "select", "export"])
    assert result["select"]["concepts"]["yellow"]["selected"] == 8
    rows = read_parquet(work / "retrieved/pairs.parquet")["row"].to_numpy()
    np.testing.assert_array_equal(rows % 6, 3)
