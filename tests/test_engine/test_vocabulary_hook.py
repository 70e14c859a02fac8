from types import SimpleNamespace

import pytest

from react_mm.engine.vocabulary_hook import VocabularyHook, label_order


class Model:
    def __init__(self, forgetful=False):
        self.calls, self.forgetful = [], forgetful

    def set_vocabulary(self, names, synonyms=None):
        self.calls.append((tuple(names), synonyms))

    @property
    def num_vocabulary(self):
        return len(self.calls[-1][0]) - self.forgetful


def coco(classes, categories, wrong=()):
    """As mmdet's CocoDataset: labels follow the order of the categories in the file."""
    cats = {number: {"name": name} for number, name in categories}
    ids = [number for number, name in categories if name in classes]
    return SimpleNamespace(
        metainfo={"classes": classes, "synonyms": {"b": ["bee"], "z": ["zed"]}},
        coco=SimpleNamespace(cats=cats),
        cat_ids=ids,
        ann_file="ann.json",
    )


def runner(**parts):
    logger = SimpleNamespace(info=lambda text: None)
    loaders = {
        f"{k}_dataloader": SimpleNamespace(dataset=v)
        for k, v in parts.items()
        if k in ("train", "val", "test")
    }
    rest = {k: v for k, v in parts.items() if k not in ("train", "val", "test")}
    return SimpleNamespace(logger=logger, _train_loop=object(), **loaders, **rest)


def test_order_is_that_of_the_labels():
    dataset = coco(("a", "b", "c"), [(9, "c"), (2, "a"), (5, "x"), (7, "b")])
    assert label_order(dataset) == ("c", "a", "b")
    assert label_order(SimpleNamespace(dataset=dataset)) == ("c", "a", "b")  # RepeatDataset
    assert label_order(SimpleNamespace(metainfo={"classes": ["q", "p"]})) == ("q", "p")
    assert label_order([1, 2]) is None


def test_classes_that_the_file_lacks_are_named():
    with pytest.raises(ValueError, match=r"3 classes.*ann\.json has 2.*not in the file: d"):
        label_order(coco(("a", "d", "c"), [(1, "c"), (2, "a")]))


def test_set_before_each_stage_and_back_after_validation():
    model, evaluator = Model(), SimpleNamespace(dataset_meta=None)
    base = SimpleNamespace(metainfo={"classes": ("a",)})
    all_classes = coco(("a", "b", "c"), [(9, "c"), (2, "a"), (7, "b")])
    run = runner(
        train=base,
        val=all_classes,
        test=all_classes,
        model=model,
        val_evaluator=evaluator,
        test_evaluator=evaluator,
    )
    hook = VocabularyHook()
    hook.before_train(run)
    hook.before_val(run)
    hook.after_val(run)
    hook.before_test(run)
    assert model.calls == [
        (("a",), None),
        (("c", "a", "b"), {"b": ["bee"]}),
        (("a",), None),
        (("c", "a", "b"), {"b": ["bee"]}),
    ]
    assert evaluator.dataset_meta["classes"] == ("c", "a", "b")
    model.calls.clear()
    VocabularyHook(synonyms=False).before_val(run)
    assert model.calls == [(("c", "a", "b"), None)]


def test_a_model_that_does_not_follow_is_refused():
    dataset = SimpleNamespace(metainfo={"classes": ("a", "b")})
    with pytest.raises(RuntimeError, match="1 classes after"):
        VocabularyHook().before_train(runner(train=dataset, model=Model(forgetful=True)))
    with pytest.raises(TypeError, match="no set_vocabulary"):
        VocabularyHook().before_train(runner(train=dataset, model=object()))
    VocabularyHook().before_train(runner(train=[1], model=object()))  # no classes: nothing to do
