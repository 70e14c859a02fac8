"""Any set of result files as one table: Markdown, CSV or JSON rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from react_mm.reporting.results import ARMS, flatten, read_results

Columns = dict[str, dict[str, Any]]


def columns_of(path: str | Path, name: str | None = None) -> Columns:
    """Reads a result file into columns ``{column: {metric: value}}``.

    A file that holds the demo's arms gives a column for each arm, any other file one column.

    Args:
        path: A JSON result file.
        name: Column name; the file's stem by default (the folder's name for ``results.json``).

    Returns:
        The columns in the file's order, numbers and strings only.
    """
    path = Path(path)
    content = read_results(path)
    label = name or (path.parent.name if path.stem == "results" else path.stem)
    arms = [arm for arm in ARMS if isinstance(content.get(arm), dict)]
    if arms:
        prefix = f"{name}: " if name else ""
        return {f"{prefix}{arm}": _scalars(content[arm]) for arm in arms}
    return {label: _scalars(content)}


def collect(files: Sequence[str | Path], names: Sequence[str] | None = None) -> Columns:
    """Joins several result files into columns.

    Args:
        files: Result files.
        names: A column name for each file; without it files are told apart by stem or folder.

    Returns:
        All columns, in the order of the files.

    Raises:
        ValueError: When no file is given, the counts differ or two columns share a name.
    """
    if not files:
        raise ValueError("no result file was given")
    if names is not None and len(names) != len(files):
        raise ValueError(f"{len(names)} names were given for {len(files)} files")
    joined: Columns = {}
    for position, path in enumerate(files):
        for column, values in columns_of(path, names[position] if names else None).items():
            if column in joined:
                raise ValueError(f"{path}: column {column!r} exists already; give --names")
            joined[column] = values
    return joined


def rows_of(columns: Columns, keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """One row for each metric; a column that lacks it gets ``None``.

    Args:
        columns: As from :func:`collect`.
        keys: Metrics to keep, in this order; all in order of appearance by default.

    Returns:
        Rows ``{"metric": name, column: value, ...}``.

    Raises:
        ValueError: When a wanted metric is in no file.
    """
    known = list(dict.fromkeys(key for values in columns.values() for key in values))
    for key in keys or ():
        if key not in known:
            raise ValueError(f"no result file has {key!r}; there are {', '.join(known)}")
    return [
        {"metric": key, **{name: values.get(key) for name, values in columns.items()}}
        for key in (keys or known)
    ]


def render(rows: list[dict[str, Any]], form: str) -> str:
    """Writes rows as text.

    Args:
        rows: As from :func:`rows_of`.
        form: ``markdown``, ``csv`` or ``json``.

    Returns:
        The text, ending with a newline.

    Raises:
        ValueError: When the form is unknown.
    """
    if form == "json":
        return json.dumps(rows, indent=2) + "\n"
    header = list(rows[0]) if rows else ["metric"]
    if form == "csv":
        stream = io.StringIO()
        writer = csv.DictWriter(stream, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return stream.getvalue()
    if form == "markdown":
        lines = ["| " + " | ".join(header) + " |"]
        lines.append("| --- |" + " ---: |" * (len(header) - 1))
        lines += ["| " + " | ".join(shown(row[key]) for key in header) + " |" for row in rows]
        return "\n".join(lines) + "\n"
    raise ValueError(f"unknown form {form!r}: markdown, csv or json")


def shown(value: Any) -> str:
    """A value as a reader wants it: four digits for a float, a dash for nothing."""
    if value is None:
        return "-"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value).replace("|", "\\|")
    return f"{value:.4g}"


def _scalars(content: dict[str, Any]) -> dict[str, Any]:
    flat = flatten(content)
    return {key: value for key, value in flat.items() if isinstance(value, int | float | str)}
