"""What folder runs and searches need of an inferencer."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from torch import nn

from react_mm.apis.inference_inputs import Input


class Predictor(Protocol):
    """A model with its names set, see :class:`react_mm.apis.Inferencer`.

    Attributes:
        task: ``classify``, ``detect`` or ``segment``.
        model: The model.
    """

    task: str
    model: nn.Module

    def predict(self, inputs: Sequence[Input], batch_size: int = 8) -> Iterator[dict[str, Any]]:
        """A result for each picture, in their order."""

    def identity(self) -> dict[str, Any]:
        """What a prediction depends on besides the picture."""

    def key(self) -> str:
        """Hash of :meth:`identity`."""
