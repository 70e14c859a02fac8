"""What the pool and the pretraining pairs hold."""

import numpy as np
import pytest

from react_mm.toy.captions import caption
from react_mm.toy.sampling import PAIR_PARTS, _kind, labelled_single, pair
from react_mm.toy.world import CONCEPTS, TARGET_FAMILY

TARGET = {i for i, c in enumerate(CONCEPTS) if c.family == TARGET_FAMILY}


def _shows_target(row):
    return bool(TARGET & {o.concept for o in row.drawing.objects})


def _names(text, concepts):
    return any(w in text for i in concepts for w in CONCEPTS[i].words)


@pytest.mark.parametrize("name, low, high", [("pool", 0.04, 0.06), ("base", 0.0, 0.01)])
def test_share_of_the_target_family(name, low, high):
    part = PAIR_PARTS[name]
    kinds = [_kind(part, i) for i in range(part.pairs)]
    assert low <= kinds.count("target") / part.pairs <= high
    assert kinds.count("target") == round(part.pairs * part.target)
    # rare in pictures and captions together
    if name == "base":
        assert 1 - kinds.count("other") / part.pairs < 0.01
        assert part.pairs >= 30000
    else:
        assert part.pairs >= 5000


def test_kinds_say_what_the_picture_shows():
    part = PAIR_PARTS["pool"]
    kinds = np.array([_kind(part, i) for i in range(part.pairs)])
    for kind in ("target", "mention", "other"):
        for index in np.flatnonzero(kinds == kind)[:40]:
            row = pair(0, "pool", int(index))
            assert row.kind == kind
            if kind != "target":
                assert not _shows_target(row)
            if kind == "mention":
                assert _names(row.caption, TARGET)
    shown = [_shows_target(pair(0, "pool", int(i))) for i in np.flatnonzero(kinds == "target")[:60]]
    assert np.mean(shown) > 0.95


def test_pairs_do_not_depend_on_the_order():
    rows = [pair(0, "pool", i) for i in (5, 900, 5)]
    assert rows[0].caption == rows[2].caption
    assert (rows[0].drawing.image == rows[2].drawing.image).all()
    assert pair(1, "pool", 5).caption != rows[0].caption or (
        pair(1, "pool", 5).drawing.image.tobytes() != rows[0].drawing.image.tobytes()
    )


def test_some_captions_name_nothing_and_most_do():
    drawing = labelled_single(0, "val", 0, 0)
    rng = np.random.default_rng(0)
    texts = [caption(rng, drawing, nameless=0.1) for _ in range(600)]
    named = np.mean(["strawberry" in t for t in texts])
    assert 0.75 < named < 0.95
    assert not any("strawberry" in caption(rng, drawing, nameless=1.0) for _ in range(50))
    assert len(set(texts)) > 100


def test_synonyms_occur():
    rng = np.random.default_rng(0)
    ladybird = [c.name for c in CONCEPTS].index("ladybird")
    texts = [caption(rng, labelled_single(0, "val", ladybird, 0), 0.0) for _ in range(200)]
    share = np.mean(["ladybug" in t for t in texts])
    assert 0.2 < share < 0.5
