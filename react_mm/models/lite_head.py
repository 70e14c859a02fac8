"""Heads that are fixed in closed form: from a trunk's features to a sentence encoder's space.

No image and no gradient is needed, only the trunk's ImageNet classifier and the embeddings of the
1,000 class names. With w the classifier, t_c the name embeddings and m their mean:

- ``conse``: e(f) = sum_c softmax(w f / T)_c (t_c - m). Convex combination of semantic embeddings
  (Norouzi et al., arXiv 1312.5650), with a temperature and without the part all names share.
- ``linear``: e(f) = sum_c (w f)_c (t_c - m), the first-order term of the same.

`docs/real_photos.md` has what each measured, and on what the choice was made.
"""

import hashlib
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.lite_backbone import LiteTrunk
from react_mm.models.lite_text import LiteText
from react_mm.prompts import TEMPLATES, render
from react_mm.suggestions import near_matches

HEADS = ("conse", "linear")


def imagenet_names() -> list[str]:
    """The 1,000 class names in the classifier's order, as torchvision ships them."""
    from torchvision.models import EfficientNet_B0_Weights

    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])


@lru_cache(maxsize=4)
def _embed_names(template: str) -> tuple[tuple[str, ...], Tensor]:
    """The prompts of the 1,000 names and their embeddings, float32 (1000, 384), normalised."""
    texts = tuple(render(template, name) for name in imagenet_names())
    return texts, F.normalize(LiteText().encode_text(texts).float(), dim=-1)


class NameHead(nn.Module):
    """Closed-form head; acts on every vector of the last axis, so on pooled and dense alike.

    Args:
        kind: A name of :data:`HEADS`.
        temperature: T of ``conse``.
        centred: Whether the mean of the name embeddings is taken away.
        template: Prompt into which the names are put.

    Raises:
        ValueError: If the head is unknown or the temperature not positive.
    """

    def __init__(
        self,
        kind: str = "conse",
        temperature: float = 3.0,
        centred: bool = True,
        template: str = TEMPLATES["photo"][0],
    ) -> None:
        super().__init__()
        if kind not in HEADS:
            raise ValueError(f"unknown head {kind!r}{near_matches(kind, HEADS)}; known: {HEADS}")
        if temperature <= 0:
            raise ValueError(f"the temperature of the head must be positive, got {temperature}")
        self.kind, self.temperature = kind, temperature
        texts, names = _embed_names(template)
        names = names - names.mean(0) if centred else names.clone()
        # The embeddings differ in the last bits from machine to machine, what they are made of does
        # not: the base's hash, which deltas are checked against, takes the latter.
        self.register_buffer("names", names, persistent=False)
        made_of = f"{kind}|{float(temperature)!r}|{bool(centred)}|" + "\n".join(texts)
        digest = hashlib.sha256(made_of.encode()).digest()
        self.register_buffer("made_of", torch.from_numpy(np.frombuffer(digest, np.uint8).copy()))

    def forward(self, features: Tensor, trunk: LiteTrunk) -> Tensor:
        """float (..., 1280) -> float (..., 384), not normalised.

        Args:
            features: Tokens, or their mean.
            trunk: Holder of the classifier.
        """
        logits = trunk.classify(features)
        if self.kind == "conse":
            logits = (logits.float() / self.temperature).softmax(-1)
        return logits @ self.names.to(logits.dtype)
