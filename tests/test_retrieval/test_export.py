import json
import re
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_world import pair, picture, write_tar

from react_mm.manifest import Manifest, ManifestError, sha256_bytes
from react_mm.retrieval.export import (
    ExportSettings,
    export_keys,
    export_set,
    render_template,
    stored_image,
)
from react_mm.retrieval.records import CHOICE_SCHEMA, read_parquet

CARD = {"title": "T", "how": "h", "rules": [], "concepts": {}, "sources": ["s"], "encoder": "e"}


def _read_as_webdataset(path: Path) -> list[tuple[str, dict[str, bytes]]]:
    """webdataset's grouping: neighbours with the same name up to the first dot are one sample."""
    samples: list[tuple[str, dict[str, bytes]]] = []
    with tarfile.open(path) as archive:
        for member in archive:
            assert member.isreg() and member.mtime == 0
            key, suffix = re.match(r"^((?:.*/|)[^.]+)[.]([^/]*)$", member.name).groups()
            if not samples or samples[-1][0] != key:
                samples.append((key, {}))
            assert suffix not in samples[-1][1]
            samples[-1][1][suffix] = archive.extractfile(member).read()
    assert len({key for key, _ in samples}) == len(samples)
    return samples


@pytest.fixture
def choice(finished: Path) -> pa.Table:
    return read_parquet(finished / "work/selected/selected.parquet", CHOICE_SCHEMA)


def test_a_set_reads_back_as_the_chosen_pairs(finished: Path, choice: pa.Table) -> None:
    folder = finished / "work/retrieved"
    shards = sorted(folder.glob("set-*.tar"))
    assert [shard.name for shard in shards] == [f"set-{i:06d}.tar" for i in range(4)]
    samples = [sample for shard in shards for sample in _read_as_webdataset(shard)]
    table = pq.read_table(folder / "pairs.parquet").to_pylist()
    rows = choice.to_pylist()
    assert len(samples) == len(table) == len(rows) == 16
    for (key, parts), line, row in zip(samples, table, rows, strict=True):
        number = int(row["key"])
        colours = ["red", "green", "blue", "yellow", "black", "white"]
        assert set(parts) == {"png", "txt", "json"}
        assert parts["png"] == picture(colours[number % 6], number)
        assert parts["txt"].decode() == row["caption"] == line["caption"]
        facts = json.loads(parts["json"])
        assert facts["concept"] == colours[number % 6] == line["concept"] == row["concept"]
        assert facts["sha256"] == line["sha256"] == sha256_bytes(parts["png"])
        assert facts["source"].endswith(f".tar::{row['key']}.png") and line["key"] == key
        assert facts["best_score"] == pytest.approx(row["best_score"], abs=1e-6)
        assert facts["modes"] == row["modes"] == line["modes"] and line["status"] == "success"
    card = (folder / "DATACARD.md").read_text()
    assert "16 image-text pairs in 4 tar" in card and "| red | " in card and "fake" in card
    Manifest.load(folder).verify()


def _export(choice: pa.Table, folder: Path, size: int = 5) -> Manifest:
    settings = ExportSettings(shard_size=size)
    manifest = Manifest(folder, "export", {"size": size}, {"n": choice.num_rows})
    export_set(choice, manifest, settings, CARD, progress=False)
    manifest.save(complete=True)
    return manifest


def test_equal_choices_give_equal_bytes_and_whole_shards_are_kept(
    choice: pa.Table, tmp_path: Path
) -> None:
    one, two = _export(choice, tmp_path / "one"), _export(choice, tmp_path / "two")
    assert one.files == two.files
    names = sorted(one.files)
    old = Manifest.load(tmp_path / "two")
    old.save(complete=False)
    (tmp_path / "two/set-000002.tar").unlink()
    kept = (tmp_path / "two/set-000000.tar").stat().st_mtime_ns
    again = _export(choice, tmp_path / "two")
    assert again.files == one.files and sorted(again.files) == names
    assert (tmp_path / "two/set-000000.tar").stat().st_mtime_ns == kept


def test_a_smaller_choice_leaves_no_old_shard(choice: pa.Table, tmp_path: Path) -> None:
    _export(choice, tmp_path)
    _export(choice.slice(0, 3), tmp_path)
    assert [path.name for path in tmp_path.glob("*.tar")] == ["set-000000.tar"]
    assert len(_read_as_webdataset(tmp_path / "set-000000.tar")) == 3


def test_an_image_that_changed_or_moved_is_refused_by_name(tmp_path: Path, finished: Path) -> None:
    pool = Path(shutil.copytree(finished / "pool", tmp_path / "pool"))
    row = read_parquet(finished / "work/selected/selected.parquet", CHOICE_SCHEMA).to_pylist()[0]
    row["image_path"] = str(pool / Path(row["image_path"]).name)
    assert sha256_bytes(stored_image(row)) == row["sha256"]
    write_tar(Path(row["image_path"]), pair("000000", "green", 77) * 9)
    with pytest.raises(ManifestError, match=rf"{row['member']} has changed since"):
        stored_image(row)
    Path(row["image_path"]).unlink()
    with pytest.raises(ManifestError, match="missing image.*has the pool been moved"):
        stored_image(row)


def test_nothing_selected_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing is selected"):
        _export(CHOICE_SCHEMA.empty_table(), tmp_path)


def test_names_inside_the_shards_are_unique_and_without_dots() -> None:
    keys = ["a.b/c", "a_b_c", "ü", "x", "../..", "__"]
    names = export_keys(keys, [0, 1, 2, 3, 4, 5])
    assert names[2:4] == ["ü", "x"]
    assert names[0] == "000000000-a_b_c" and names[1] == "000000001-a_b_c"
    assert len(set(names)) == 6
    assert all(re.fullmatch(r"[^./_][^./]*", name) for name in names)


def test_html_is_escaped_and_missing_values_are_an_error() -> None:
    section = {"concept": "<b>", "hit": 1, "selected": 0, "median": None, "pictures": []}
    text = render_template("report.html.jinja", sections=[section], rules=[], facts={})
    assert "&lt;b&gt;" in text and "<b></a>" not in text
    with pytest.raises(Exception, match="undefined"):
        render_template("report.html.jinja", sections=[])


@pytest.mark.parametrize("values", [{"shard_size": 0}, {"prefix": "a/b"}, {"prefix": ""}])
def test_settings_out_of_range_are_refused(values: dict) -> None:
    with pytest.raises(ValueError, match="export"):
        ExportSettings(**values)
