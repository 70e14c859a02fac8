import base64
import html
import io
import re
from pathlib import Path

from PIL import Image


def test_report_shows_counts_rules_and_the_pictures_of_their_concept(finished: Path) -> None:
    text = (finished / "work/retrieved/report/index.html").read_text(encoding="utf-8")
    for word in ("red", "blue", "exact_duplicates", "per_concept", "8 selected"):
        assert word in text
    assert "60 pairs kept of 60 read" in text
    parts = re.split(r"<h2 id=", text)[1:]
    assert len(parts) == 2
    for part, colour in zip(parts, ("blue", "red"), strict=True):
        assert f">{colour} " in part
        pictures = re.findall(r"base64,([^\"]+)", part)
        assert len(pictures) == 8
        captions = re.findall(r'alt="([^"]*)"', part)
        assert all(f"a {colour} thing" in html.unescape(caption) for caption in captions)
        channel = {"red": 0, "blue": 2}[colour]
        for data in pictures:
            image = Image.open(io.BytesIO(base64.b64decode(data)))
            pixel = image.resize((1, 1)).getpixel((0, 0))
            assert pixel[channel] == max(pixel) > 150
        scores = [float(score) for score in re.findall(r"<b>(-?\d\.\d+)</b>", part)]
        assert len(scores) == 8 and all(0.8 < score <= 1.001 for score in scores)
