"""Where image-text pairs come from: webdataset shards, or a folder with ``pairs.jsonl``.

A source is read once into rows (key, caption, place of the image); what cannot be used is counted
by reason, so that read = kept + rejected.
"""

import glob
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tqdm import tqdm

from react_mm.datasets.images import IMAGE_SUFFIXES
from react_mm.datasets.tar_index import Member, TarIndex
from react_mm.suggestions import near_matches

ROLES = {"pair": 0, "general": 1}
MAX_CAPTION = 20_000


@dataclass(frozen=True)
class PairRow:
    """One usable pair.

    Attributes:
        key: Its name: ``shard-stem/key`` or the image's path inside the folder.
        caption: Its text; may be empty for role ``general``.
        file: Shard or image file.
        offset: First byte of the image in the shard; -1 for a file of its own.
        size: Bytes of the image; -1 for a file of its own.
        captions: All its captions, where it has a list of them.
        concept: The concept it was retrieved for; empty where there is none.
    """

    key: str
    caption: str
    file: str
    offset: int = -1
    size: int = -1
    captions: tuple[str, ...] = ()
    concept: str = ""


@dataclass(frozen=True)
class PairSource:
    """A source of pairs, as named in a config.

    Attributes:
        path: A ``.tar`` file, a glob, or a folder with ``.tar`` files or ``pairs.jsonl``.
        role: ``pair`` (image and caption) or ``general`` (only the image counts).
        where: Equality filter on the pair's metadata (``KEY.json``, or the row of ``pairs.jsonl``);
            a list of values means one of them.
        text: Name of the field with the caption in ``pairs.jsonl``.
        pairs: Name of the list inside a folder.
        captions: Name of the metadata field with the list of all captions.
        concept: Name of the metadata field with the concept (retrieved sets write ``concept``).
    """

    path: str
    role: str = "pair"
    where: Mapping[str, Any] | None = None
    text: str = "text"
    pairs: str = "pairs.jsonl"
    captions: str = "captions"
    concept: str = "concept"

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(
                f"source {self.path}: role is 'pair' or 'general', not {self.role!r}"
                f"{near_matches(self.role, ROLES)}"
            )

    def read(self, ledger: Counter, needs_caption: bool = True) -> list[PairRow]:
        """Reads every usable pair; rejections are added to ``ledger`` by reason.

        Args:
            ledger: Counts by reason.
            needs_caption: Whether a pair without a caption is rejected.

        Raises:
            FileNotFoundError: If nothing is at ``path``.
            ValueError: If nothing usable is in it, or ``where`` names a field no pair has.
        """
        path = Path(self.path)
        own: Counter = Counter()
        needs = needs_caption and self.role == "pair"
        if path.is_dir() and (path / self.pairs).is_file():
            rows = list(self._from_list(path, own, needs))
        else:
            rows = list(self._from_shards(find_shards(self.path), own, needs))
        ledger.update(own)
        if not rows:
            reasons = ", ".join(f"{n} {reason}" for reason, n in own.items()) or "no sample in it"
            raise ValueError(f"source {self.path} has no usable pair: {reasons}")
        return rows

    def _keep(self, metadata: Mapping[str, Any], seen: set[str]) -> bool:
        seen.update(metadata)
        for field, wanted in (self.where or {}).items():
            options = (
                wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
            )
            if metadata.get(field) not in options:
                return False
        return True

    def _check_fields(self, seen: set[str]) -> None:
        for field in self.where or {}:
            if field not in seen:
                raise ValueError(
                    f"source {self.path}: where names the field {field!r}, which no pair has"
                    f"{near_matches(field, seen)}"
                )

    def _described(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """All captions and the concept, as the metadata tell them."""
        found, concept = metadata.get(self.captions), metadata.get(self.concept)
        texts = (
            [t.strip()[:MAX_CAPTION] for t in found or () if isinstance(t, str)]
            if (isinstance(found, list))
            else []
        )
        return {
            "captions": tuple(text for text in texts if text),
            "concept": concept.strip() if isinstance(concept, str) else "",
        }

    def _from_shards(
        self, shards: list[Path], ledger: Counter, needs_caption: bool
    ) -> Iterator[PairRow]:
        seen: set[str] = set()
        for shard in tqdm(shards, "reading shard headers", leave=False, disable=len(shards) < 4):
            index = TarIndex.open(shard)
            ledger.update(index.rejected)
            for key, files in index.samples():
                image = next((files[s] for s in IMAGE_SUFFIXES if s in files), None)
                if image is None:
                    ledger["no image of a known type"] += 1
                    continue
                metadata = _metadata(files.get(".json"), ledger)
                if not self._keep(metadata, seen):
                    ledger["filtered by where"] += 1
                    continue
                caption, reason = _caption(files.get(".txt"))
                if reason is not None and needs_caption:
                    ledger[reason] += 1
                    continue
                place = (str(shard), image.offset, image.size)
                described = self._described(metadata)
                yield PairRow(f"{shard.stem}/{key}", caption, *place, **described)
        self._check_fields(seen)

    def _from_list(self, folder: Path, ledger: Counter, needs_caption: bool) -> Iterator[PairRow]:
        seen: set[str] = set()
        with open(folder / self.pairs, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{folder / self.pairs} line {number}: {error}") from error
                if not isinstance(row, dict) or not isinstance(row.get("image"), str):
                    raise ValueError(f"{folder / self.pairs} line {number}: no field 'image'")
                if not self._keep(row, seen):
                    ledger["filtered by where"] += 1
                    continue
                reason = _image_problem(folder, row["image"])
                caption = row.get(self.text)
                caption = caption.strip() if isinstance(caption, str) else ""
                described = self._described(row)
                caption = caption or next(iter(described["captions"]), "")
                if reason is None and not caption and needs_caption:
                    reason = "caption missing or empty"
                if reason is not None:
                    ledger[reason] += 1
                    continue
                place = str(folder / row["image"])
                yield PairRow(row["image"], caption[:MAX_CAPTION], place, **described)
        self._check_fields(seen)


def find_shards(path: str | Path) -> list[Path]:
    """Lists the shards that ``path`` (a file, a folder, or a glob) names, sorted.

    Raises:
        FileNotFoundError: If there is none.
    """
    place = Path(path)
    if place.is_file():
        return [place]
    if place.is_dir():
        shards = sorted(place.glob("*.tar"))
        what = f"folder {place} holds neither *.tar shards nor pairs.jsonl"
    else:
        shards = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        shards = [shard for shard in shards if shard.is_file()]
        what = f"nothing at {path}"
    if not shards:
        raise FileNotFoundError(f"{what}: check the path, or run the stage that writes it")
    return shards


def _metadata(member: Member | None, ledger: Counter) -> dict[str, Any]:
    if member is None or member.content is None:
        return {}
    try:
        value = json.loads(member.content)
    except ValueError:
        ledger["(note) metadata is not JSON"] += 1
        return {}
    return value if isinstance(value, dict) else {}


def _caption(member: Member | None) -> tuple[str, str | None]:
    if member is None:
        return "", "caption missing or empty"
    if member.content is None:
        return "", "caption too long"
    try:
        text = member.content.decode("utf-8").replace("\0", " ").strip()
    except UnicodeDecodeError:
        return "", "caption is not UTF-8"
    return text[:MAX_CAPTION], None if text else "caption missing or empty"


def _image_problem(folder: Path, name: str) -> str | None:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts:
        return "unsafe name"
    return None if (folder / name).is_file() else "image file missing"
