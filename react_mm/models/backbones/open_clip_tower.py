"""What the towers of open_clip share: which type runs which, preprocessing, sizes of images."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import open_clip
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from react_mm.models.backbones.base import ImageSizes, ImageTower
from react_mm.models.open_clip_loading import load_open_clip, resolve_architecture
from react_mm.models.size_groups import run_by_size

TOWER_TYPES: dict[type[nn.Module], str] = {
    VisionTransformer: "react_mm.CLIPViT",
    ModifiedResNet: "react_mm.CLIPResNet",
    TimmModel: "react_mm.TimmViT",
}
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


def image_tower_type(arch: str) -> str:
    """The registered type that runs an architecture's image tower, such as ``react_mm.CLIPViT``.

    Args:
        arch: See :func:`react_mm.models.open_clip_loading.resolve_architecture`.
    """
    config = open_clip.get_model_config(resolve_architecture(arch))["vision_cfg"]
    if config.get("timm_model_name"):
        return TOWER_TYPES[TimmModel]
    resnet = isinstance(config.get("layers"), list | tuple)
    return TOWER_TYPES[ModifiedResNet if resnet else VisionTransformer]


def check_tower_class(visual: nn.Module, arch: str, wanted: type[nn.Module]) -> None:
    """Refuses another tower class and says which type runs it.

    Raises:
        ValueError: If ``visual`` is no ``wanted``.
    """
    if isinstance(visual, wanted):
        return
    fitting = [name for cls, name in TOWER_TYPES.items() if isinstance(visual, cls)]
    advice = f"use type='{fitting[0]}'" if fitting else "no registered type runs it"
    raise ValueError(
        f"architecture {arch!r} has a {type(visual).__name__} image tower, which "
        f"{TOWER_TYPES[wanted]} does not run: {advice}"
    )


def preprocessing(
    visual: nn.Module, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> dict[str, Any]:
    """``size, mean, std, interpolation`` of a tower, and ``resize_mode`` where it is not CLIP's.

    Args:
        visual: open_clip's image tower, with the preprocessing its pretrained tag names.
        mean: Overrides the channel means (values in 0..1).
        std: Overrides the channel standard deviations.
    """
    config = getattr(visual, "preprocess_cfg", {})
    size = visual.image_size
    chosen = dict(
        size=tuple(size) if isinstance(size, Sequence) else (size, size),
        mean=tuple(config.get("mean", OPENAI_MEAN) if mean is None else mean),
        std=tuple(config.get("std", OPENAI_STD) if std is None else std),
        interpolation=config.get("interpolation", "bicubic"),
    )
    if config.get("resize_mode", "shortest") != "shortest":
        chosen["resize_mode"] = config["resize_mode"]
    return chosen


def activation_class(activation: nn.Module) -> Callable[[], nn.Module]:
    """What makes another activation like this one."""
    if getattr(activation, "approximate", "none") != "none":
        return partial(type(activation), approximate=activation.approximate)
    return type(activation)


def resolve_indices(indices: Sequence[int], count: int, what: str = "stage") -> tuple[int, ...]:
    """Indices of taps, negative ones counted from the end.

    Raises:
        ValueError: If one does not exist.
    """
    resolved = tuple(i + count if i < 0 else i for i in indices)
    for given, index in zip(indices, resolved, strict=True):
        if not 0 <= index < count:
            raise ValueError(f"out_indices: {what} {given} does not exist; the tower has {count}")
    return resolved


class OpenClipTower(ImageTower):
    """An open_clip tower that is no ``VisionTransformer`` of its own, for images of any size.

    Images are zero padded to a multiple of the stride on the right and at the bottom, and run
    together with those of a batch that have the same size then: a padded batch gives what its
    images give alone. At the native size the pooled embedding is open_clip's.

    Args:
        arch: Architecture (open_clip's name, or a JSON file).
        pretrained: Pretrained tag; None for random weights or with ``checkpoint``.
        checkpoint: Local state dict instead of a tag.
        delta: Customized weights (.safetensors with its card beside it) put on top.
        gate_scale: Scale of the delta's gates in [0, 1]; None leaves what the delta says.
        frozen: Whether nothing is trained; ``except-gates`` trains gated blocks alone.
        mean: Channel means of the preprocessing; None: the tag's, else CLIP's.
        std: Channel standard deviations; as ``mean``.
        init_cfg: Must be None: weights come from the arguments above.

    Attributes:
        region_part: The part of :meth:`run` that :meth:`pool_regions` takes.

    Raises:
        ValueError: If the architecture has another tower class (the message names its type).
    """

    tower_class: type[nn.Module]
    region_part = "dense"

    def __init__(
        self,
        arch: str,
        pretrained: str | None = None,
        checkpoint: str | None = None,
        delta: str | None = None,
        gate_scale: float | None = None,
        frozen: bool | str = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        init_cfg: None = None,
    ) -> None:
        if init_cfg is not None:
            raise ValueError(f"{type(self).__name__} takes no init_cfg: use pretrained, checkpoint")
        super().__init__()
        self.arch = arch
        model = load_open_clip(arch, pretrained, checkpoint)
        visual = model.visual
        check_tower_class(visual, arch, self.tower_class)
        if model.official_gates:
            raise ValueError(f"{checkpoint} has gated blocks, which need type='react_mm.CLIPViT'")
        self.visual = self.checked(visual)
        self.embed_dim = open_clip.get_model_config(resolve_architecture(arch))["embed_dim"]
        self.preprocess = preprocessing(visual, mean, std)
        if delta is not None:
            from react_mm.models.customization import apply_delta

            apply_delta(self, delta, gate_scale)
        elif gate_scale is not None:
            raise ValueError("gate_scale is given without a delta: there are no gates to scale")
        self.set_frozen(frozen)

    def checked(self, visual: nn.Module) -> nn.Module:
        """Returns the tower if all of it can be run."""
        return visual

    @abstractmethod
    def run(self, images: Tensor, parts: Sequence[str]) -> dict[str, Any]:
        """Runs images without padding.

        Args:
            images: Normalised, float (n, 3, h, w), sides multiples of the stride.
            parts: Which of ``taps, dense, pooled`` and :attr:`region_part` are wanted.

        Returns:
            At least these: ``taps`` a tuple of float (n, C, h', w'), ``pooled`` float (n, D), all
            else float (n, C, h', w').
        """

    def encode_image(self, x: Tensor) -> Tensor:
        """Pooled embedding (B, D), not normalised; open_clip's own code at the native size.

        Args:
            x: Normalised images, float (B, 3, H, W).
        """
        if tuple(x.shape[-2:]) == self.preprocess["size"]:
            return self.visual(x)
        return self._collect(x, None, "pooled")["pooled"]

    def forward_all(self, x: Tensor, image_sizes: ImageSizes | None = None) -> dict[str, Any]:
        """Taps, dense and pooled embedding in one pass; see :class:`ImageTower`."""
        return self._collect(x, image_sizes, "taps", "dense", "pooled")

    def dense_embedding(self, x: Tensor, image_sizes: ImageSizes | None = None) -> Tensor:
        """Dense embedding (B, D, ceil(H / stride), ceil(W / stride)), not normalised."""
        return self._collect(x, image_sizes, "dense")["dense"]

    def region_map(self, x: Tensor, image_sizes: ImageSizes | None = None) -> Tensor:
        """The map that :meth:`pool_regions` takes."""
        return self._collect(x, image_sizes, self.region_part)[self.region_part]

    def taps_and_dense(
        self, x: Tensor, image_sizes: ImageSizes | None = None
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Taps, and the map that :meth:`pool_regions` takes, in one pass."""
        out = self._collect(x, image_sizes, "taps", self.region_part)
        return out["taps"], out[self.region_part]

    def forward(self, x: Tensor, image_sizes: ImageSizes | None = None) -> tuple[Tensor, ...]:
        """Taps for a neck: tuple of float (B, C, h, w)."""
        return self._collect(x, image_sizes, "taps")["taps"]

    def _collect(self, x: Tensor, image_sizes: ImageSizes | None, *parts: str) -> dict[str, Any]:
        taps = 0

        def flat(images: Tensor) -> list[Tensor]:
            nonlocal taps
            out = self.run(images, parts)
            given = out["taps"] if "taps" in parts else ()
            taps = len(given)
            return [*given, *(out[part] for part in parts if part != "taps")]

        tensors = run_by_size(flat, x, image_sizes, self.stride)
        named = dict(zip([p for p in parts if p != "taps"], tensors[taps:], strict=True))
        return {"taps": tuple(tensors[:taps]), **named}

    def train(self, mode: bool = True) -> "OpenClipTower":
        """Switches the mode; batch norm stays on its stored statistics.

        They are no parameters, so a delta would not hold them, and a batch of the retrieved set is
        no sample of what the base was trained on.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self
