"""Which text stands beside an image: its caption, one of its captions, or its concept's name.

Every text that any pair may get is enumerated once, so that embeddings of a frozen text tower can
be cached; which one a pair gets is a function of (seed, epoch, index).
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from react_mm.datasets.pair_sources import PairRow
from react_mm.prompts import render, resolve_templates
from react_mm.suggestions import near_matches

KINDS = ("caption", "captions", "concept")
_STREAM = 0x7E7  # keeps the choice of a text apart from the augmentation of the same sample


class PairTexts:
    """The texts of all pairs, and the choice among a pair's own.

    Args:
        kinds: One of :data:`KINDS`, or several that are pooled: ``caption`` (the pair's first),
            ``captions`` (all it has), ``concept`` (each template with the concept for which the
            pair was retrieved).
        templates: Templates of ``concept``, see :func:`react_mm.prompts.resolve_templates`.
        seed: First part of what decides the choice.

    Raises:
        ValueError: For an unknown kind, with near matches.
    """

    def __init__(
        self,
        kinds: str | Sequence[str] = "caption",
        templates: str | Sequence[str] = "photo",
        seed: int = 0,
    ) -> None:
        self.kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(
                    f"PairDataset: text is of {', '.join(KINDS)}, not {kind!r}"
                    f"{near_matches(kind, KINDS)}"
                )
        if not self.kinds:
            raise ValueError(f"PairDataset: text is empty; give one of {', '.join(KINDS)}")
        self.templates = resolve_templates(templates)
        self.seed = seed
        self._numbers: dict[str, int] = {}  # text -> its number
        self._concepts: dict[str, int] = {}
        self._of_concept: list[list[int]] = []
        self._own: list[int] = []  # numbers of the pairs' own texts, pair by pair
        self._ends: list[int] = [0]
        self._concept_of: list[int] = []

    @property
    def needs_captions(self) -> bool:
        """Whether a pair without a caption can have no text."""
        return "concept" not in self.kinds

    def add(self, row: PairRow, is_pair: bool) -> bool:
        """Takes the next sample in, unless it is a pair for which there is no text.

        A general image has no text and no concept.

        Returns:
            Whether it was taken.
        """
        own: list[str] = []
        concept = row.concept if is_pair else ""
        if is_pair:
            if "captions" in self.kinds:
                own += row.captions or ([row.caption] if row.caption else [])
            elif "caption" in self.kinds and row.caption:
                own.append(row.caption)
            if not own and not (concept and "concept" in self.kinds):
                return False
        self._own += [self._number(text) for text in dict.fromkeys(own)]
        self._ends.append(len(self._own))
        self._concept_of.append(self._concept(concept) if concept else -1)
        return True

    def _number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def _concept(self, name: str) -> int:
        number = self._concepts.setdefault(name, len(self._concepts))
        if number == len(self._of_concept):
            texts = dict.fromkeys(render(template, name) for template in self.templates)
            wanted = texts if "concept" in self.kinds else ()
            self._of_concept.append([self._number(text) for text in wanted])
        return number

    def finish(self) -> None:
        """Packs everything into arrays, which forked workers share; nothing is added any more."""
        self._texts = pa.array(list(self._numbers), pa.large_string())
        self.concepts = list(self._concepts)
        self._own_array = np.asarray(self._own, np.int64)
        self._ends_array = np.asarray(self._ends, np.int64)
        self._concept_array = np.asarray(self._concept_of, np.int64)
        self._numbers, self._concepts, self._own = {}, {}, []
        self._ends, self._concept_of = [], []

    @property
    def texts(self) -> list[str]:
        """Every distinct text, by number."""
        return self._texts.to_pylist()

    def text(self, number: int) -> str:
        """A text by its number; -1 is the empty one."""
        return self._texts[number].as_py() if number >= 0 else ""

    def concept_id(self, index: int) -> int:
        """The concept of sample ``index`` (a place in :attr:`concepts`), -1 for none."""
        return int(self._concept_array[index])

    def choices(self, index: int) -> list[int]:
        """Numbers of the texts that sample ``index`` may get; none for a general image."""
        own = self._own_array[self._ends_array[index] : self._ends_array[index + 1]].tolist()
        concept = self.concept_id(index)
        return own + (self._of_concept[concept] if concept >= 0 else [])

    def choose(self, index: int, epoch: int) -> int:
        """Number of the text of sample ``index`` in ``epoch``; -1 for a general image."""
        numbers = self.choices(index)
        if len(numbers) < 2:
            return numbers[0] if numbers else -1
        generator = np.random.default_rng([_STREAM, abs(self.seed), abs(epoch), index])
        return numbers[int(generator.integers(len(numbers)))]
