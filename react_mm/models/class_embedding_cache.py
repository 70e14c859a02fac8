"""Class embeddings on disk: a start with known names does not run the text tower."""

import logging
from collections.abc import Mapping
from pathlib import Path

import safetensors
from mmengine.logging import print_log
from torch import Tensor, nn

from react_mm.checkpoints import content_hash, load_state, save_state
from react_mm.manifest import sha256_bytes

FORMAT = "react_mm.class_embeddings.v1"


def tower_hash(tower: nn.Module) -> str:
    """Identity of a text tower: its type, architecture and weights, 64 hexadecimal digits."""
    weights = content_hash(tower.state_dict())
    kind = f"{type(tower).__name__}|{getattr(tower, 'arch', '')}"
    return sha256_bytes(f"{kind}|{weights}".encode())


class ClassEmbeddingCache:
    """One file per text tower, with a row per name and set of texts.

    Writes are atomic; of two processes that write at once the later one's rows stay, and both files
    are whole. A file that is damaged is named and made again.

    Args:
        folder: Folder of the files.
        tower: :func:`tower_hash` of the text tower; another tower has another file.
    """

    def __init__(self, folder: str | Path, tower: str) -> None:
        self.tower = tower
        self.path = Path(folder) / f"{tower[:16]}.safetensors"

    @staticmethod
    def key(name: str, texts: list[str]) -> str:
        """Key of a name whose embedding is made of ``texts`` (its templates, filled in)."""
        return f"{sha256_bytes(chr(10).join(texts).encode())[:32]} {name}"

    def read(self) -> dict[str, Tensor]:
        """All rows, float32 (D,), by key; nothing when there is no file or it is damaged."""
        if not self.path.is_file():
            return {}
        try:
            with safetensors.safe_open(self.path, "pt") as file:
                facts = file.metadata() or {}
            rows = load_state(self.path)
            self._check(rows, facts)
        except Exception as error:
            print_log(
                f"class embeddings in {self.path} are not usable ({error}): made again",
                logger="current",
                level=logging.WARNING,
            )
            return {}
        return rows

    def _check(self, rows: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
        if facts.get("format") != FORMAT or facts.get("tower") != self.tower:
            raise ValueError("it is of another text tower or format")
        if facts.get("content_hash") != content_hash(rows):
            raise ValueError("its content differs from its hash")
        shapes = {tuple(row.shape) for row in rows.values()}
        if len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
            raise ValueError(f"its rows have the shapes {sorted(shapes)}")

    def add(self, rows: Mapping[str, Tensor]) -> None:
        """Writes further rows beside those on disk; a folder that cannot be written is named."""
        kept = {k: v for k, v in self.read().items() if v.shape == next(iter(rows.values())).shape}
        kept |= {key: row.detach().float().cpu() for key, row in rows.items()}
        facts = dict(format=FORMAT, tower=self.tower, content_hash=content_hash(kept))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_state(self.path, kept, facts)
        except OSError as error:
            print_log(
                f"class embeddings are not stored: {error}", logger="current", level=logging.WARNING
            )
