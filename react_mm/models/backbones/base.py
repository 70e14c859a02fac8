"""What every image tower offers to customization, detectors, segmentors and retrieval."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from react_mm.models.layers.gated_attention import gated_blocks
from react_mm.models.layers.lora import scaled_parts
from react_mm.models.layers.region_pooling import region_embeddings

ImageSizes = Sequence[tuple[int, int]]
"""Valid (unpadded) height and width in pixels of each image of a padded batch."""

EXCEPT_GATES = "except-gates"


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

    def block_copy(self, block: nn.Module) -> dict[str, Tensor]:
        """Weights of a frozen block under the names of :class:`GatedAttentionBlock`.

        Raises:
            ValueError: If this tower's blocks are of another form.
        """
        raise ValueError(
            f"gated-image: init='copy' is not defined for {type(self).__name__}, whose frozen "
            "blocks are of another form than the gated block; use init='default'"
        )

    def lora_blocks(self) -> list[nn.Module]:
        """The blocks for :func:`react_mm.models.layers.lora.insert_lora`.

        Raises:
            ValueError: If LoRA is not built for this tower.
        """
        raise ValueError(
            f"method 'lora' is not built for {type(self).__name__}: only for open_clip's own "
            "transformers (react_mm.CLIPViT, react_mm.CLIPText)"
        )

    def dense_embedding(self, x: Tensor, image_sizes: ImageSizes | None = None) -> Tensor:
        """Dense embedding (B, D, ceil(H / stride), ceil(W / stride)), not normalised."""
        return self.forward_all(x, image_sizes)["dense"]

    def taps_and_dense(
        self, x: Tensor, image_sizes: ImageSizes | None = None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Taps, and the map that :meth:`pool_regions` takes, in one pass, for detectors.

        That map is the dense embedding, except in towers that say otherwise (a ResNet pools regions
        from its last stage).
        """
        out = self.forward_all(x, image_sizes)
        return out["taps"], out["dense"]

    def region_map(self, x: Tensor, image_sizes: ImageSizes | None = None) -> Tensor:
        """The map that :meth:`pool_regions` takes, without taps; see :meth:`taps_and_dense`."""
        return self.dense_embedding(x, image_sizes)

    def pool_regions(self, dense: Tensor, rois: Tensor, bins: int = 7) -> Tensor:
        """Embeddings of regions in the joint space.

        By default RoIAlign of the L2-normalised cells and their mean
        (:func:`react_mm.models.layers.region_pooling.region_embeddings`).

        Args:
            dense: What :meth:`taps_and_dense` or :meth:`region_map` returned, float (B, D, h, w).
            rois: Regions float (N, 5): image index, x1, y1, x2, y2 in input pixels.
            bins: Bins per side of the RoIAlign.

        Returns:
            Float (N, D), not normalised.
        """
        return region_embeddings(dense, rois, self.stride, bins)

    def forward(self, x: Tensor, image_sizes: ImageSizes | None = None) -> tuple[Tensor, ...]:
        """Taps for a neck: tuple of float (B, C, h, w)."""
        return self.forward_all(x, image_sizes)["taps"]

    @property
    def gate_scale(self) -> float | tuple[float, ...]:
        """Scale in [0, 1] of all gates, one per block where they differ; 1 without gates.

        Low-rank updates count as gates do.
        """
        scales = [gate.gate_scale for gate in scaled_parts(self)]
        return tuple(scales) if len(set(scales)) > 1 else (scales or [1.0])[0]

    def set_gate_scale(self, scale: float | Sequence[float]) -> None:
        """Multiplies what was inserted by ``scale``: 0 is the plain tower, 1 the trained one.

        It multiplies the tanh of every gate, and every low-rank update.

        Args:
            scale: One number, or one per gated block (low-rank update) in order of depth.

        Raises:
            ValueError: If a scale is outside [0, 1], or their number is not that of the blocks.
        """
        gates = scaled_parts(self)
        scales = list(scale) if isinstance(scale, Sequence) else [scale] * len(gates)
        if len(scales) != len(gates):
            raise ValueError(f"{len(scales)} gate scales for a tower with {len(gates)} gates")
        for value in scales or [scale]:
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"gate scale must lie in [0, 1], got {value}")
        for gate, value in zip(gates, scales, strict=True):
            gate.gate_scale = float(value)

    def set_frozen(self, frozen: bool | str) -> None:
        """Says what is trained: nothing (True), all (False), or the gated blocks (`except-gates`).

        Raises:
            ValueError: If ``frozen`` is something else, or there are no gated blocks to train.
        """
        if frozen not in (True, False, EXCEPT_GATES):
            raise ValueError(f"frozen must be True, False or {EXCEPT_GATES!r}, got {frozen!r}")
        if frozen:
            self.freeze()
        if frozen == EXCEPT_GATES:
            gates = gated_blocks(self)
            if not gates:
                raise ValueError(
                    f"frozen={frozen!r}, but this {type(self).__name__} has no gated blocks: give "
                    "it a delta of method gated-image"
                )
            self.frozen = False
            for gate in gates:
                gate.requires_grad_(True)

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
