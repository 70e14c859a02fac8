import itertools

import numpy as np
import pyarrow as pa
import pytest

from react_mm.retrieval.records import HIT_SCHEMA, MODES, PAIR_SCHEMA
from react_mm.retrieval.selection import SelectionRules, select_pairs


def _hits(*rows: tuple) -> pa.Table:
    """Rows (concept, mode, row, score, standard_score)."""
    names = ("concept", "mode", "row", "score", "standard_score")
    fixed = {"template": "{}", "key": "", "rank": 0}
    listed = [
        {**dict(zip(names, row, strict=True)), **fixed, "query_id": f"{row[0]}{i % 3}"}
        for i, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(listed, schema=HIT_SCHEMA)


def _pairs(shas: list[str]) -> pa.Table:
    rows = [{"row": i, "sha256": sha, "key": str(i)} for i, sha in enumerate(shas)]
    return pa.Table.from_pylist(rows, schema=PAIR_SCHEMA)


def _random(seed: int, count: int = 400, pairs: int = 60) -> tuple[pa.Table, pa.Table]:
    generator = np.random.default_rng(seed)
    rows = [
        (
            f"c{generator.integers(5)}",
            MODES[generator.integers(2)],
            int(generator.integers(pairs)),
            round(float(generator.random()), 1),  # many ties
            round(float(generator.random()), 1),
        )
        for _ in range(count)
    ]
    return _hits(*rows), _pairs([f"s{generator.integers(pairs // 2)}" for _ in range(pairs)])


def _reference(hits: pa.Table, pairs: pa.Table, rules: SelectionRules, held_out: set[str]) -> dict:
    """The rules again, in plain Python: row -> concept."""
    sha = dict(zip(pairs["row"].to_pylist(), pairs["sha256"].to_pylist(), strict=True))
    best: dict[int, tuple] = {}
    for hit in hits.to_pylist():
        if hit["score"] < rules.threshold(hit["mode"]):
            continue
        first = hit[rules.order_by]
        value = (-first, -hit["score"], hit["concept"], MODES.index(hit["mode"]))
        if hit["row"] not in best or value < best[hit["row"]]:
            best[hit["row"]] = value
    left = [(v[0], v[1], row, v[2]) for row, v in best.items() if sha[row] not in held_out]
    chosen: dict[int, str] = {}
    seen: set[str] = set()
    number: dict[str, int] = {}
    for _, _, row, concept in sorted(left):
        if rules.exact_duplicates:
            if sha[row] in seen:
                continue
            seen.add(sha[row])
        number[concept] = number.get(concept, 0) + 1
        if rules.per_concept is None or number[concept] <= rules.per_concept:
            chosen[row] = concept
    return chosen


RULES = [
    SelectionRules(exact_duplicates=duplicates, per_concept=cap, min_score=low, order_by=order)
    for duplicates, cap, low, order in itertools.product(
        (True, False), (3, None), (None, 0.4, {"T2I": 0.6}), ("score", "standard_score")
    )
]


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_selection_equals_the_plain_reference_in_any_order_of_hits(rules: SelectionRules) -> None:
    held_out = {"s3", "s7", "unknown"}
    for seed in range(3):
        hits, pairs = _random(seed)
        want = _reference(hits, pairs, rules, held_out)
        generator = np.random.default_rng(seed)
        for table in (hits, *(hits.take(generator.permutation(len(hits))) for _ in range(3))):
            shuffled = pairs.take(generator.permutation(len(pairs)))
            found = select_pairs(table, shuffled, rules, held_out)
            got = dict(
                zip(found.pairs["row"].to_pylist(), found.pairs["concept"].to_pylist(), strict=True)
            )
            assert got == want
            assert found.pairs["row"].to_pylist() == sorted(want)


def test_counts_add_up_and_caps_hold() -> None:
    hits, pairs = _random(5)
    found = select_pairs(hits, pairs, SelectionRules(per_concept=4, min_score=0.3), {"s1"})
    assert [rule["rule"] for rule in found.rules] == [
        "min_score",
        "held_out",
        "exact_duplicates",
        "per_concept",
    ]
    assert found.rules[0]["before"] == len(set(hits["row"].to_pylist()))
    for rule, following in itertools.pairwise(found.rules):
        assert rule["before"] - rule["removed"] == rule["after"] == following["before"]
    assert found.rules[-1]["after"] == found.pairs.num_rows
    selected = {name: counts["selected"] for name, counts in found.concepts.items()}
    assert sum(selected.values()) == found.pairs.num_rows and max(selected.values()) <= 4
    assert "s1" not in found.pairs["sha256"].to_pylist()
    assert len(set(found.pairs["sha256"].to_pylist())) == found.pairs.num_rows


def test_selecting_again_changes_nothing() -> None:
    hits, pairs = _random(9)
    rules = SelectionRules(per_concept=3)
    once = select_pairs(hits, pairs, rules)
    kept = set(once.pairs["row"].to_pylist())
    again = hits.filter(pa.array([row in kept for row in hits["row"].to_pylist()]))
    twice = select_pairs(again, pairs, rules)
    assert twice.pairs.equals(once.pairs)
    assert all(rule["removed"] == 0 for rule in twice.rules)


def test_a_pair_hit_by_several_concepts_keeps_the_best_and_all_its_modes() -> None:
    hits = _hits(("b", "T2I", 0, 0.3, 5.0), ("a", "T2T", 0, 0.9, 2.0), ("a", "T2T", 1, 0.8, 1.0))
    found = select_pairs(hits, _pairs(["x", "y"])).pairs.to_pylist()
    assert [(r["concept"], r["modes"], r["hits"]) for r in found] == [
        ("b", "T2I+T2T", 2),
        ("a", "T2T", 1),
    ]
    assert found[0]["best_score"] == pytest.approx(0.3)
    by_score = select_pairs(hits, _pairs(["x", "y"]), SelectionRules(order_by="score"))
    assert by_score.pairs["concept"].to_pylist() == ["a", "a"]


def test_of_equal_images_the_best_is_kept() -> None:
    hits = _hits(("a", "T2I", 0, 0.1, 1.0), ("a", "T2I", 1, 0.5, 5.0), ("a", "T2I", 2, 0.5, 5.0))
    assert select_pairs(hits, _pairs(["x", "x", "x"])).pairs["row"].to_pylist() == [1]


def test_no_hit_left_gives_an_empty_table() -> None:
    hits = _hits(("a", "T2I", 0, 0.1, 1.0))
    found = select_pairs(hits, _pairs(["x"]), SelectionRules(min_score=0.5))
    assert found.pairs.num_rows == 0 and found.concepts == {"a": {"hit": 0, "selected": 0}}
    assert select_pairs(HIT_SCHEMA.empty_table(), _pairs([])).pairs.num_rows == 0


def test_a_hit_without_metadata_is_refused() -> None:
    with pytest.raises(ValueError, match="hit row 3"):
        select_pairs(_hits(("a", "T2I", 3, 0.1, 1.0)), _pairs(["x"]))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"per_concept": 0}, "per_concept"),
        ({"order_by": "rank"}, "order_by"),
        ({"min_score": {"I2T": 1}}, "I2T"),
    ],
)
def test_rules_out_of_range_are_refused(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SelectionRules(**values)
