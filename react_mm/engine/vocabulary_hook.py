"""Ties the model's vocabulary to the data set, which mmengine does not."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import DumpResults
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from react_mm.prompts import read_concepts
from react_mm.registry import HOOKS
from react_mm.suggestions import near_matches


def label_order(dataset: Any) -> tuple[str, ...] | None:
    """Class names in the order of the labels that the data set really gives.

    mmdet's ``CocoDataset`` numbers its labels by the order of ``categories`` in the annotation
    file, not by ``metainfo['classes']``; there the file decides.

    Returns:
        The names, or None for a data set without classes.

    Raises:
        ValueError: If ``metainfo['classes']`` and the annotation file do not name the same classes.
    """
    dataset = innermost(dataset)
    meta = getattr(dataset, "metainfo", None) or {}
    classes = meta.get("classes")
    if not classes:
        return None
    classes = tuple(classes)
    categories = getattr(getattr(dataset, "coco", None), "cats", None)
    ids = getattr(dataset, "cat_ids", None)
    if not categories or ids is None:
        return classes
    names = tuple(categories[i]["name"] for i in ids)
    if sorted(names) != sorted(classes):
        absent = sorted(set(classes) - set(names))
        raise ValueError(
            f"{type(dataset).__name__}: the config names {len(classes)} classes, the annotation "
            f"file {getattr(dataset, 'ann_file', '')} has {len(names)} of them"
            + (f"; not in the file: {', '.join(absent[:5])}" if absent else "")
        )
    return names


def innermost(dataset: Any) -> Any:
    """The data set inside wrappers such as ``RepeatDataset`` or ``_SlicedDataset``."""
    while True:
        inner = getattr(dataset, "dataset", None) or getattr(dataset, "_dataset", None)
        if inner is None:
            return dataset
        dataset = inner


def is_evaluated(evaluator: Any) -> bool:
    """Whether a metric needs the data set's classes: not when all are ``DumpResults``.

    (``format_only`` of mmdet's metrics writes category ids of the annotation file.)
    """
    metrics = getattr(evaluator, "metrics", None)
    return metrics is None or not all(isinstance(metric, DumpResults) for metric in metrics)


@HOOKS.register_module()
class VocabularyHook(Hook):
    """Sets the model's vocabulary from the data set before training, validation and test.

    Names come from ``metainfo['classes']`` in the order of the labels (:func:`label_order`),
    synonyms from ``metainfo['synonyms']`` (name -> names). After a validation inside training the
    training vocabulary is set again. Data sets without classes change nothing.

    Args:
        synonyms: Use the synonyms (each class takes its best name).
        vocabulary: File of names, one per line (``name; synonym; synonym``), in place of the data
            set's names. Where figures are computed, or the model trained, it must name the classes
            of the data set, whose order is kept; synonyms are the file's. Where nothing is
            evaluated (:func:`is_evaluated`), any names will do, in the order of the file.
        renamed: Other names of single classes, by name, for validation and test: a class keeps its
            place, its boxes and its weight as base or novel class; only the text that the model
            sees is another. Synonyms of a renamed class are left out.

    Raises:
        FileNotFoundError, ValueError: If the file does not exist, is empty or names a class twice.
    """

    priority = "HIGH"

    def __init__(
        self,
        synonyms: bool = True,
        vocabulary: str | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self.synonyms = synonyms
        self.source = vocabulary
        self.vocabulary = None if vocabulary is None else read_concepts(vocabulary)
        self.renamed = dict(renamed or {})

    def before_train(self, runner: Runner) -> None:
        """Vocabulary of the training set."""
        self._set(runner, runner.train_dataloader.dataset)

    def before_val(self, runner: Runner) -> None:
        """Vocabulary of the validation set."""
        self._set(runner, runner.val_dataloader.dataset, runner.val_evaluator)

    def after_val(self, runner: Runner) -> None:
        """Back to the training set's, where training goes on."""
        if isinstance(runner._train_loop, dict) or runner._train_loop is None:
            return
        self._set(runner, runner.train_dataloader.dataset)

    def before_test(self, runner: Runner) -> None:
        """Vocabulary of the test set."""
        self._set(runner, runner.test_dataloader.dataset, runner.test_evaluator)

    def _set(self, runner: Runner, dataset: Any, evaluator: Any = None) -> None:
        names = label_order(dataset)
        meta = getattr(innermost(dataset), "metainfo", None) or {}
        free = evaluator is not None and not is_evaluated(evaluator)
        if self.vocabulary is not None and (names is None or free):
            names, synonyms = self.vocabulary.names, self.vocabulary.synonyms
        elif names is None:
            return
        elif self.vocabulary is not None:
            synonyms = self._checked(names, exact=evaluator is not None)
        else:
            synonyms = meta.get("synonyms")
        renamed = self._renamed(names) if evaluator is not None else {}
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, "set_vocabulary"):
            raise TypeError(
                f"VocabularyHook: {type(model).__name__} has no set_vocabulary; remove the hook"
            )
        if "base_classes" in meta and hasattr(model, "set_base_classes"):
            model.set_base_classes([renamed.get(name, name) for name in meta["base_classes"]])
        texts = [renamed.get(name, name) for name in names]
        model.set_vocabulary(tuple(texts), self._synonyms(synonyms, names, renamed))
        if model.num_vocabulary != len(names):
            raise RuntimeError(
                f"{type(model).__name__} has {model.num_vocabulary} classes after "
                f"set_vocabulary, the data set {len(names)}"
            )
        if evaluator is not None and tuple(meta.get("classes", ())) != tuple(names):
            evaluator.dataset_meta = {**meta, "classes": tuple(names)}
            runner.logger.info("classes in the order of the labels: " + ", ".join(names[:5]))

    def _checked(self, names: Sequence[str], exact: bool) -> Mapping[str, Sequence[str]]:
        """Synonyms of the file, whose names are checked against the data set's classes."""
        lacking = [name for name in names if name not in self.vocabulary.names]
        more = [name for name in self.vocabulary.names if name not in names] if exact else []
        for what, found, known in (
            ("lacks classes of the data set", lacking, self.vocabulary.names),
            ("names what is no class of the annotation file", more, names),
        ):
            if found:
                raise ValueError(
                    f"vocabulary {self.source} has {len(self.vocabulary)} names, the data set "
                    f"{len(names)} classes; it {what}: {', '.join(found[:5])}"
                    f"{near_matches(found[0], known)}"
                )
        return self.vocabulary.synonyms

    def _renamed(self, names: Sequence[str]) -> dict[str, str]:
        unknown = [name for name in self.renamed if name not in names]
        if unknown:
            raise ValueError(
                f"VocabularyHook: renamed has {unknown[:5]}, which are no classes of the data set"
                f"{near_matches(unknown[0], names)}"
            )
        return self.renamed

    def _synonyms(
        self,
        found: Mapping[str, Sequence[str]] | None,
        names: Sequence[str],
        renamed: Mapping[str, str],
    ) -> dict[str, Sequence[str]] | None:
        if not self.synonyms or not found:
            return None
        return {name: found[name] for name in names if name in found and name not in renamed}
