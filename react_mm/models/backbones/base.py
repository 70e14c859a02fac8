"""What every image tower offers to customization, detectors, segmentors and retrieval."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from react_mm.models.layers.gated_attention import gated_blocks

ImageSizes = Sequence[tuple[int, int]]
"""Valid (unpadded) height and width in pixels of each image of a padded batch."""


class ImageTower(BaseModule):
    """Image tower: pooled embedding, dense embedding and taps, plain or customized.

    Attributes:
        embed_dim: Dimension D of the joint space.
        stride: Pixels per cell of the dense embedding and of the taps.
        tap_channels: Channels C of each tap.
        preprocess: ``size`` (h, w), ``mean`` and ``std`` (of values in 0..1), ``interpolation``.
        frozen: Whether no weight is trained and the tower stays in eval mode.
    """

    embed_dim: int
    stride: int
    tap_channels: int
    preprocess: dict[str, Any]
    frozen: bool = False

    @abstractmethod
    def forward_all(self, x: Tensor, image_sizes: ImageSizes | None = None) -> dict[str, Any]:
        """Taps, dense and pooled embedding in one pass.

        Args:
            x: Normalised RGB images, float (B, 3, H, W).
            image_sizes: Valid size of each image when the batch is padded on the right and at the
                bottom; None when all of (H, W) is valid.

        Returns:
            ``taps``: tuple of float (B, C, h, w); ``dense``: float (B, D, h, w); ``pooled``: float
            (B, D). Neither embedding is normalised. Cells of padding are zero.
        """

    @abstractmethod
    def encode_image(self, x: Tensor) -> Tensor:
        """Pooled embedding (B, D) in the joint space, not normalised, of images (B, 3, H, W)."""

    @abstractmethod
    def insertion_points(self) -> list[nn.Module]:
        """The frozen blocks in order of depth; a gated block goes in front of the last K."""

    @abstractmethod
    def gate_options(self) -> dict[str, Any]:
        """Arguments of :class:`GatedAttentionBlock` which fit this tower."""

    def dense_embedding(self, x: Tensor, image_sizes: ImageSizes | None = None) -> Tensor:
        """Dense embedding (B, D, ceil(H / stride), ceil(W / stride)), not normalised."""
        return self.forward_all(x, image_sizes)["dense"]

    def taps_and_dense(
        self, x: Tensor, image_sizes: ImageSizes | None = None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Taps and dense embedding in one pass, for detectors."""
        out = self.forward_all(x, image_sizes)
        return out["taps"], out["dense"]

    def forward(self, x: Tensor, image_sizes: ImageSizes | None = None) -> tuple[Tensor, ...]:
        """Taps for a neck: tuple of float (B, C, h, w)."""
        return self.forward_all(x, image_sizes)["taps"]

    @property
    def gate_scale(self) -> float:
        """Scale in [0, 1] of all gates; 1 for a tower without gates."""
        gates = gated_blocks(self)
        return gates[0].gate_scale if gates else 1.0

    def set_gate_scale(self, scale: float) -> None:
        """Multiplies the tanh of every gate by ``scale``: 0 is the plain tower, 1 the trained one.

        Raises:
            ValueError: If ``scale`` is outside [0, 1].
        """
        if not 0.0 <= scale <= 1.0:
            raise ValueError(f"gate scale must lie in [0, 1], got {scale}")
        for gate in gated_blocks(self):
            gate.gate_scale = float(scale)

    def freeze(self) -> None:
        """Stops all gradients into the tower, gates included, and keeps it in eval mode."""
        self.frozen = True
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "ImageTower":
        """Switches to training mode, which a frozen tower ignores."""
        return super().train(mode and not self.frozen)

    def init_weights(self) -> None:
        """Does nothing: weights are loaded when the tower is built (mmengine would overwrite)."""
        self._is_init = True
