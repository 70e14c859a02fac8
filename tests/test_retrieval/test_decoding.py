import io

import numpy as np
import pytest
from fake_world import picture
from PIL import Image

from react_mm.retrieval import decoding
from react_mm.retrieval.decoding import Limits, Rejected, decode_caption, decode_image


def _bytes(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, decoding.MISSING_CAPTION),
        (b"", decoding.EMPTY_CAPTION),
        (b" \n\t", decoding.EMPTY_CAPTION),
        (b"\xef\xbb\xbf", decoding.EMPTY_CAPTION),
        (b"caf\xe9", decoding.INVALID_UTF8),
        (b"\xed\xa0\x80", decoding.INVALID_UTF8),
        (b"a\0b", decoding.CONTROL_CHARACTER),
        (b"x" * 100_000, decoding.LONG_CAPTION),
    ],
)
def test_bad_captions_have_their_reason(data: bytes | None, reason: str) -> None:
    with pytest.raises(Rejected) as error:
        decode_caption(data, Limits())
    assert error.value.reason == reason


def test_good_captions_pass_in_any_script() -> None:
    assert decode_caption("  שלום עולם\n".encode(), Limits()) == "שלום עולם"
    assert decode_caption("\ufeffa tree".encode(), Limits()) == "a tree"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", decoding.UNREADABLE_IMAGE),
        (b"<html><body>404</body></html>", decoding.UNREADABLE_IMAGE),
        (picture("red", 0, "JPEG", (200, 200))[:-2000], decoding.TRUNCATED_IMAGE),
        (picture("red", 0)[:60], decoding.TRUNCATED_IMAGE),
        (_bytes(Image.new("1", (5000, 5000))), decoding.TOO_LARGE),
        (_bytes(Image.new("1", (20000, 20000))), decoding.TOO_LARGE),
        (_bytes(Image.new("L", (2, 5000))), decoding.ASPECT_RATIO),
        (_bytes(Image.new("L", (500, 1))), decoding.TOO_SMALL),
    ],
)
def test_bad_images_have_their_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Rejected) as error:
        decode_image(data, Limits(max_pixels=20_000_000, min_side=2))
    assert error.value.reason == reason


def test_size_is_refused_before_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _bytes(Image.new("L", (300, 300)))

    def fail(self: Image.Image) -> None:
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(Rejected, match="too large in pixels: 300 x 300"):
        decode_image(data, Limits(max_pixels=89_999))


def test_modes_become_rgb_with_the_right_colour() -> None:
    grey16 = Image.fromarray(np.full((4, 4), 128 * 257, np.uint16))
    clear = Image.new("RGBA", (4, 4), (200, 0, 0, 0))
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    cases = [
        (_bytes(grey16), (128, 128, 128)),
        (_bytes(clear), (255, 255, 255)),
        (_bytes(Image.new("RGBA", (4, 4), (0, 0, 0, 51))), (204, 204, 204)),
        (_bytes(palette), (10, 200, 30)),
        (_bytes(palette, transparency=1), (255, 255, 255)),
        (_bytes(Image.new("L", (4, 4), 7)), (7, 7, 7)),
    ]
    for data, colour in cases:
        image = decode_image(data, Limits())
        assert image.mode == "RGB" and image.getpixel((1, 1)) == colour
    cmyk = decode_image(_bytes(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), Limits())
    red, green, blue = cmyk.getpixel((2, 2))
    assert red > 200 and green < 60 and blue < 60


def test_exif_rotation_is_applied_and_animations_give_their_first_frame() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = decode_image(_bytes(Image.new("RGB", (40, 20)), "JPEG", exif=exif), Limits())
    assert image.size == (20, 40)
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP"):
        options = {"save_all": True, "append_images": frames[1:]}
        if kind == "WEBP":
            options["lossless"] = True
        data = _bytes(frames[0], kind, **options)
        assert decode_image(data, Limits()).getpixel((0, 0)) == (255, 0, 0)
