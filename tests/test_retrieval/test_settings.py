from pathlib import Path

import pytest
from fake_world import config

from react_mm.retrieval.settings import parse_settings


def test_a_whole_config_is_parsed(tmp_path: Path) -> None:
    sample = {"name": "general", "number": 5}
    extra = {"sample": sample, "encoder": {"type": "react_mm.CLIP"}, "default_scope": "react_mm"}
    settings = parse_settings(config(tmp_path / "pool", tmp_path / "out", **extra))
    assert settings.embed.batch_size == 7 and settings.search.k == 10
    assert settings.search.modes == ("T2I", "T2T")
    assert settings.sample[0].number == 5 and settings.select.exact_duplicates


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"serch": {}}, "unknown key 'serch'; did you mean search"),
        ({"search": {"kk": 5}}, "unknown key search.kk"),
        ({"select": {"per_concpet": 5}}, "select.per_concpet; did you mean per_concept"),
        ({"embed": {"batchsize": 5}}, "embed.batchsize; did you mean batch_size"),
        ({"sample": [{"name": "a", "n": 3}]}, r"unknown key sample\[0\].n"),
        ({"sample": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"sample": [{"number": 3}]}, r"sample\[0\].*name"),
        ({"query": {"templates": "photo"}}, "query.*concepts"),
        ({"search": {"modes": ("I2T",)}}, "search.modes"),
        ({"search": {"k": 0}}, "search.k must be 1 or more"),
        ({"embed": {"on_change": "ignore"}}, "on_change"),
        ({"pool": []}, "pool"),
        ({"work_dir": ""}, "work_dir"),
    ],
)
def test_keys_that_are_unknown_missing_or_out_of_range_are_refused(
    tmp_path: Path, changes: dict, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        parse_settings(config(tmp_path / "pool", tmp_path / "out", **changes))
