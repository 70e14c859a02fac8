"""The single-file HTML report of a before/after run: results and an artefact folder in, page out.

The artefact folder holds ``artefacts.json`` and the pictures that it names by relative path:

- ``gallery``: per concept ``{"concept", "found", "items": [{"image", "caption", "score", "mode",
  "right"}]}``; ``right`` says whether the picture shows the concept, ``None`` where nobody knows;
- ``detections``: per picture ``{"image", "truth", "before", "after"}``, lists of boxes as
  :func:`react_mm.reporting.drawings.draw_boxes` takes them;
- ``masks``: per picture ``{"image", "truth", "before", "after"}``, the last three label-map PNGs;
- ``names``: class names of the label maps.

Every part is optional: what is missing is left out of the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from react_mm.manifest import atomic_path
from react_mm.reporting import drawings, figures
from react_mm.reporting.results import ARMS, METRICS, check_demo_results, flatten, read_results

ARM_NOTES = {
    "before": "the base, as it is",
    "after": "the recommended recipe on the retrieved pairs",
    "plain": "the published recipe on the retrieved pairs",
    "control": "the recommended recipe on as many random pairs of the pool",
}


def write_report(results_file: Path, artefact_folder: Path, out: Path) -> Path:
    """Writes the report.

    Args:
        results_file: ``results.json`` of a demo run.
        artefact_folder: Folder with ``artefacts.json``.
        out: The HTML file to write; replaced only when the whole page is written.

    Returns:
        ``out``.

    Raises:
        FileNotFoundError: When a file is missing.
        ValueError: When the results lack an arm or a metric.
    """
    results = read_results(results_file)
    check_demo_results(results)
    artefacts = read_results(artefact_folder / "artefacts.json")
    page = render(results, artefacts, artefact_folder)
    with atomic_path(out) as temporary:
        Path(temporary).write_text(page, encoding="utf-8")
    return out


def render(results: dict[str, Any], artefacts: dict[str, Any], folder: Path) -> str:
    """Renders the page as text; pictures are inlined.

    Args:
        results: As checked by :func:`react_mm.reporting.results.check_demo_results`.
        artefacts: The content of ``artefacts.json``.
        folder: Where the artefacts' relative paths begin.

    Returns:
        HTML.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("react_mm.reporting"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    settings = results.get("settings", {})
    return environment.get_template("report.html.j2").render(
        results=results,
        arms=ARMS,
        arm_notes=ARM_NOTES,
        colours=figures.COLOURS,
        rows=table_rows(results),
        headlines=headlines(results),
        bars=figures.bars(results),
        curve=figures.gate_curve(results["gate_curve"], settings.get("gate_scale")),
        gallery=[_gallery_row(entry, folder) for entry in artefacts.get("gallery", [])],
        detections=[_detection_row(entry, folder) for entry in artefacts.get("detections", [])],
        masks=[
            _mask_row(entry, folder, artefacts["names"]) for entry in artefacts.get("masks", [])
        ],
        seconds=sorted(results["seconds"].items(), key=lambda item: -item[1]),
        settings=flatten(settings),
        provenance=flatten(results.get("provenance", {})),
    )


def table_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the before/after table, in points of 100.

    Returns:
        Per metric its name, ``is_target``, the four values, the gain of after over before, and
        which arm is best.
    """
    flat = {arm: flatten(results[arm]) for arm in ARMS}
    rows = []
    for metric, name in METRICS.items():
        values = {arm: 100 * flat[arm][metric] for arm in ARMS}
        rows.append(
            {
                "metric": metric,
                "name": name,
                "is_target": metric.endswith((".target", ".novel")),
                "values": values,
                "gain": values["after"] - values["before"],
                "best": max(ARMS, key=values.__getitem__),
            }
        )
    return rows


def headlines(results: dict[str, Any]) -> list[dict[str, str]]:
    """The page's key numbers: value, what it is, and what it is compared with."""
    before, after, control = (flatten(results[arm]) for arm in ("before", "after", "control"))

    def _change(metric: str, text: str) -> dict[str, str]:
        gain = 100 * (after[metric] - before[metric])
        note = f"{100 * before[metric]:.1f} → {100 * after[metric]:.1f} %"
        return {"value": f"{gain:+.1f}", "unit": "points", "text": text, "note": note}

    over_control = 100 * (after["zero_shot.target"] - control["zero_shot.target"])
    retrieved = results["retrieved"]
    return [
        _change("zero_shot.target", "zero-shot accuracy, target family"),
        _change("zero_shot.other", "zero-shot accuracy, other families"),
        {
            "value": f"{over_control:+.1f}",
            "unit": "points",
            "text": "over a random sample of equal size",
            "note": f"control {100 * control['zero_shot.target']:.1f} %",
        },
        {
            "value": f"{100 * retrieved['precision']:.0f}",
            "unit": "%",
            "text": "of the retrieved pictures show the concept asked for",
            "note": f"{retrieved['pairs']:,} pairs retrieved",
        },
    ]


def _gallery_row(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    items = [
        {**item, "picture": drawings.thumbnail(folder / item["image"])} for item in entry["items"]
    ]
    return {**entry, "items": items}


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def _detection_row(entry: dict[str, Any], folder: Path) -> dict[str, str]:
    image = _read(folder / entry["image"])
    colours = {"truth": drawings.TRUTH, "before": None, "after": None}
    return {
        part: drawings.as_address(drawings.draw_boxes(image, entry[part], colour=colour))
        for part, colour in colours.items()
    }


def _mask_row(entry: dict[str, Any], folder: Path, names: list[str]) -> dict[str, str]:
    image = _read(folder / entry["image"])
    pictures = {"image": drawings.as_address(drawings.draw_boxes(image, []))}
    for part in ("truth", "before", "after"):
        with Image.open(folder / entry[part]) as labels:
            drawn = drawings.draw_mask(image, np.asarray(labels), names)
        pictures[part] = drawings.as_address(drawn)
    return pictures
