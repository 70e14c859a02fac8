"""What a base knows, against counts by hand."""

import numpy as np

from react_mm.toy.knowledge import caption_recall
from react_mm.toy.world import CONCEPTS, TARGET_FAMILY

NAMES = [c for c in CONCEPTS if c.family == TARGET_FAMILY]


class ByWord:
    """Embeds a text by the first target word in it, and everything else elsewhere."""

    def __init__(self, blind: str = ""):
        self.blind = blind

    def encode_texts(self, texts):
        rows = np.zeros((len(texts), len(NAMES) + 1), np.float32)
        for row, text in enumerate(texts):
            known = [i for i, c in enumerate(NAMES) if any(w in text for w in c.words)]
            known = [i for i in known if NAMES[i].name != self.blind]
            rows[row, known[0] if known else -1] = 1
        return rows


def test_recall_counts_the_captions_that_name_a_concept():
    captions = [f"a photo of a {w}" for c in NAMES for w in c.words] * 3 + ["a cup"] * 40
    found = caption_recall(ByWord(), captions, k=6)
    assert found["recall"] == 1.0
    assert caption_recall(ByWord(), captions, k=3)["recall"] == 0.5
    # a concept that the tower cannot read: its queries find the cups that stand before it
    blind = caption_recall(ByWord(NAMES[0].name), ["a cup"] * 40 + captions, k=6)
    assert np.isclose(blind["recall"], 1 - 1 / len(NAMES))


def test_precision_is_of_the_first_ten():
    captions = [f"a {w}" for c in NAMES for w in c.words] + ["a cup"] * 40
    # two captions name each concept: two of the first ten are right
    assert np.isclose(caption_recall(ByWord(), captions)["precision_at_10"], 0.2)
