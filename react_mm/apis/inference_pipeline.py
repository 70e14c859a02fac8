"""Pictures to model inputs by the test pipeline of a config."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from react_mm.apis.inference_inputs import bgr_array
from react_mm.apis.inference_model import CLASSIFY, InferenceModel, scope_of
from react_mm.registry import TRANSFORMS

LOADERS_OF_IMAGES = ("LoadImageFromFile", "LoadImageFromNDArray")


class Preparation:
    """The test pipeline of a config on pictures that are already decoded.

    What loads the image is replaced by the picture; what loads annotations is left out.

    Args:
        loaded: The model with its config.

    Attributes:
        steps: The pipeline's steps that are left, as plain configs.

    Raises:
        ValueError: If the config has no test pipeline, or one that loads more than image and
            annotations (proposals).
    """

    def __init__(self, loaded: InferenceModel) -> None:
        self.task = loaded.task
        found = pipeline_of(loaded.config)
        if self.task == CLASSIFY:
            self.steps = found or [_evaluation_step(loaded.model)]
            self._transforms = [TRANSFORMS.build(dict(step)) for step in self.steps]
            return
        if found is None:
            raise ValueError(
                f"config {loaded.config.filename} has no test_dataloader.dataset.pipeline and no "
                "test_pipeline: how images are prepared is not known"
            )
        self._float = False
        self.steps = [step for step in found if not self._is_loader(step)]
        self._transforms = _build_mm(self.steps, loaded.config)

    def _is_loader(self, step: Mapping[str, Any]) -> bool:
        kind = str(step["type"]).rpartition(".")[2]
        if kind in LOADERS_OF_IMAGES:
            self._float = bool(step.get("to_float32"))
        elif kind.startswith("Load") and "Annotations" not in kind and "Label" not in kind:
            raise ValueError(
                f"the test pipeline needs {kind}: a model of given boxes or proposals is tested by "
                "tools/test.py"
            )
        return kind.startswith("Load")

    def __call__(self, picture: Image.Image, name: str) -> dict[str, Any]:
        """One picture to what the model's preprocessor takes for one image.

        Args:
            picture: RGB.
            name: Stands as ``img_path`` in the sample's meta data.
        """
        if self.task == CLASSIFY:
            from react_mm.datasets.images import to_uint8_chw

            results: dict[str, Any] = {"image": picture}
        else:
            array = bgr_array(picture)
            shape = array.shape[:2]
            results = dict(img=array.astype("float32") if self._float else array)
            results |= dict(img_shape=shape, ori_shape=shape, height=shape[0], width=shape[1])
            results |= dict(img_path=name, img_id=name, reduce_zero_label=False, seg_fields=[])
        for transform in self._transforms:
            results = transform(results)
        if self.task == CLASSIFY:
            return {"inputs": to_uint8_chw(results["image"])}
        return results

    def collate(self, prepared: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Several prepared pictures to one batch for ``model.test_step``."""
        if self.task == CLASSIFY:
            return {"inputs": torch.stack([entry["inputs"] for entry in prepared])}
        return {
            "inputs": [entry["inputs"] for entry in prepared],
            "data_samples": [entry["data_samples"] for entry in prepared],
        }


def pipeline_of(config: Config) -> list[dict] | None:
    """The test pipeline of a config: of the innermost test data set, or ``test_pipeline``."""
    node: Any = (config.get("test_dataloader") or {}).get("dataset")
    while isinstance(node, Mapping) and node.get("pipeline") is None:
        inner = node.get("dataset") or node.get("datasets")
        node = inner[0] if isinstance(inner, (list, tuple)) else inner
    found = node.get("pipeline") if isinstance(node, Mapping) else config.get("test_pipeline")
    return None if found is None else [dict(step) for step in found]


def _evaluation_step(model: nn.Module) -> dict[str, Any]:
    preprocess = model.image_tower.preprocess
    step = dict(
        type="react_mm.ResizeCenterCrop",
        size=preprocess["size"][0],
        interpolation=preprocess["interpolation"],
    )
    if "resize_mode" in preprocess:
        step["resize_mode"] = preprocess["resize_mode"]
    return step


def _build_mm(steps: Sequence[Mapping[str, Any]], config: Config) -> list[Callable]:
    from mmengine.registry import TRANSFORMS as ROOT_TRANSFORMS

    with scope_of(config):
        return [ROOT_TRANSFORMS.build(dict(step)) for step in steps]
