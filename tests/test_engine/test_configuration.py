import pytest

import react_mm.registry  # noqa: F401
from react_mm.engine.configuration import ConfigKeyError, load_config

BASE = """
custom_imports = dict(imports=['react_mm.registry'])
default_scope = 'mmengine'
retrieved = 'work_dirs/somewhere/retrieved'
model = dict(
    type='react_mm.CLIP', method='gated-image',
    image_tower=dict(type='react_mm.CLIPViT', arch='a'),
    text_tower=dict(type='react_mm.CLIPText', arch='a'))
train_dataloader = dict(
    batch_size=6,
    dataset=dict(type='react_mm.PairDataset',
        sources=[dict(path=retrieved), dict(path=retrieved + '/more', role='general'),
                 dict(path='work_dirs/somewhere/retrieved2')],
        pipeline=[dict(type='react_mm.RandomResizedCrop', size=8)]),
    sampler=dict(type='react_mm.PairSampler', pairs_per_batch=4, general_per_batch=2),
    collate_fn=dict(type='default_collate'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=3)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
default_hooks = dict(
    checkpoint=dict(type='react_mm.SafeCheckpointHook', interval=2, by_epoch=False))
param_scheduler = [dict(type='CosineAnnealingLR', T_max=3, by_epoch=False)]
"""


def write(tmp_path, text=BASE, child=None):
    (tmp_path / "base.py").write_text(text)
    if child is None:
        return tmp_path / "base.py"
    (tmp_path / "child.py").write_text("_base_ = 'base.py'\n" + child)
    return tmp_path / "child.py"


def test_right_keys_pass(tmp_path):
    options = {
        "optim_wrapper.optimizer.weight_decay": 0.1,  # an argument that the file does not set
        "model.teacher_weight": 2.0,
        "model.method_options": dict(blocks=2),
        "train_dataloader.num_workers": 2,
        "train_dataloader.dataset.sources.1.role": "pair",
        "randomness": dict(seed=1),
        "train_cfg.val_begin": 3,
    }
    config = load_config(write(tmp_path), options)
    assert config.model.teacher_weight == 2.0
    assert config.train_dataloader.dataset.sources[1].role == "pair"
    assert config.randomness.seed == 1


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("optim_wraper", "optim_wrapper"),
        ("retreived", None),
        ("optim_wrapper.optimizer.learning", None),
        ("optim_wrapper.optimizer.weight_decey", "weight_decay"),
        ("model.teacher_wieght", "teacher_weight"),
        ("model.image_tower.gate_scal", "gate_scale"),
        ("train_dataloader.batchsize", "batch_size"),
        ("train_dataloader.dataset.sorces.0.path", "sources"),
        ("train_dataloader.dataset.sources.7.path", None),
        ("train_dataloader.dataset.sources.first.path", None),
        ("train_dataloader.sampler.pair_per_batch", "pairs_per_batch"),
        ("train_cfg.max_iter", "max_iters"),
        ("default_hooks.checkpoint.intervall", "interval"),
        ("default_hooks.checkpoint.interval.deep", None),
        ("param_scheduler.0.T_maxx", "T_max"),
    ],
)
def test_unknown_option_is_refused_with_near_matches(tmp_path, key, near):
    with pytest.raises(ConfigKeyError) as error:
        load_config(write(tmp_path), {key: 1})
    assert f"--cfg-options {key}" in str(error.value)
    if near:
        assert near in str(error.value).split("did you mean")[1]


@pytest.mark.parametrize(
    ("child", "message"),
    [
        ("trian_cfg = dict(max_iters=1)", "train_cfg"),
        ("optim_wrapper = dict(optimizer=dict(lrr=1))", r"optim_wrapper\.optimizer\.lrr.*lr"),
        ("model = dict(methods='x')", r"model\.methods.*method"),
        ("train_dataloader = dict(shufle=True)", "shuffle"),
        ("train_dataloader = dict(dataset=dict(sede=1))", r"dataset\.sede.*seed"),
        ("default_hooks = dict(checkpoint=dict(max_keep=1))", "max_keep_ckpts"),
        ("train_cfg = dict(max_iter=1)", "max_iters"),
        ("custom_hooks = [dict(type='react_mm.VocabularyHok')]", "VocabularyHook"),
    ],
)
def test_unknown_key_in_a_file_is_refused(tmp_path, child, message):
    with pytest.raises(KeyError, match=message):
        load_config(write(tmp_path, child=child + "\n"))


def test_a_variable_that_is_used_is_no_mistake(tmp_path):
    child = "steps = 7\ntrain_cfg = dict(max_iters=steps)\n"
    assert load_config(write(tmp_path, child=child)).train_cfg.max_iters == 7


def test_a_path_variable_changes_what_was_made_from_it(tmp_path):
    config = load_config(write(tmp_path), {"retrieved": "elsewhere"})
    paths = [source.path for source in config.train_dataloader.dataset.sources]
    assert paths == ["elsewhere", "elsewhere/more", "work_dirs/somewhere/retrieved2"]
    assert config.retrieved == "elsewhere"


def test_a_variable_without_effect_is_refused(tmp_path):
    text = BASE + "steps = 3\ntrain_cfg = dict(type='IterBasedTrainLoop', max_iters=steps)\n"
    with pytest.raises(ConfigKeyError, match="no effect"):
        load_config(write(tmp_path, text), {"steps": 5})


def test_a_schedule_after_the_end_of_training_is_left_out(tmp_path):
    late = dict(type="CosineAnnealingLR", begin=2, by_epoch=False)
    options = {"param_scheduler": [dict(type="ConstantLR", by_epoch=False), late]}
    path = write(tmp_path)
    assert len(load_config(path, options).param_scheduler) == 2
    short = load_config(path, {**options, "train_cfg.max_iters": 2})
    assert [s.type for s in short.param_scheduler] == ["ConstantLR"]


def test_batch_size_must_be_what_the_roles_add_up_to(tmp_path):
    with pytest.raises(ValueError, match="batch_size is 7"):
        load_config(write(tmp_path), {"train_dataloader.batch_size": 7})
    with pytest.raises(FileNotFoundError, match="config"):
        load_config(tmp_path / "none.py")
