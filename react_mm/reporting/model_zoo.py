"""docs/model_zoo.md from the metafiles of the config folders.

python -m react_mm.reporting.model_zoo            # checks, then writes the page and the index
python -m react_mm.reporting.model_zoo --add      # first adds entries for new configs
python -m react_mm.reporting.model_zoo --check    # writes nothing; fails if the page is old
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from react_mm.manifest import atomic_path
from react_mm.reporting.metafiles import (
    CONVERTED,
    MEASURED,
    METAFILE,
    PUBLISHED,
    add_missing,
    config_folders,
    problems,
    read_metafile,
)

PAGE, INDEX = "docs/model_zoo.md", "model-index.yml"
HEAD = """# Model zoo

Written by `python -m react_mm.reporting.model_zoo` from `configs/*/metafile.yml`: edit those.
Three kinds of figures are kept apart:

- **measured** in this repository: the figure stands in the page named, which the tests check, and
  the command gives it again;
- **converted**: weights released by others, loaded here and measured by our evaluation;
- **published** by others, for orientation: nothing of it was measured here.

A config without a figure builds and runs in the tests, reduced where it needs weights or data that
are not here; nothing is claimed of it.
"""
SECTIONS = (
    (MEASURED, "Measured here", "none yet"),
    (
        CONVERTED,
        "Converted",
        "None: the released weights could not be downloaded on the development machines. How they "
        "are loaded: [checkpoints](checkpoints.md).",
    ),
    (PUBLISHED, "Published by others", "none"),
)


def render_page(root: str | Path) -> str:
    """The text of docs/model_zoo.md.

    Args:
        root: The checkout.
    """
    entries = [
        (folder.name, model)
        for folder in config_folders(Path(root) / "configs")
        for model in read_metafile(folder)["Models"]
    ]
    parts = [HEAD]
    for origin, title, otherwise in SECTIONS:
        rows = [
            _row(folder, model, result, origin)
            for folder, model in entries
            for result in model.get("Results") or []
            if result["Origin"] == origin
        ]
        parts.append(f"\n## {title}\n\n")
        parts.append(_table(rows, origin) if rows else f"{otherwise}\n")
    without = [(folder, model) for folder, model in entries if not model.get("Results")]
    parts.append("\n## Configs without a figure\n\n")
    for name in sorted({folder for folder, _ in without}):
        links = [f"`{model['Name']}`" for folder, model in without if folder == name]
        parts.append(f"- [{name}](../configs/{name}/README.md): {', '.join(links)}\n")
    return "".join(parts)


def _row(folder: str, model: dict[str, Any], result: dict[str, Any], origin: str) -> list[str]:
    config = f"[{model['Name']}](../{model['Config']})"
    metrics = "; ".join(f"{name} {value}" for name, value in result["Metrics"].items())
    source = str(result["Source"])
    if origin == PUBLISHED:
        notes = [result.get("Of"), result.get("Note")]
        return [config, result["Dataset"], metrics, "; ".join(n for n in notes if n), source]
    page = source.removeprefix("docs/")
    page = page if source.startswith("docs/") else f"../{source}"
    note = result.get("Note") or result.get("Of") or ""
    return [config, result["Dataset"], metrics, note, f"[{page}]({page})", f"`{result['Command']}`"]


def _table(rows: list[list[str]], origin: str) -> str:
    heads = ["config", "data", "figures", "of what", "source"]
    if origin != PUBLISHED:
        heads[3:] = ["note", "stands in", "command"]
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def render_index(root: str | Path) -> str:
    """The text of model-index.yml, which OpenMMLab's tools read."""
    names = [folder.name for folder in config_folders(Path(root) / "configs")]
    lines = [f"  - configs/{name}/{METAFILE}\n" for name in names]
    return "# Written by python -m react_mm.reporting.model_zoo\nImport:\n" + "".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Checks the metafiles, then writes the page and the index or says that they are old."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("."), help="the checkout")
    parser.add_argument("--add", action="store_true", help="add entries for new configs")
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args(arguments)
    if args.add:
        for name in add_missing(args.root):
            print(f"added {name}")
    if found := problems(args.root):
        raise SystemExit("model zoo:\n  " + "\n  ".join(found))
    for name, text in ((PAGE, render_page(args.root)), (INDEX, render_index(args.root))):
        path = args.root / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if args.check:
            raise SystemExit(f"model zoo: {name} is old: python -m react_mm.reporting.model_zoo")
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
