"""Tests one model under its classes' own names and under synonyms of them."""

import math
import statistics
from collections.abc import Iterable
from typing import Any

from mmengine.runner import Runner

from react_mm.datasets.renamed_classes import read_synonyms, renamed_classes
from react_mm.engine.vocabulary_hook import VocabularyHook, innermost

GROUPS = {"novel": "novel_classes", "base": "base_classes", "all": "classes"}


def run_synonym_tests(
    runner: Runner, source: str = "coco", which: Iterable[int] = (1,), group: str = "novel"
) -> dict[str, Any]:
    """Runs the test with own names, then once per column of synonyms.

    Boxes, labels and base / novel stay as they are; only the text that the model sees changes.

    Args:
        runner: A runner that can test, with a :class:`VocabularyHook`.
        source: List of synonyms: ``coco``, or a file (:mod:`react_mm.datasets.renamed_classes`).
        which: Columns of synonyms: 1 is the most usual.
        group: The classes to rename: ``novel``, ``base`` or ``all``.

    Returns:
        ``rows``: per test ``names`` (``own``, ``synonym 1``, ...), ``renamed`` and ``metrics``;
        ``change``: per metric the mean over the synonyms minus the figure with own names. Figures
        that are NaN are left out.

    Raises:
        ValueError: If the config has no such hook, the data set no such classes, or a class no
            synonym; before anything is tested.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, VocabularyHook)]
    if not hooks:
        raise ValueError("the config has no react_mm.VocabularyHook: classes cannot be renamed")
    if group not in GROUPS:
        raise ValueError(f"unknown group {group!r}; known: {', '.join(GROUPS)}")
    runner._test_loop = runner.build_test_loop(runner._test_loop)
    classes = innermost(runner.test_dataloader.dataset).metainfo.get(GROUPS[group]) or ()
    if not classes:
        raise ValueError(f"the test set has no {group} classes to rename; try another group")
    synonyms = read_synonyms(source)
    columns = [("own", {})] + [
        (f"synonym {n}", renamed_classes(synonyms, classes, n)) for n in which
    ]
    rows = []
    for names, renamed in columns:
        runner.logger.info(f"test under {names} names: {renamed or 'the classes as they are'}")
        for hook in hooks:
            hook.renamed = renamed
        metrics = {k: float(v) for k, v in runner.test().items()}
        known = {k: v for k, v in metrics.items() if not math.isnan(v)}
        rows.append(dict(names=names, renamed=renamed, metrics=known))
    return dict(rows=rows, change=_change(rows))


def _change(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Mean over the renamed rows minus the first."""
    own, others = rows[0]["metrics"], [row["metrics"] for row in rows[1:]]
    shared = [name for name in own if others and all(name in row for row in others)]
    return {name: statistics.fmean(row[name] for row in others) - own[name] for name in shared}
