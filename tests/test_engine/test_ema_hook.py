"""The average against one computed by hand: in validation, checkpoints, resumes and the export."""

import uuid
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from react_mm.checkpoints import load_delta
from react_mm.engine.checkpoint_hook import SafeCheckpointHook
from react_mm.engine.ema_hook import TrainableEMAHook
from react_mm.engine.export_hook import ExportHook
from react_mm.engine.safe_loading import safe_torch_load
from tests.tiny import batch, build, train


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.frozen = torch.nn.Linear(2, 2).requires_grad_(False)
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode="loss"):
        out = self.linear(self.frozen(inputs))
        return {"loss": out.square().mean()} if mode == "loss" else [self.weights()]

    def weights(self):
        return torch.cat([p.detach().flatten().clone() for p in self.linear.parameters()])


class Seen(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results += data_samples

    def compute_metrics(self, results):
        Seen.last = results[-1]
        return {"norm": float(results[-1].norm())}


class Trajectory(Hook):
    """Weights after each step."""

    priority = "LOWEST"

    def __init__(self):
        self.weights = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.weights.append(runner.model.weights().numpy())


def runner(folder, iters, decay=0.5, warmup=False, save_best="norm", **options):
    data = [{"inputs": torch.tensor([1.0, 2.0])}] * 8
    loader = dict(batch_size=2, dataset=data, collate_fn=dict(type="default_collate"))
    run = Runner(
        Toy(),
        str(folder),
        train_dataloader=dict(**loader, sampler=dict(type="InfiniteSampler", shuffle=False)),
        val_dataloader=dict(**loader, sampler=dict(type="DefaultSampler", shuffle=False)),
        val_evaluator=[Seen()],
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=iters, val_interval=3),
        val_cfg={},
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.1)),
        default_hooks=dict(
            checkpoint=dict(
                type="react_mm.SafeCheckpointHook",
                interval=3,
                by_epoch=False,
                save_best=save_best,
                rule="greater",
            )
        ),
        custom_hooks=[
            dict(type="react_mm.TrainableEMAHook", decay=decay, warmup=warmup),
            Trajectory(),
        ],
        experiment_name=uuid.uuid4().hex,
        **options,
    )
    return run, run.hooks[[type(h) for h in run.hooks].index(Trajectory)]


def averaged(start, trajectory, decays):
    value = start.copy()
    for weights, decay in zip(trajectory, decays, strict=True):
        value = decay * value + (1 - decay) * weights
    return value


@pytest.mark.parametrize("warmup", [False, True])
def test_the_average_is_validated_and_left_in_the_model(tmp_path, warmup):
    start = Toy().weights().numpy()
    run, log = runner(tmp_path, 6, decay=0.3, warmup=warmup)
    run.train()
    decays = [min(0.3, (1 + t) / (10 + t)) if warmup else 0.3 for t in range(6)]
    expected = averaged(start, log.weights, decays)
    np.testing.assert_allclose(Seen.last, expected, rtol=1e-5)
    np.testing.assert_allclose(run.model.weights(), expected, rtol=1e-5)
    assert np.abs(log.weights[-1] - expected).max() > 1e-3
    state = safe_torch_load(tmp_path / "iter_6.pth")
    assert sorted(state["ema"]["average"]) == ["linear.bias", "linear.weight"]  # no frozen copy
    trained = state["state_dict"]["linear.weight"].numpy().ravel()
    np.testing.assert_allclose(trained, log.weights[-1][:2])
    assert list(tmp_path.glob("best_norm_*.pth"))
    # training went on from the trained weights after the first validation
    assert not np.allclose(log.weights[3], averaged(start, log.weights[:3], decays[:3]), atol=1e-3)


def test_a_resumed_run_ends_as_the_unbroken_one(tmp_path):
    whole, log = runner(tmp_path / "whole", 6)
    whole.train()
    runner(tmp_path / "broken", 3)[0].train()
    options = {"resume": True, "load_from": str(tmp_path / "broken" / "iter_3.pth")}
    resumed, rest = runner(tmp_path / "broken", 6, **options)
    resumed.train()
    assert resumed.iter == 6
    np.testing.assert_array_equal(rest.weights, log.weights[3:])
    assert torch.equal(resumed.model.weights(), whole.model.weights())


def test_a_loaded_checkpoint_gives_the_average_unless_resumed(tmp_path):
    run, log = runner(tmp_path, 3)
    run.train()
    tested, _ = runner(tmp_path / "test", 3, save_best=None, load_from=str(tmp_path / "iter_3.pth"))
    tested.val()
    assert torch.equal(Seen.last, run.model.weights())
    assert not np.allclose(run.model.weights(), log.weights[-1], atol=1e-3)


def test_the_exported_delta_is_the_average(base, tmp_path):
    torch.manual_seed(0)
    model = build(base, method="gated-image", method_options={"blocks": 2})
    run = SimpleNamespace(
        model=model,
        work_dir=str(tmp_path),
        train_dataloader=SimpleNamespace(dataset=[1]),
        cfg=SimpleNamespace(filename=None),
        iter=3,
        seed=0,
        logger=SimpleNamespace(info=lambda text: None),
    )
    hook = TrainableEMAHook(decay=0.9, warmup=False)
    hook.before_train(run)
    start = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    for step in range(2):
        train(model, steps=1)
        hook.after_train_iter(run, step)
        if step == 0:
            middle = {n: dict(model.named_parameters())[n].detach().clone() for n in start}
    end = {n: dict(model.named_parameters())[n].detach().clone() for n in start}
    hook.after_train(run)
    ExportHook().after_train(run)
    state, _ = load_delta(tmp_path / "customized.safetensors")
    name = next(n for n in start if n.endswith("mlp.c_fc.weight"))
    expected = 0.9 * (0.9 * start[name] + 0.1 * middle[name]) + 0.1 * end[name]
    torch.testing.assert_close(state[name.removeprefix("image_tower.")], expected)
    assert not torch.allclose(end[name], expected, atol=1e-5)


def test_another_model_or_decay_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"decay lies in \[0, 1\)"):
        TrainableEMAHook(decay=1.0)
    hook = TrainableEMAHook()
    hook._stored = {"steps": 3, "average": {"other": torch.zeros(1)}}
    with pytest.raises(ValueError, match="of other parameters: .*linear.bias"):
        hook.before_train(SimpleNamespace(model=Toy()))
    assert SafeCheckpointHook.priority == "VERY_LOW" and hook.priority == "VERY_HIGH"
    assert batch()["role"].sum() == 2
