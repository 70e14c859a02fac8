"""Backgrounds of the drawn world and the camera's imperfections."""

from __future__ import annotations

import cv2
import numpy as np

from react_mm.toy.drawing import COLOURS, jitter, shade

__all__ = ["BACKGROUNDS", "camera", "paint_background"]

BACKGROUNDS: tuple[str, ...] = ("plain", "gradient", "speckled", "striped", "cloudy", "cluttered")
"""Kinds of background, as captions call them."""

VIVID = 0.2
"""Share of backgrounds as strong in colour as the objects; the others are pale."""

_WORDS = tuple(COLOURS)


def paint_background(
    rng: np.random.Generator, height: int, width: int
) -> tuple[np.ndarray, str, str]:
    """Paint a background.

    Args:
        rng: Random generator.
        height: Canvas height in pixels.
        width: Canvas width in pixels.

    Returns:
        The (height, width, 3) uint8 canvas, the kind and the colour word.
    """
    kind = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
    word = _WORDS[int(rng.integers(len(_WORDS)))]
    bright = (0.8, 1.3) if rng.random() < VIVID else (1.45, 1.85)
    first = jitter(rng, shade(COLOURS[word], float(rng.uniform(*bright))), 10)
    second = jitter(rng, shade(first, float(rng.uniform(0.82, 1.3))), 8)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = first
    if kind in ("gradient", "striped"):
        a = float(rng.uniform(0, 2 * np.pi))
        y, x = np.ogrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        ramp = x * np.float32(np.cos(a)) + y * np.float32(np.sin(a))
        if kind == "striped":
            on = (ramp * float(rng.uniform(3, 9))) % 1.0 < 0.5
            canvas[on] = second
        else:
            ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
            mix = np.array(first) + ramp[..., None] * (np.array(second) - np.array(first))
            canvas = mix.astype(np.uint8)
    elif kind in ("speckled", "cloudy"):
        cells = 24 if kind == "speckled" else int(rng.integers(3, 7))
        noise = rng.integers(0, 256, (cells, cells), np.uint8)
        how = cv2.INTER_NEAREST if kind == "speckled" else cv2.INTER_CUBIC
        blend = cv2.resize(noise, (width, height), interpolation=how)[..., None] / np.float32(255)
        mix = np.array(first, np.float32) * (1 - blend) + np.array(second, np.float32) * blend
        canvas = mix.astype(np.uint8)
    elif kind == "cluttered":
        for _ in range(int(rng.integers(4, 10))):
            centre = rng.integers(0, (width, height), 2).tolist()
            size = int(rng.integers(3, max(4, width // 7)))
            fill = jitter(rng, shade(second, float(rng.uniform(0.7, 1.3))), 20)
            if rng.random() < 0.5:
                cv2.circle(canvas, centre, size, fill, -1, cv2.LINE_AA)
            else:
                corners = np.array(centre) + rng.integers(-size, size + 1, (3, 2))
                cv2.fillPoly(canvas, [corners.astype(np.int32)], fill, cv2.LINE_AA)
    return canvas, kind, word


def camera(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Change light and contrast, and sometimes blur or add noise; returns a new uint8 image."""
    gain, offset = float(rng.uniform(0.8, 1.15)), float(rng.uniform(-18, 18))
    out = cv2.convertScaleAbs(np.clip(image * gain + offset, 0, 255).astype(np.uint8))
    roll = rng.random()
    if roll < 0.15:
        out = cv2.GaussianBlur(out, (3, 3), 0)
    elif roll < 0.45:
        noise = rng.normal(0, float(rng.uniform(3, 12)), image.shape)
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    return out
