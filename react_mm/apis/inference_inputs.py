"""What inference is asked about: files, folders, arrays and pictures, each with a name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from react_mm.datasets.images import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    DamagedImageError,
    decode_image,
)
from react_mm.manifest import sha256_bytes

ImageInput = str | Path | np.ndarray | Image.Image


@dataclass
class Input:
    """One picture that has not been decoded yet.

    Attributes:
        name: File as given, path relative to its folder, or ``input[i]`` for what is in memory.
        content: A file, an array or a picture.
    """

    name: str
    content: Path | np.ndarray | Image.Image

    def read(self) -> tuple[Image.Image, str]:
        """The picture in RGB, and the sha256 of the file's bytes (or of the pixels).

        Raises:
            DamagedImageError: If it is no readable picture; the message says why.
        """
        if isinstance(self.content, Path):
            data = self.bytes()
            return decode_image(data), sha256_bytes(data)
        picture = (
            _from_array(self.content)
            if isinstance(self.content, np.ndarray)
            else self.content.convert("RGB")
        )
        if picture.width * picture.height > MAX_PIXELS:
            raise DamagedImageError(f"{picture.size} is more than {MAX_PIXELS} pixels")
        return picture, sha256_bytes(f"{picture.size}".encode() + picture.tobytes())

    def bytes(self) -> bytes:
        """The file's bytes.

        Raises:
            DamagedImageError: If there are none, or the file cannot be read.
        """
        try:
            data = self.content.read_bytes()
        except OSError as error:
            raise DamagedImageError(f"cannot be read: {error.strerror}") from error
        if not data:
            raise DamagedImageError("0 bytes")
        return data


def expand(inputs: ImageInput | Sequence[ImageInput]) -> tuple[list[Input], bool]:
    """Lists the pictures that are asked for.

    Args:
        inputs: An image file, a folder (all image files in it and below, by name), an array, a
            picture, or a sequence of these.

    Returns:
        The pictures, and whether it is one picture that was not given in a sequence.

    Raises:
        FileNotFoundError: If a file or folder does not exist.
        ValueError: If a folder has no image files, or an array is no picture.
        TypeError: If an input is something else.
    """
    single = not isinstance(inputs, (list, tuple))
    found: list[Input] = []
    for place, entry in enumerate([inputs] if single else inputs):
        if isinstance(entry, (str, Path)):
            path = Path(entry)
            if path.is_dir():
                found += files_in(path)
                single = False
            elif path.is_file():
                found.append(Input(str(entry), path))
            else:
                raise FileNotFoundError(f"image {path} does not exist")
        elif isinstance(entry, np.ndarray):
            _check_array(entry, place)
            found.append(Input(f"input[{place}]", entry))
        elif isinstance(entry, Image.Image):
            found.append(Input(f"input[{place}]", entry))
        else:
            raise TypeError(
                f"input {place} is a {type(entry).__name__}; give a file, a folder, a uint8 array "
                "(BGR, as mmcv reads) or a PIL picture"
            )
    return found, single


def files_in(folder: str | Path) -> list[Input]:
    """The image files of a folder and its subfolders, sorted, named by their relative path.

    Args:
        folder: A folder, or one image file.

    Raises:
        FileNotFoundError: If it does not exist.
        ValueError: If it has none.
    """
    folder = Path(folder)
    if folder.is_file():
        return [Input(folder.name, folder)]
    if not folder.is_dir():
        raise FileNotFoundError(f"folder {folder} does not exist")
    paths = sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()
    )
    if not paths:
        raise ValueError(f"folder {folder} has no image files ({', '.join(IMAGE_SUFFIXES)})")
    return [Input(path.relative_to(folder).as_posix(), path) for path in paths]


def bgr_array(picture: Image.Image) -> np.ndarray:
    """An RGB picture as mmcv's images are: uint8 (H, W, 3), BGR."""
    return np.ascontiguousarray(np.asarray(picture.convert("RGB"))[..., ::-1])


def _check_array(array: np.ndarray, place: int) -> None:
    shape: Any = array.shape
    grey = array.ndim == 2 or (array.ndim == 3 and shape[2] == 1)
    if array.dtype != np.uint8 or not (grey or (array.ndim == 3 and shape[2] == 3)) or 0 in shape:
        raise ValueError(
            f"input {place}: an array must be uint8 (H, W, 3) in BGR order, as mmcv reads images, "
            f"or grey (H, W); got {array.dtype} {shape}"
        )


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 2 or array.shape[2] == 1:
        return Image.fromarray(array.reshape(array.shape[:2])).convert("RGB")
    return Image.fromarray(np.ascontiguousarray(array[..., ::-1]))
