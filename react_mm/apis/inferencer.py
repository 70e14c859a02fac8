"""One way from pictures and class names to predictions: classify, detect, segment, retrieve."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from tqdm import tqdm

import react_mm
from react_mm.apis.inference_inputs import ImageInput, Input, expand
from react_mm.apis.inference_model import (
    CLASSIFY,
    DETECT,
    load_inference_model,
    scope_of,
    tower_of,
)
from react_mm.apis.inference_pipeline import Preparation
from react_mm.apis.inference_results import (
    MASK_FORMATS,
    classification_result,
    detection_result,
    read_map,
    segmentation_result,
)
from react_mm.checkpoints import content_hash
from react_mm.datasets.images import DamagedImageError
from react_mm.manifest import sha256_bytes
from react_mm.models.layers.lora import scaled_parts
from react_mm.prompts import Vocabulary, read_concepts

Names = Vocabulary | Sequence[str] | str | Path
BACKGROUND = "background"


class Inferencer:
    """A model and class names on any pictures.

    What is predicted follows the model of the config: ``react_mm.CLIP`` classifies, mmdet's
    detectors of ours detect (with masks where the head has them), mmseg's segment.

        inferencer = Inferencer("configs/detection/....py", "run/iter_300.pth", ["cat", "dog"])
        inferencer("photo.jpg")["objects"]
        inferencer(["a.jpg", array, picture], vocabulary=["wheel", "door"])
        inferencer.run("photos", out="predictions")          # resumable

    Args:
        config: Config file, or a config that was read.
        checkpoint: Weights of the whole model as training leaves them; None: the config's own.
        vocabulary: Class names: a list, a names file (``name; synonym`` per line), a public set or
            a :class:`Vocabulary`. None: those of the config's ``VocabularyHook``, else those the
            checkpoint was trained on, else they must be given with each call.
        delta: A customization (.safetensors with its card) for the tower, in place of what config
            and checkpoint say; ``none`` takes the tower without any.
        gate_scale: Scale of the gates in [0, 1]; None: the delta's card.
        device: ``cpu``, ``cuda``, ``cuda:1``; None takes CUDA if there is one.
        options: Changes to the config, as after ``--cfg-options``.
        base_classes: Classes the detector was trained on, for its score combiner; None: those in
            the checkpoint.
        score_thr: Objects with lower scores are left out.
        mask_format: ``rle`` (COCO, exact) or ``polygons`` (COCO, without holes).
        top: How many classes a classifier names.

    Attributes:
        task: ``classify``, ``detect`` or ``segment``.
        model: The model, in eval mode.
        vocabulary: The vocabulary of calls that give none, or None.

    Raises:
        FileNotFoundError, ValueError: If a file does not exist, weights do not fit or an argument
            is unknown, before anything long.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        vocabulary: Names | None = None,
        delta: str | Path | None = None,
        gate_scale: float | Sequence[float] | None = None,
        device: str | None = None,
        options: Mapping[str, Any] | None = None,
        base_classes: Sequence[str] | None = None,
        score_thr: float = 0.0,
        mask_format: str = "rle",
        top: int = 5,
    ) -> None:
        if mask_format not in MASK_FORMATS:
            raise ValueError(f"mask_format is {' or '.join(MASK_FORMATS)}, not {mask_format!r}")
        if not 0.0 <= score_thr <= 1.0:
            raise ValueError(f"score_thr lies in [0, 1], got {score_thr}")
        given = None if vocabulary is None else read_names(vocabulary)
        loaded = load_inference_model(config, checkpoint, delta, gate_scale, device, options)
        self.loaded, self.model, self.task = loaded, loaded.model, loaded.task
        self.score_thr, self.mask_format, self.top = score_thr, mask_format, top
        self._prepare = Preparation(loaded)
        if base_classes is not None and hasattr(self.model, "set_base_classes"):
            self.model.set_base_classes(tuple(base_classes))
        self.vocabulary = given or _default_vocabulary(loaded.config, loaded.classes)
        self._weights: str | None = None

    def __call__(
        self,
        inputs: ImageInput | Sequence[ImageInput],
        vocabulary: Names | None = None,
        batch_size: int = 8,
        progress: bool = True,
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Predicts for pictures.

        Args:
            inputs: An image file, a folder, an array (uint8, BGR as mmcv reads; or grey), a PIL
                picture, or a sequence of these.
            vocabulary: Class names for this call alone.
            batch_size: Pictures at once.
            progress: Whether to show a bar for more than one batch.

        Returns:
            One dict for one picture, else a list in the order given. Each has ``image, width,
            height, sha256, task`` and ``classes``, ``objects``, or ``regions`` and ``map_png``, see
            :mod:`react_mm.apis.inference_results`. A damaged picture in a list gives
            ``image`` and ``rejected``, the reason.

        Raises:
            DamagedImageError: If a single picture is damaged.
            ValueError: If there is no vocabulary.
        """
        found, single = expand(inputs)
        self._speak(vocabulary)
        hidden = not progress or len(found) <= batch_size
        results = []
        with tqdm(total=len(found), unit="image", desc=self.task, disable=hidden) as bar:
            for result in self.predict(found, batch_size):
                results.append(result)
                bar.update()
        if not single:
            return results
        if "rejected" in results[0]:
            raise DamagedImageError(f"{results[0]['image']}: {results[0]['rejected']}")
        return results[0]

    def predict(self, inputs: Sequence[Input], batch_size: int = 8) -> Iterator[dict[str, Any]]:
        """Predicts with the vocabulary that is set, in the order given; see :meth:`__call__`."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, not {batch_size}")
        for first in range(0, len(inputs), batch_size):
            results, prepared, rows = [], [], []
            for entry in inputs[first : first + batch_size]:
                result: dict[str, Any] = {"image": entry.name, "task": self.task}
                try:
                    picture, result["sha256"] = entry.read()
                    prepared.append(self._prepared(picture, entry.name))
                except DamagedImageError as error:
                    result["rejected"] = str(error)
                else:
                    result["width"], result["height"] = picture.size
                    rows.append(len(results))
                results.append(result)
            for row, found in zip(rows, self._predict(prepared), strict=True):
                results[row].update(found)
            yield from results

    def run(
        self,
        folder: str | Path,
        out: str | Path,
        vocabulary: Names | None = None,
        batch_size: int = 8,
        progress: bool = True,
    ) -> dict[str, Any]:
        """Predicts for a folder and writes one JSON file per image; a killed run goes on.

        See :func:`react_mm.apis.inference_folder.run_folder`.
        """
        from react_mm.apis.inference_folder import run_folder

        self._speak(vocabulary)
        return run_folder(self, folder, out, batch_size, progress)

    def retrieve(
        self,
        inputs: ImageInput | Sequence[ImageInput],
        index: str | Path,
        k: int = 10,
        keys: str = "image",
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Nearest pairs of a retrieval index; see :func:`react_mm.apis.nearest_pairs.retrieve`."""
        from react_mm.apis.nearest_pairs import retrieve

        return retrieve(self, inputs, index, k, keys)

    def identity(self) -> dict[str, Any]:
        """What a prediction depends on besides the picture; results of equal identity are equal."""
        if self._weights is None:
            self._weights = content_hash(self.model.state_dict())
        vocabulary = self.model.vocabulary
        names = {name: list(vocabulary.all_names(name)[1:]) for name in vocabulary.names}
        embeddings = self.model.class_embeddings
        combined = {k: v for k, v in self.loaded.config.model.items() if k != "class_embedder"}
        identity = {
            "version": react_mm.__version__,
            "task": self.task,
            "model": combined,
            "weights": self._weights,
            "gate_scale": [part.gate_scale for part in scaled_parts(tower_of(self.model))],
            "pipeline": self._prepare.steps,
            "vocabulary": names,
            "class_embeddings": content_hash({"rows": embeddings}),
            "base_classes": list(getattr(self.model, "base_classes", ())),
            "score_thr": self.score_thr,
            "mask_format": self.mask_format,
            "top": self.top,
        }
        return json.loads(json.dumps(identity, default=str))

    def key(self) -> str:
        """Hash of :meth:`identity`."""
        return sha256_bytes(json.dumps(self.identity(), sort_keys=True).encode())

    def _speak(self, vocabulary: Names | None) -> None:
        """Sets the model's vocabulary if it has another one."""
        wanted = self.vocabulary if vocabulary is None else read_names(vocabulary)
        if wanted is None:
            raise ValueError(
                "no vocabulary: give class names, Inferencer(..., vocabulary=['cat', 'dog']) or "
                "vocabulary='names.txt'; neither config nor checkpoint names any"
            )
        # By its setting, or because a head was trained with it as a class.
        wants = getattr(self.model, "background", None) or BACKGROUND in getattr(
            self.model, "base_classes", ()
        )
        if wants and BACKGROUND not in wanted.names:
            wanted = Vocabulary((BACKGROUND, *wanted.names), wanted.synonyms)
        if self.model.vocabulary != wanted:
            self.model.set_vocabulary(wanted)

    def _prepared(self, picture: Any, name: str) -> dict[str, Any]:
        try:
            return self._prepare(picture, name)
        except Exception as error:  # such as a resize to no pixels: a fault of this picture
            raise DamagedImageError(
                f"the test pipeline fails on {picture.width} x {picture.height} pixels: "
                f"{type(error).__name__}: {error}"
            ) from error

    @torch.no_grad()
    def _predict(self, prepared: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Predictions of prepared pictures, as plain dicts."""
        if not prepared:
            return []
        names = self.model.vocabulary.names
        with scope_of(self.loaded.config):
            samples = self.model.test_step(self._prepare.collate(prepared))
        if self.task == CLASSIFY:
            return [classification_result(s["scores"], names, self.top) for s in samples]
        if self.task == DETECT:
            settings = (names, self.score_thr, self.mask_format)
            return [detection_result(sample, *settings) for sample in samples]
        return [segmentation_result(sample, names) for sample in samples]


def label_map(result: Mapping[str, Any], folder: str | Path | None = None) -> Any:
    """The label map of a segmentation result, int64 (H, W).

    Args:
        result: Of a call (``map_png``), or read from a folder run (``map_file``).
        folder: Output folder of the run.
    """
    if "map_png" in result:
        return read_map(base64.b64decode(result["map_png"]))
    return read_map((Path(folder or ".") / result["map_file"]).read_bytes())


def read_names(names: Names) -> Vocabulary:
    """Class names given as a list, a names file, a public set or a vocabulary.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If there are none, or one is empty or stands twice.
    """
    if isinstance(names, Vocabulary):
        return names
    if isinstance(names, (str, Path)):
        return read_concepts(names)
    return Vocabulary.of(list(names))


def _default_vocabulary(config: Config, trained: Sequence[str] | None) -> Vocabulary | None:
    """The names that the config's vocabulary hook has, else those the checkpoint was trained on."""
    for hook in config.get("custom_hooks") or []:
        if hook.get("vocabulary") is not None:
            return read_names(hook["vocabulary"])
    return None if trained is None else Vocabulary.of(trained)
