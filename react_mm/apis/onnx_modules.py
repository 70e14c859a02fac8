"""Towers as modules of tensors alone, for export: the batch, and if wanted the size, stay open."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.models.backbones.base import ImageTower
from react_mm.models.backbones.clip_vit import CLIPViT
from react_mm.models.layers.dense_attention import DENSE_MODES

CUBIC = -0.5  # coefficient of torch's antialiased bicubic kernel (Keys)


def resize_matrix(source: int, target: Tensor) -> Tensor:
    """Antialiased bicubic resizing of a line of samples as a matrix, as ``F.interpolate`` does it.

    Written in plain operations, so that an exported graph computes it for any size; ONNX's own
    Resize has another kernel.

    Args:
        source: Number of samples n.
        target: The positions 0 .. m - 1 of the result, float (m,).

    Returns:
        Float (m, n); rows sum to 1.
    """
    scale = source / target.shape[0]
    stretch = max(scale, 1.0) if isinstance(scale, float) else torch.sym_max(scale, 1.0)
    centre = scale * (target[:, None] + 0.5)
    samples = torch.arange(source, dtype=target.dtype, device=target.device)
    x = ((samples[None] - centre + 0.5) / stretch).abs()
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * CUBIC
    weights = torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
    return weights / weights.sum(dim=1, keepdim=True)


class _OpenViT(CLIPViT):
    """A CLIPViT whose forward depends on no number but the grid of the native size."""

    fixed_size: tuple[int, int] | None

    def _embed(self, x: Tensor, image_sizes: None) -> tuple[Tensor, tuple[int, int], None]:
        patch_h, patch_w = self.visual.patch_size
        if self.fixed_size is not None:
            size = self.fixed_size
            grid = (-(-size[0] // patch_h), -(-size[1] // patch_w))
            x = F.pad(x, (0, grid[1] * patch_w - size[1], 0, grid[0] * patch_h - size[0]))
            positions = self._positions(grid, grid)
        x = self.visual.conv1(x)
        if self.fixed_size is None:
            grid = (x.shape[2], x.shape[3])
            positions = self._open_positions(x)
        x = x.flatten(2).transpose(1, 2)
        first = self.visual.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat([first, x], dim=1) + positions.to(x.dtype)
        return self.visual.ln_pre(self.visual.patch_dropout(x)), grid, None

    def _open_positions(self, maps: Tensor) -> Tensor:
        """Positions (1 + h * w, C) of the grid of ``maps`` (B, C, h, w)."""
        embedding = self.visual.positional_embedding
        rows, columns = self.visual.grid_size
        lines = []
        for source, axis in ((rows, 2), (columns, 3)):
            places = torch.arange(maps.shape[axis], dtype=torch.float32, device=maps.device)
            lines.append(resize_matrix(source, places))
        cells = embedding[1:].reshape(rows, columns, -1).float()
        cells = torch.einsum("hr,rcd,wc->hwd", lines[0], cells, lines[1])
        return torch.cat([embedding[:1], cells.flatten(0, 1).to(embedding.dtype)])

    @staticmethod
    def _to_map(cells: Tensor, grid: Sequence[int], valid: None) -> Tensor:
        return cells.transpose(1, 2).reshape(cells.shape[0], -1, *grid)


class ImageEmbedder(nn.Module):
    """An image tower from normalised pixels to embeddings.

    Args:
        tower: Any image tower; the dense embedding is there for :class:`CLIPViT`.
        size: Height and width in pixels; None leaves them open (multiples of the stride).

    Attributes:
        outputs: Names: ``pooled_embedding``, and ``dense_embedding`` where there is one.
        size: As given.

    Raises:
        ValueError: If the tower cannot run at that size, or not at an open one.
    """

    def __init__(self, tower: ImageTower, size: tuple[int, int] | None) -> None:
        super().__init__()
        native = tuple(tower.preprocess["size"])
        if type(tower) is CLIPViT:
            if size is None and (tower.window_size or tower.dense_mode not in DENSE_MODES):
                what = f"window_size={tower.window_size}, dense_mode={tower.dense_mode!r}"
                raise ValueError(f"open sizes are not built for {what}: give a size")
            tower = copy.copy(tower)
            tower.__class__, tower.fixed_size = _OpenViT, size
            self.outputs = ("pooled_embedding", "dense_embedding")
        elif size != native:
            raise ValueError(
                f"{type(tower).__name__} is exported at its native size {native} alone, with its "
                f"pooled embedding; got {size or 'open sizes'}"
            )
        else:
            self.outputs = ("pooled_embedding",)
        self.tower, self.size = tower, size

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Embeds images.

        Args:
            images: RGB, normalised by the tower's mean and std, float (B, 3, H, W).

        Returns:
            Pooled float (B, D) and, for a ViT, dense float (B, D, h, w); not normalised.
        """
        if len(self.outputs) == 1:
            return (self.tower.encode_image(images),)
        out = self.tower._run(images, None, taps=False)
        return out["pooled"], out["dense"]


class TextEmbedder(nn.Module):
    """A text tower of open_clip from tokens to embeddings.

    Args:
        tower: :class:`react_mm.CLIPText`.

    Raises:
        ValueError: If it is another text tower, whose inputs are not one tensor of tokens.
    """

    outputs = ("text_embedding",)

    def __init__(self, tower: nn.Module) -> None:
        from react_mm.models.text_encoders import CLIPText

        super().__init__()
        if not isinstance(tower, CLIPText):
            raise ValueError(
                f"{type(tower).__name__} is not exported: only react_mm.CLIPText, whose input is "
                "one tensor of tokens"
            )
        self.model = tower.model

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens int64 (N, context length) to embeddings float (N, D), not normalised."""
        return self.model.encode_text(tokens)
