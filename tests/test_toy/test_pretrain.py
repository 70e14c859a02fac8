"""The reproduction of the drawn world's base trains on the pairs it has written."""

import subprocess

import pytest

from react_mm.engine.configuration import load_config
from react_mm.toy import pretrain


def test_training_reads_the_given_world(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    monkeypatch.chdir(tmp_path)
    pretrain._train(tmp_path / "world", tmp_path.relative_to(tmp_path) / "run", resume=True)
    (command,) = commands
    assert command[command.index("--work-dir") + 1] == str(tmp_path / "run")
    assert command[-1] == "--resume"
    option = command[command.index("--cfg-options") + 1]
    name, _, value = option.partition("=")
    config = load_config(pretrain.ROOT / pretrain.CONFIG, {name: value})
    assert config.train_dataloader.dataset.sources[0].path == str(tmp_path / "world" / "base")


@pytest.mark.parametrize(("other", "fine"), [(0.92, True), (0.905, True), (0.89, False)])
def test_two_points_below_the_card_are_too_few(other, fine):
    card = {"zero_shot": {"val": {"other": 0.92, "target": 0.04}}}
    assert pretrain._compare({"zero_shot": {"val": {"other": other, "target": 0.5}}}, card) == fine
