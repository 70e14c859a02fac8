import pytest
from PIL import Image

from react_mm.reporting.frontier import undominated, write_frontier

ROWS = [
    {"model": "plain", "scale": s, "domain": 0.3 + 0.4 * s, "general": 0.6 - 0.3 * s}
    for s in (0.0, 0.5, 1.0)
]


def test_writes_a_picture_and_one_line_per_model(tmp_path):
    head = {"model": "linear head", "scale": None, "domain": 0.5, "general": 0.5}
    path = write_frontier([*ROWS, head], tmp_path / "deep" / "frontier.png")
    assert Image.open(path).size[0] > 800
    text = write_frontier([*ROWS, head], tmp_path / "frontier.svg").read_text()
    assert text.count('id="line2d_') > 2 and "</svg>" in text


def test_rows_without_a_field_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        write_frontier([], tmp_path / "f.png")
    with pytest.raises(ValueError, match="lacks general"):
        write_frontier([{"model": "a", "scale": 1, "domain": 0.5}], tmp_path / "f.png")
    assert not list(tmp_path.iterdir())


def test_undominated_rows():
    worse = {"model": "x", "scale": 1.0, "domain": 0.45, "general": 0.4}
    better = {"model": "y", "scale": 1.0, "domain": 0.75, "general": 0.31}
    kept = undominated([*ROWS, worse, better])
    assert [row["model"] for row in kept] == ["y", "plain", "plain"]
    assert worse not in kept and ROWS[2] not in kept
