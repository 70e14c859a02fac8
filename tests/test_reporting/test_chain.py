"""The chain's picture."""

from PIL import Image

from react_mm.reporting.chain import write_picture


def row(task, metric, model, value, interval=None):
    return {"task": task, "metric": metric, "model": model, "value": value, "interval": interval}


def test_fractions_are_drawn_and_others_left_out(tmp_path):
    rows = [
        row("detection", "ov_coco/novel_ap50", "base", 0.1),
        row("detection", "ov_coco/novel_ap50", "mine", 0.3),
        row("gt_box", "gt_box/accuracy", "base", 0.5, {"low": 0.4, "high": 0.6}),
        row("gt_box", "gt_box/boxes", "base", 300.0),
        row("gt_box", "gt_box/accuracy", "mine", None),
    ]
    path = write_picture(rows, ["base", "mine"], tmp_path / "chain.png")
    with Image.open(path) as wide:
        assert wide.size[0] > 600
        assert wide.convert("RGB").getextrema() != ((255, 255),) * 3
    narrow = write_picture(rows[:2], ["base", "mine"], tmp_path / "one.png")
    assert narrow.stat().st_size > 5000
