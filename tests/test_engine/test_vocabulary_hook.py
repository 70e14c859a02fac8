from types import SimpleNamespace

import pytest

from react_mm.engine.vocabulary_hook import VocabularyHook, label_order


class Model:
    def __init__(self, forgetful=False):
        self.calls, self.forgetful = [], forgetful

    def set_vocabulary(self, names, synonyms=None):
        self.calls.append((tuple(names), synonyms))

    def set_base_classes(self, names):
        self.base = tuple(names)

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


def names_file(folder, *lines):
    path = folder / "names.txt"
    path.write_text("\n".join(lines))
    return str(path)


def evaluator(*metrics):
    return SimpleNamespace(dataset_meta=None, metrics=list(metrics))


FIGURE = SimpleNamespace(format_only=False)


def test_a_file_of_names_brings_its_synonyms_in_the_order_of_the_labels(tmp_path):
    path = names_file(tmp_path, "a; ay", "c", "b; buzz; bee")
    dataset = coco(("a", "b", "c"), [(9, "c"), (2, "a"), (7, "b")])
    model = Model()
    run = runner(test=dataset, model=model, test_evaluator=evaluator(FIGURE))
    VocabularyHook(vocabulary=path).before_test(run)
    assert model.calls == [(("c", "a", "b"), {"a": ("ay",), "b": ("buzz", "bee")})]


def test_a_file_must_name_the_annotated_classes(tmp_path):
    dataset = coco(("cat", "dog"), [(1, "cat"), (2, "dog")])
    run = runner(test=dataset, train=dataset, model=Model(), test_evaluator=evaluator(FIGURE))
    short = VocabularyHook(vocabulary=names_file(tmp_path, "cat", "dogs"))
    with pytest.raises(ValueError, match=r"names\.txt.*lacks.*: dog; did you mean dogs"):
        short.before_test(run)
    more = VocabularyHook(vocabulary=names_file(tmp_path, "cat", "dog", "cats"))
    with pytest.raises(ValueError, match=r"3 names.*2 classes.*no class.*: cats; did you mean cat"):
        more.before_test(run)
    more.before_train(run)  # the training set may have the base classes alone
    assert run.model.calls[-1][0] == ("cat", "dog")
    with pytest.raises(ValueError, match="lacks"):
        short.before_train(run)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        VocabularyHook(vocabulary="nowhere.txt")


def test_without_figures_any_names_will_do(tmp_path):
    from mmengine.evaluator import DumpResults

    path = names_file(tmp_path, "zebra", "yak; ox")
    dataset = coco(("cat", "dog"), [(1, "cat"), (2, "dog")])
    dump = DumpResults(str(tmp_path / "out.pkl"))
    only_written = SimpleNamespace(format_only=True)  # by the annotation file's category ids
    hook, model = VocabularyHook(vocabulary=path), Model()
    for metrics in ([dump], [dump, dump]):
        judge = evaluator(*metrics)
        hook.before_test(runner(test=dataset, model=model, test_evaluator=judge))
        assert model.calls.pop() == (("zebra", "yak"), {"yak": ("ox",)})
        assert judge.dataset_meta["classes"] == ("zebra", "yak")
    for metrics in ([dump, FIGURE], [only_written]):
        run = runner(test=dataset, model=model, test_evaluator=evaluator(*metrics))
        with pytest.raises(ValueError, match="lacks"):
            hook.before_test(run)
    # ... and a data set without classes takes the file's.
    plain = SimpleNamespace(metainfo={})
    hook.before_test(runner(test=plain, model=model, test_evaluator=evaluator(FIGURE)))
    assert model.calls.pop()[0] == ("zebra", "yak")


def test_renamed_classes_keep_their_place_and_their_group():
    dataset = coco(("a", "b", "c"), [(9, "c"), (2, "a"), (7, "b")])
    dataset.metainfo |= {"base_classes": ("c", "b"), "synonyms": {"a": ["ay"], "b": ["bee"]}}
    model, judge = Model(), evaluator(FIGURE)
    run = runner(train=dataset, test=dataset, val=dataset, model=model, test_evaluator=judge)
    run.val_evaluator = judge
    hook = VocabularyHook(renamed={"b": "bumblebee"})
    hook.before_test(run)
    assert model.calls[-1] == (("c", "a", "bumblebee"), {"a": ["ay"]})
    assert model.base == ("c", "bumblebee")
    assert judge.dataset_meta["classes"] == ("c", "a", "b")
    hook.before_val(run)
    hook.after_val(run)  # training goes on with the names that it had
    assert model.calls[-1] == (("c", "a", "b"), {"a": ["ay"], "b": ["bee"]})
    assert model.base == ("c", "b")
    with pytest.raises(ValueError, match=r"renamed has \['bb'\].*did you mean b"):
        VocabularyHook(renamed={"bb": "x"}).before_test(run)
