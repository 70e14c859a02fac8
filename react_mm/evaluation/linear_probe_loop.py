"""Linear probe and few-shot as a test loop: a zero-shot config becomes one by its ``test_cfg``."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, TestLoop
from torch import Tensor

from react_mm.evaluation.embedding_cache import embed_images
from react_mm.evaluation.linear_probe import (
    STRENGTHS,
    LinearClassifier,
    accuracy,
    choose_strength,
    fit_linear_probe,
    zero_shot_classifier,
)
from react_mm.evaluation.outcomes import Outcomes, average
from react_mm.evaluation.shots import draw_shots, hold_out
from react_mm.registry import LOOPS

STARTS = ("zero", "language")
Labelled = tuple[Tensor, Tensor]


@LOOPS.register_module()
class LinearProbeLoop(TestLoop):
    """Fits linear heads on frozen embeddings of labelled training images, then tests them.

    For each number of shots, each draw and each start, the penalty is chosen on validation images
    (as many per class as there are shots), before the head sees a test image. Reported by the
    config's own evaluator: the zero-shot values as usual, and
    ``probe/5-shot/language/METRIC`` with ``..._sd``, mean and standard deviation over the draws.

    The start ``language`` pulls the head towards the class embeddings (the language-initialised
    head of ELEVATER, for a loss that is solved to its optimum), ``zero`` towards zero.

    Args:
        runner: The runner.
        dataloader: Of the test images; its data set lists files and labels.
        evaluator: Metrics of class scores.
        train_dataset: What differs in the training images' data set from the test one's;
            ``split="train"`` by default.
        val_dataset: The same for the validation images; without it ``val_share`` of the training
            images of each class is held out and never trained on.
        val_share: See there.
        shots: Images per class, or ``all``.
        seeds: One draw each; ``all`` needs one.
        starts: Of ``zero`` and ``language``.
        strengths: Penalties to choose from.
        cache: Folder of the embeddings.
        headline: The metric that a table of several tasks shows; by default the evaluator's
            headline of the last of ``shots`` and ``starts``.
        fp16: As of mmengine's TestLoop; not used.

    Raises:
        ValueError: If a start, a number of shots or a share is not one of the above.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Any,
        evaluator: Any,
        train_dataset: Mapping[str, Any] | None = None,
        val_dataset: Mapping[str, Any] | None = None,
        val_share: float = 0.2,
        shots: Sequence[int | str] = (1, 5, 10, "all"),
        seeds: Sequence[int] = (0, 1, 2),
        starts: Sequence[str] = STARTS,
        strengths: Sequence[float] = STRENGTHS,
        cache: str = "work_dirs/embedding_cache",
        headline: str | None = None,
        fp16: bool = False,
    ) -> None:
        unknown = [start for start in starts if start not in STARTS]
        if unknown or not starts or not seeds:
            raise ValueError(f"starts are of {STARTS}, got {tuple(starts)}; seeds {tuple(seeds)}")
        if any(n != "all" and (not isinstance(n, int) or n < 1) for n in shots) or not shots:
            raise ValueError(f"shots are numbers from 1 or 'all', got {tuple(shots)}")
        self._config = copy.deepcopy(dataloader)
        super().__init__(runner, dataloader, evaluator, fp16)
        self.train_dataset, self.val_dataset = train_dataset or {"split": "train"}, val_dataset
        self.val_share, self.shots, self.seeds = val_share, tuple(shots), tuple(seeds)
        self.starts, self.strengths, self.cache = tuple(starts), tuple(strengths), cache
        own = getattr(self.evaluator.metrics[0], "headline", None)
        self.headline = headline or f"probe/{_arm(self.shots[-1], self.starts[-1])}/{own}"
        self.outcomes: dict[str, Outcomes] = {}

    def run(self) -> dict[str, float]:
        """Embeds, fits, chooses, tests.

        Raises:
            RuntimeError: In more than one process, or if the model has no vocabulary.
        """
        if get_world_size() > 1:
            raise RuntimeError("the linear probe runs in one process")
        self.runner.call_hook("before_test")
        self.runner.call_hook("before_test_epoch")
        model = self.runner.model
        self._model = model.module if is_model_wrapper(model) else model
        if getattr(self._model, "vocabulary", None) is None:
            raise RuntimeError("the linear probe needs a vocabulary: use react_mm.VocabularyHook")
        train, val = self._training_images()
        dataset = self.dataloader.dataset
        test = embed_images(self._model, self.dataloader, dataset, self.cache)
        scale = float(self._model.logit_scale.exp())
        test = test.to(self._model.class_embeddings.device)
        metrics, outcomes = self._evaluate(scale * self._model.class_similarity(test))
        self.outcomes = dict(outcomes)
        for name, runs in self._arms(train, val, test, scale):
            values, kept = zip(*runs, strict=True)
            for key in values[0]:
                short = key.split("/", 1)[-1]
                if short == "images" or short.startswith("class/"):
                    continue
                own = torch.tensor([v[key] for v in values], dtype=torch.float64)
                metrics[f"probe/{name}/{short}"] = float(own.mean())
                if len(runs) > 1:
                    metrics[f"probe/{name}/{short}_sd"] = float(own.std())
                joined = average([k[key] for k in kept]) if key in kept[0] else None
                if joined is not None:
                    self.outcomes[f"probe/{name}/{short}"] = joined
        self.runner.call_hook("after_test_epoch", metrics=metrics)
        self.runner.call_hook("after_test")
        return metrics

    def _training_images(self) -> tuple[Labelled, Labelled]:
        """Embeddings and labels to train on and to choose on."""
        train = self._embedded(self.train_dataset)
        if self.val_dataset is not None:
            return train, self._embedded(self.val_dataset)
        kept, held = hold_out(train[1], self._model.num_vocabulary, self.val_share)
        return tuple((train[0][rows], train[1][rows]) for rows in (kept, held))

    def _embedded(self, change: Mapping[str, Any]) -> Labelled:
        config = copy.deepcopy(self._config)
        config["dataset"] = {**config["dataset"], **copy.deepcopy(dict(change))}
        loader = Runner.build_dataloader(config)
        dataset = loader.dataset
        if dataset.metainfo["classes"] != self.dataloader.dataset.metainfo["classes"]:
            raise ValueError(
                "training or validation images have other classes than the test images; name the "
                "classes in the config"
            )
        labels = _labels(dataset, self._model.num_vocabulary)
        device = self._model.class_embeddings.device
        return embed_images(self._model, loader, dataset, self.cache).to(device), labels.to(device)

    def _arms(
        self, train: Labelled, val: Labelled, test: Tensor, scale: float
    ) -> Iterator[tuple[str, list[tuple[dict[str, float], dict[str, Outcomes]]]]]:
        """Each arm's name, and for each draw its metrics and outcomes on the test images."""
        text = zero_shot_classifier(self._class_embeddings(), scale)
        count = self._model.num_vocabulary
        for shots in self.shots:
            number = None if shots == "all" else shots
            for start in self.starts:
                runs = []
                for seed in self.seeds if number else self.seeds[:1]:
                    rows = draw_shots(train[1], count, number, seed)
                    chosen = draw_shots(val[1], count, number, seed, partial=True)
                    head = self._fit(
                        (train[0][rows], train[1][rows]),
                        (val[0][chosen], val[1][chosen]),
                        text if start == "language" else None,
                        scale,
                    )
                    self.runner.logger.info(
                        f"{_arm(shots, start)}, draw {seed}: {len(rows)} images, {len(chosen)} to "
                        f"choose on, strength {head.strength:g}"
                    )
                    runs.append(self._evaluate(head(test)))
                yield _arm(shots, start), runs

    def _fit(
        self, train: Labelled, val: Labelled, start: LinearClassifier | None, scale: float
    ) -> LinearClassifier:
        count = self._model.num_vocabulary
        return choose_strength(
            lambda strength: fit_linear_probe(*train, count, strength, start, scale),
            lambda head: accuracy(head, *val),
            self.strengths,
        )

    def _class_embeddings(self) -> Tensor:
        """One embedding per class, float (C, D); a class with synonyms takes their mean."""
        rows = self._model.class_embeddings
        total = rows.new_zeros(self._model.num_vocabulary, rows.shape[1])
        return F.normalize(total.index_add(0, self._model.class_of_row, rows), dim=-1)

    def _evaluate(self, scores: Tensor) -> tuple[dict[str, float], dict[str, Outcomes]]:
        dataset = self.dataloader.dataset
        labels, scores = _labels(dataset, self._model.num_vocabulary), scores.cpu()
        samples = [
            {"scores": scores[i], "label": labels[i], "key": dataset.files[i][0]}
            for i in range(len(scores))
        ]
        self.evaluator.process(data_samples=samples, data_batch=None)
        metrics = dict(self.evaluator.evaluate(len(samples)))
        outcomes = {
            f"{metric.prefix}/{name}": entry
            for metric in self.evaluator.metrics
            for name, entry in getattr(metric, "outcomes", {}).items()
        }
        return metrics, outcomes


def _labels(dataset: Any, count: int) -> Tensor:
    if not getattr(dataset, "multi_label", False):
        return torch.tensor(dataset.labels)
    present = torch.zeros(len(dataset.labels), count, dtype=torch.uint8)
    for row, labels in enumerate(dataset.labels):
        present[row, labels] = 1
    return present


def _arm(shots: int | str, start: str) -> str:
    return f"{shots}{'' if shots == 'all' else '-shot'}/{start}"
