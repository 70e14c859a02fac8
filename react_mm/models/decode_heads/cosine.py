"""Convolutions on the dense embedding, then the cosine with the class embeddings."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import normalize

from react_mm.models.decode_heads.base import OpenVocabularyDecodeHead, Similarity, zeroed
from react_mm.registry import MODELS


@MODELS.register_module()
class CosineDecodeHead(OpenVocabularyDecodeHead):
    """logits = cosine(dense + f(dense, tap), class embeddings) / temperature.

    f is a stack of convolutions whose last layer starts at zero: before training the head is
    MaskCLIP, or whatever the tower's dense mode is; training moves embeddings within the joint
    space, where classes that were never seen have their place, too.

    Args:
        embed_dim: See :class:`OpenVocabularyDecodeHead`, as ``tap_channels``, ``temperature`` and
            ``loss_decode``.
        channels: Channels inside f.
        num_convs: 3 x 3 convolutions inside f.
        dropout: Share of f's channels left out in training.
    """

    def __init__(
        self,
        embed_dim: int,
        channels: int = 256,
        num_convs: int = 2,
        dropout: float = 0.1,
        tap_channels: int | None = None,
        temperature: float = 0.05,
        loss_decode: dict | Sequence[dict] | None = None,
    ) -> None:
        super().__init__(embed_dim, tap_channels, temperature, loss_decode)
        layers: list[nn.Module] = [nn.Conv2d(self.guide_channels, channels, 1)]
        for _ in range(num_convs):
            convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            layers += [nn.GELU(), convolution, nn.GroupNorm(1, channels)]
        self.change = nn.Sequential(
            *layers,
            nn.GELU(),
            nn.Dropout2d(dropout),
            zeroed(nn.Conv2d(channels, embed_dim, 1)),
        )

    def forward(self, dense: Tensor, taps: Sequence[Tensor], similarity: Similarity) -> Tensor:
        """Logits float (B, C, h, w) on the grid of the dense embedding."""
        moved = normalize(dense, dim=1) + self.change(self.guide(dense, taps))
        return similarity(moved.movedim(1, -1)).movedim(-1, 1) / self.temperature
