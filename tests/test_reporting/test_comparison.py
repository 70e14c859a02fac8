import csv
import io
import json

from PIL import Image

from react_mm.reporting.comparison import as_csv, as_markdown, write_comparison


def interval(value, low, high):
    return dict(value=value, low=low, high=high, level=0.95, draws=10, seed=0)


def row(model, value, low, high, difference=None, **more):
    return {
        "task": "dtd",
        "metric": "zero_shot/top1",
        "model": model,
        "value": value,
        "headline": True,
        "interval": interval(value, low, high),
        "difference": difference,
        "images": 1880,
        "cell": "k",
    } | more


RESULT = {
    "models": ["base", "a|b"],
    "tasks": ["dtd", "boxes"],
    "reference": "base",
    "bootstrap": {"draws": 10, "seed": 0, "level": 0.95},
    "rows": [
        row("base", 0.5, 0.45, 0.55),
        row("a|b", 0.612, 0.58, 0.64, interval(0.112, 0.05, 0.2)),
        row("base", 0.25, 0, 0, task="boxes", metric="coco/bbox_mAP", interval=None, images=None),
    ],
    "published": [
        {"task": "dtd", "base": "CLIP", "method": "zero-shot", "value": 44.0, "source": "paper"}
    ],
}


def test_markdown_has_intervals_differences_and_marks_published_values():
    lines = as_markdown(RESULT).splitlines()
    assert lines[0] == "| task | metric | images | base | a\\|b |"
    assert lines[2] == (
        "| dtd | zero_shot/top1 | 1880 | 50.0 [45.0, 55.0] | "
        "61.2 [58.0, 64.0]<br>+11.2 [+5.0, +20.0] |"
    )
    assert lines[3] == "| boxes | coco/bbox_mAP | - | 0.25 | - |"
    assert "Published values, not measured here:" in lines
    assert lines[-1] == "| dtd | CLIP | zero-shot | 44.0 | paper |"


def test_csv_has_the_numbers_as_fractions():
    rows = list(csv.DictReader(io.StringIO(as_csv(RESULT))))
    assert float(rows[1]["value"]) == 0.612
    assert (rows[1]["interval_low"], rows[1]["difference_high"]) == ("0.58", "0.2")
    assert rows[2]["interval_low"] == "" and rows[2]["difference"] == ""


def test_all_files_are_written(tmp_path):
    files = write_comparison(RESULT, tmp_path / "out")
    assert [f.name for f in files] == ["table.md", "table.csv", "table.json", "bars.png"]
    assert json.loads((tmp_path / "out" / "table.json").read_text()) == RESULT
    picture = Image.open(tmp_path / "out" / "bars.png").convert("L")
    assert picture.getextrema()[0] < 100  # something is drawn
