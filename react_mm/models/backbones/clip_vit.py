"""CLIP's vision transformer from open_clip as a backbone for images of any size."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpoint_activations

from react_mm.models.backbones.base import ImageSizes, ImageTower
from react_mm.models.backbones.open_clip_tower import (
    activation_class,
    check_tower_class,
    preprocessing,
    resolve_indices,
)
from react_mm.models.customization import apply_delta, load_official_gates
from react_mm.models.layers.dense_attention import (
    LOCAL,
    check_dense_mode,
    local_tokens,
    run_last_block,
)
from react_mm.models.layers.gated_attention import BLOCK_NAME, gated_blocks
from react_mm.models.layers.window_attention import (
    Windows,
    resolve_global_blocks,
    run_windowed_block,
)
from react_mm.models.open_clip_loading import load_open_clip
from react_mm.models.size_groups import fit_to
from react_mm.registry import MODELS


@MODELS.register_module()
class CLIPViT(ImageTower):
    """open_clip's ``VisionTransformer``: pooled embedding, taps and dense embedding.

    Positions are interpolated to each image's own grid, inputs that are no multiple of the patch
    are zero padded on the right and at the bottom, and padding is hidden from attention: a padded
    batch gives what its images give alone. At the native size the pooled embedding is open_clip's.

    With ``window_size`` all blocks but a few attend within windows
    (:mod:`react_mm.models.layers.window_attention`; the class token sees all patches and is seen by
    all). A window as large as the image gives the same as none. Cost of the two matrix products of
    a block's attention for N patches: N * (w * w + 2) instead of (N + 1) ** 2 scores; at 1,024
    pixels ViT-B/16 takes 0.69 of the multiplications of full attention with windows of 14 and four
    global blocks.

    Args:
        arch: Architecture (open_clip's name, ``toy-vit``, or a JSON file).
        pretrained: Pretrained tag; None for random weights or with ``checkpoint``.
        checkpoint: Local state dict instead of a tag; a released REACT checkpoint brings its gated
            blocks.
        delta: Customized weights (.safetensors with its card beside it) put on top.
        gate_scale: Scale of the delta's gates in [0, 1]; None leaves what the delta says.
        out_indices: Blocks after which taps are taken; negative ones count from the end.
        dense_mode: A key of :data:`react_mm.models.layers.dense_attention.DENSE_MODES`, or
            ``local`` (which takes no windows).
        window_size: Patches per side of the windows; None: every block attends globally.
        global_blocks: Blocks that attend globally beside windows; None: four, evenly spaced.
        frozen: Whether nothing is trained, gates included; ``except-gates`` trains those alone.
        with_cp: Whether activations are recomputed in the backward pass to save memory.
        mean: Channel means of the preprocessing (values in 0..1); None: the tag's, else CLIP's.
        std: Channel standard deviations; as ``mean``.
        init_cfg: Must be None: weights come from the arguments above.

    Raises:
        ValueError: If the architecture has another tower class (the message names its type), pools
            by attention, or an index or mode does not exist.
    """

    def __init__(
        self,
        arch: str,
        pretrained: str | None = None,
        checkpoint: str | None = None,
        delta: str | None = None,
        gate_scale: float | None = None,
        out_indices: Sequence[int] = (-1,),
        dense_mode: str = "vanilla",
        window_size: int | None = None,
        global_blocks: Sequence[int] | None = None,
        frozen: bool | str = True,
        with_cp: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        init_cfg: None = None,
    ) -> None:
        if init_cfg is not None:
            raise ValueError("CLIPViT takes no init_cfg: use pretrained, checkpoint or delta")
        super().__init__()
        self.arch = arch
        self.dense_mode = check_dense_mode(dense_mode)
        model = load_open_clip(arch, pretrained, checkpoint)
        self.visual = _supported(model.visual, arch)
        self.visual.set_grad_checkpointing(with_cp)
        blocks = len(self.insertion_points())
        self.out_indices = resolve_indices(out_indices, blocks, "block")
        self.global_blocks = resolve_global_blocks(window_size, global_blocks, blocks)
        self.window_size = window_size
        if window_size is not None and dense_mode == LOCAL:
            raise ValueError("dense_mode 'local' adds tokens that no window holds: no window_size")
        self.embed_dim = self.visual.output_dim
        self.tap_channels = self.visual.conv1.out_channels
        self.stride = self.visual.patch_size[0]
        self.preprocess = preprocessing(self.visual, mean, std)
        if model.official_gates:
            if delta is not None:
                raise ValueError(f"{checkpoint} has gated blocks of its own: it takes no delta")
            load_official_gates(self, model.official_gates, str(checkpoint))
            self.set_gate_scale(1.0 if gate_scale is None else gate_scale)
        elif delta is not None:
            apply_delta(self, delta, gate_scale)
        elif gate_scale is not None:
            raise ValueError("gate_scale is given without a delta: there are no gates to scale")
        self.set_frozen(frozen)

    def insertion_points(self) -> list[nn.Module]:
        """open_clip's residual blocks, first to last."""
        return list(self.visual.transformer.resblocks)

    def gate_options(self) -> dict[str, Any]:
        """Width, heads and activation of this tower; MLP ratio 4 as REACT's blocks have."""
        block = self.insertion_points()[0]
        layer = activation_class(block.mlp.gelu)
        return dict(
            width=self.tap_channels, heads=block.attn.num_heads, mlp_ratio=4.0, act_layer=layer
        )

    def block_copy(self, block: nn.Module) -> dict[str, Tensor]:
        """Weights of a residual block; a LayerScale is folded into the layers before it."""
        state = {
            k: v.clone() for k, v in block.state_dict().items() if not k.startswith(BLOCK_NAME)
        }
        for scale, layer in (("ls_1.gamma", "attn.out_proj"), ("ls_2.gamma", "mlp.c_proj")):
            if scale in state:
                gamma = state.pop(scale)
                state[f"{layer}.weight"] = gamma[:, None] * state[f"{layer}.weight"]
                state[f"{layer}.bias"] = gamma * state[f"{layer}.bias"]
        return state

    def lora_blocks(self) -> list[nn.Module]:
        """open_clip's residual blocks."""
        return self.insertion_points()

    def prefix_depth(self) -> int:
        """Blocks below the first one that has a gate or trains: they never change."""
        blocks = self.insertion_points()
        for depth, block in enumerate(blocks):
            if gated_blocks(block) or any(p.requires_grad for p in block.parameters()):
                return depth
        return len(blocks)

    def prefix(self, x: Tensor) -> Tensor:
        """What runs below the first gate and never changes while gates train: it may be stored.

        Args:
            x: Normalised images of one size, float (B, 3, H, W).

        Returns:
            Tokens, float (B, 1 + h * w, C), which :meth:`encode_image` takes in place of images.

        Raises:
            ValueError: If tokens are dropped at random (``patch_dropout``), or attend in windows.
        """
        self._check_prefix()
        if not isinstance(self.visual.patch_dropout, nn.Identity):
            raise ValueError(f"{self.arch!r} drops patches at random: its prefix cannot be stored")
        tokens = self._embed(x, None)[0]
        for block in self.insertion_points()[: self.prefix_depth()]:
            tokens = self._block(block, tokens, None)
        return tokens

    def prefix_state(self) -> dict[str, Tensor]:
        """The weights that :meth:`prefix` depends on."""
        blocks = range(self.prefix_depth(), len(self.insertion_points()))
        above = ("ln_post.", "proj", *(f"transformer.resblocks.{i}." for i in blocks))
        return {k: v for k, v in self.visual.state_dict().items() if not k.startswith(above)}

    def encode_image(self, x: Tensor) -> Tensor:
        """Pooled embedding (B, D), not normalised.

        Args:
            x: Normalised images, float (B, 3, H, W), or tokens of :meth:`prefix`, float (B, N, C).
        """
        if x.ndim == 3:
            self._check_prefix()
            x = x.to(self.visual.ln_post.weight.dtype)
            for block in self.insertion_points()[self.prefix_depth() :]:
                x = self._block(block, x, None)
            return self._pool(x, None)
        return self._run(x, None, taps=False, dense=False)["pooled"]

    def dense_embedding(self, x: Tensor, image_sizes: ImageSizes | None = None) -> Tensor:
        """Dense embedding (B, D, ceil(H / p), ceil(W / p)), not normalised; padding is zero."""
        return self._run(x, image_sizes, taps=False, pooled=False)["dense"]

    def forward(self, x: Tensor, image_sizes: ImageSizes | None = None) -> tuple[Tensor, ...]:
        """Taps at ``out_indices``: tuple of float (B, C, ceil(H / p), ceil(W / p))."""
        return self._run(x, image_sizes, dense=False, pooled=False)["taps"]

    def _check_prefix(self) -> None:
        if self.window_size is not None:
            raise ValueError("stored tokens have lost their grid: no prefix with window_size")

    def before_block(self, x: Tensor, index: int = -1) -> tuple[Tensor, tuple[int, int]]:
        """What enters a block, its gate not yet run, for methods that replace the block.

        Args:
            x: Normalised images of one size, float (B, 3, H, W).
            index: The block; negative ones count from the end.

        Returns:
            Tokens float (B, 1 + h * w, C), class token first, and (h, w).
        """
        x, grid, _ = self._embed(x, None)
        windows = None if self.window_size is None else Windows(grid, self.window_size, None)
        blocks = self.insertion_points()
        for row, block in enumerate(blocks[: resolve_indices([index], len(blocks), "block")[0]]):
            x = self._block(block, x, None, None if row in self.global_blocks else windows)
        return x, grid

    def taps_and_dense(
        self, x: Tensor, image_sizes: ImageSizes | None = None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Taps and dense embedding in one pass, without the pooled one."""
        out = self._run(x, image_sizes, pooled=False)
        return out["taps"], out["dense"]

    def forward_all(self, x: Tensor, image_sizes: ImageSizes | None = None) -> dict[str, Any]:
        """Taps, dense and pooled embedding in one pass; see :class:`ImageTower`."""
        return self._run(x, image_sizes)

    def _run(
        self,
        x: Tensor,
        image_sizes: ImageSizes | None,
        taps: bool = True,
        dense: bool = True,
        pooled: bool = True,
    ) -> dict[str, Any]:
        """Runs the blocks, the last one once or twice as the outputs asked for need it."""
        x, grid, valid = self._embed(x, image_sizes)
        first = x.shape[1]
        local = dense and self.dense_mode == LOCAL
        blocks, kept, mask, whole = self.insertion_points(), {}, None, None
        if local:
            x, mask = local_tokens(x, grid, valid, blocks[0].attn.num_heads, self.visual.pool_type)
        elif valid is not None:  # one window: its mask is (B, N), MultiheadAttention's (B, N, N)
            whole = Windows(grid, max(grid), valid)
        windows = None if self.window_size is None else Windows(grid, self.window_size, valid)
        for index, block in enumerate(blocks[:-1]):
            x = self._block(block, x, mask, whole if index in self.global_blocks else windows)
            kept[index] = x
        surgery = dense and self.dense_mode not in ("vanilla", LOCAL)
        last = x
        if pooled or (dense and not surgery) or (taps and len(blocks) - 1 in self.out_indices):
            last = kept[len(blocks) - 1] = self._block(blocks[-1], x, mask, whole)
        out: dict[str, Any] = {}
        if taps:
            out["taps"] = tuple(
                self._to_map(kept[i][:, 1:first], grid, valid) for i in self.out_indices
            )
        if dense:
            if surgery:
                tokens = run_last_block(blocks[-1], x, self.dense_mode, grid, whole)[:, 1:]
            else:
                tokens = last[:, first:] if local else last[:, 1:]
            tokens = self.visual.ln_post(tokens) @ self.visual.proj
            out["dense"] = self._to_map(tokens, grid, valid)
        if pooled:
            out["pooled"] = self._pool(last[:, :first], valid)
        return out

    def _block(
        self, block: nn.Module, x: Tensor, mask: Tensor | None, windows: Windows | None = None
    ) -> Tensor:
        recomputed = self.visual.transformer.grad_checkpointing and _needs_graph(block, x)
        if windows is not None:
            if not recomputed:
                return run_windowed_block(block, x, windows)
            return checkpoint_activations(
                run_windowed_block, block, x, windows, use_reentrant=False
            )
        if recomputed:
            return checkpoint_activations(block, x, None, None, mask, use_reentrant=False)
        return block(x, attn_mask=mask)

    def _embed(
        self, x: Tensor, image_sizes: ImageSizes | None
    ) -> tuple[Tensor, tuple[int, int], Tensor | None]:
        """Tokens (B, 1 + h * w, C), the grid (h, w), and which cells are valid (B, h * w)."""
        patch_h, patch_w = self.visual.patch_size
        sizes = [tuple(x.shape[-2:])] * len(x) if image_sizes is None else image_sizes
        if len(sizes) != len(x):
            raise ValueError(f"{len(sizes)} image sizes for a batch of {len(x)}")
        grids = [(-(-int(h) // patch_h), -(-int(w) // patch_w)) for h, w in sizes]
        grid = (max(g[0] for g in grids), max(g[1] for g in grids))
        x = fit_to(x, sizes, (grid[0] * patch_h, grid[1] * patch_w))
        x = self.visual.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.visual.class_embedding.to(x.dtype).expand(len(x), 1, -1), x], dim=1)
        positions = {g: self._positions(g, grid).to(x.dtype) for g in set(grids)}
        if len(positions) == 1:
            x = x + positions[grids[0]]
        else:
            x = x + torch.stack([positions[g] for g in grids])
        x = self.visual.ln_pre(self.visual.patch_dropout(x))
        if len(positions) == 1:
            return x, grid, None
        valid = x.new_zeros((len(x), *grid), dtype=torch.bool)
        for cells, (h, w) in zip(valid, grids, strict=True):
            cells[:h, :w] = True
        return x, grid, valid.flatten(1)

    def _positions(self, own: tuple[int, int], grid: tuple[int, int]) -> Tensor:
        """Positions (1 + h * w, C) of an image's own grid, laid out in the batch's grid."""
        embedding = self.visual.positional_embedding
        native = tuple(self.visual.grid_size)
        if own == grid == native:
            return embedding
        cells = embedding[1:].T.reshape(1, -1, *native)
        if own != native:
            cells = F.interpolate(
                cells.float(), size=own, mode="bicubic", antialias=True, align_corners=False
            )
        cells = F.pad(cells[0], (0, grid[1] - own[1], 0, grid[0] - own[0]))
        return torch.cat([embedding[:1], cells.flatten(1).T.to(embedding.dtype)])

    def _pool(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """Pooled embedding (B, D) as open_clip pools, over valid tokens only."""
        visual = self.visual
        if not visual.final_ln_after_pool:
            x = visual.ln_post(x)
        if visual.pool_type == "tok":
            pooled = x[:, 0]
        elif valid is None:
            pooled = x[:, 1:].mean(dim=1)
        else:
            cells = valid[..., None].to(x.dtype)
            pooled = (x[:, 1:] * cells).sum(1) / cells.sum(1)
        if visual.final_ln_after_pool:
            pooled = visual.ln_post(pooled)
        return pooled @ visual.proj

    @staticmethod
    def _to_map(cells: Tensor, grid: tuple[int, int], valid: Tensor | None) -> Tensor:
        """Tokens of cells (B, h * w, C) as a map (B, C, h, w), zero where there is padding."""
        if valid is not None:
            cells = cells * valid[..., None].to(cells.dtype)
        return cells.transpose(1, 2).reshape(len(cells), -1, *grid).contiguous()


def _needs_graph(block: nn.Module, x: Tensor) -> bool:
    """Whether a backward pass goes through ``block``: not below the first gate."""
    trains = x.requires_grad or any(p.requires_grad for p in block.parameters())
    return trains and torch.is_grad_enabled()


def _supported(visual: nn.Module, arch: str) -> VisionTransformer:
    """Returns the tower if this backbone can run it, and refuses it by name otherwise."""
    check_tower_class(visual, arch, VisionTransformer)
    if visual.attn_pool is not None or visual.pool_type not in ("tok", "avg"):
        raise ValueError(
            f"architecture {arch!r} uses attentional pooling (as CoCa does), which CLIPViT does "
            "not support: choose one that pools by class token or average"
        )
    for block in visual.transformer.resblocks:
        if type(block) is not ResidualAttentionBlock:
            raise ValueError(
                f"architecture {arch!r} is built of {type(block).__name__}, which CLIPViT does not "
                "support: choose one with open_clip's default block"
            )
    if not getattr(visual.transformer, "batch_first", True):
        raise ValueError(f"architecture {arch!r} is not batch_first, which CLIPViT needs")
    return visual
