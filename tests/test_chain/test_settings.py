"""The chain's config: what is read, found, and refused by name."""

import dataclasses

import pytest

from react_mm.chain.settings import BASE, flat_options, load_settings


def test_the_toy_chain_names_shipped_configs(toy_config, repository):
    settings = load_settings(toy_config)
    assert settings.arms == (BASE, "customized", "dense")
    assert settings.retrieval.config == repository / "configs" / "retrieval" / "toy.py"
    assert settings.gate_scale.scales[0] == 0.0 and settings.gate_scale.allowed_drop == 0.03
    assert str(settings.work_dir) == "work_dirs/chain/toy"
    assert settings.lanes == 2 and settings.world.folder == "data/toy"


def test_options_reach_into_the_parts(toy_config):
    options = {
        "customization.dense.options.train_cfg.max_iters": 3,
        "detector.options": {"train_cfg": {"max_iters": 4}, "randomness.seed": 1},
        "world": None,
    }
    settings = load_settings(toy_config, options, "elsewhere")
    assert settings.customization["dense"].options == {"train_cfg.max_iters": 3}
    assert settings.detector.options == {"train_cfg.max_iters": 4, "randomness.seed": 1}
    assert settings.world is None and str(settings.work_dir) == "elsewhere"


def test_flat_options():
    assert flat_options({"a": {"b": {"c": 1}, "d": [1]}, "e.f": 2, "g": {}}) == {
        "a.b.c": 1,
        "a.d": [1],
        "e.f": 2,
        "g": {},
    }


def write(folder, text):
    path = folder / "mine.py"
    path.write_text(text)
    return path


GOOD = (
    "names = 'names.txt'\nretrieval = dict(config='retrieval/toy.py')\n"
    "customization = dict(a=dict(config='customization/gated-image_toy-vit_toy_plain.py'))\n"
    "detector = dict(config='detection/fvlm_toy-vit_fpn_toy.py')\n"
)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (GOOD + "detctor = 1\n", ValueError, "unknown key detct"),
        (
            GOOD + "gate_scale = dict(config='retrieval/toy.py', traget='x')\n",
            ValueError,
            "gate_sca",
        ),
        (GOOD + "seed = 'one'\n", ValueError, "`seed` must be int"),
        (GOOD + "lanes = 0\n", ValueError, "lanes must be 1 or more"),
        (GOOD + "tests = dict(a=3)\n", ValueError, "`tests.a` must be a dict"),
        (
            GOOD + "detector['hold_out'] = dict(img='x')\n",
            ValueError,
            "lacks detector.hold",
        ),
        (GOOD.replace("a=dict", "base=dict"), ValueError, "'base' cannot name an arm"),
        (GOOD.replace("fvlm_toy-vit", "fvlm_toyvit"), FileNotFoundError, "fvlm_toy-vit_fpn_toy"),
        ("names = 'n'\n", ValueError, "lacks retrieval, customization, detector"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        load_settings(write(tmp_path, text))


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.py"):
        load_settings(tmp_path / "nothing.py")


def test_configs_and_lists_are_found_beside_the_chain(tmp_path):
    (tmp_path / "own.py").write_text("work_dir = 'x'\n")
    (tmp_path / "names.txt").write_text("bee\n")
    settings = load_settings(write(tmp_path, GOOD.replace("retrieval/toy.py", "own.py")))
    assert settings.retrieval.config == tmp_path / "own.py"
    assert settings.names == str(tmp_path / "names.txt")
    assert dataclasses.replace(settings, seed=3).seed == 3


def test_the_caller_s_options_stay_as_they_were(toy_config):
    arm = {"config": "customization/gated-image_toy-vit_toy_plain.py"}
    options = {"customization": {"_delete_": True, "plain": arm}}
    for _ in range(2):
        assert load_settings(toy_config, options).arms == (BASE, "plain")
    assert options["customization"]["_delete_"]
