"""Ties the model's vocabulary to the data set, which mmengine does not."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from react_mm.registry import HOOKS


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


@HOOKS.register_module()
class VocabularyHook(Hook):
    """Sets the model's vocabulary from the data set before training, validation and test.

    Names come from ``metainfo['classes']`` in the order of the labels (:func:`label_order`),
    synonyms from ``metainfo['synonyms']`` (name -> names). After a validation inside training the
    training vocabulary is set again. Data sets without classes change nothing.

    Args:
        synonyms: Use the synonyms (each class takes its best name).
    """

    priority = "HIGH"

    def __init__(self, synonyms: bool = True) -> None:
        self.synonyms = synonyms

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
        if names is None:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, "set_vocabulary"):
            raise TypeError(
                f"VocabularyHook: {type(model).__name__} has no set_vocabulary; remove the hook"
            )
        meta = innermost(dataset).metainfo
        if "base_classes" in meta and hasattr(model, "set_base_classes"):
            model.set_base_classes(meta["base_classes"])
        model.set_vocabulary(names, self._synonyms(meta, names))
        if model.num_vocabulary != len(names):
            raise RuntimeError(
                f"{type(model).__name__} has {model.num_vocabulary} classes after "
                f"set_vocabulary, the data set {len(names)}"
            )
        if evaluator is not None and tuple(meta["classes"]) != names:
            evaluator.dataset_meta = {**meta, "classes": names}
            runner.logger.info(
                "classes in the order of the annotation file, which the labels follow: "
                + ", ".join(names[:5])
            )

    def _synonyms(
        self, meta: Mapping[str, Any], names: Sequence[str]
    ) -> dict[str, Sequence[str]] | None:
        found = meta.get("synonyms") if self.synonyms else None
        return {name: found[name] for name in names if name in found} if found else None
