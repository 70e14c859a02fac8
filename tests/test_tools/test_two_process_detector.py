"""Two processes on the CPU train and test a detector as one does with their batches together."""

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.detection_data import DETECTION, ROOT, write_toy
from tests.test_tools.test_dist_train import free_port

ITERS, IMAGES = 4, 5
# Nothing random: no flip, no shuffle, all regions. The two-stage losses of mmdet divide by the
# number of regions of their own process, so all images have equally many.
SETTINGS = {
    "train_dataloader.sampler.shuffle": False,
    "train_dataloader.dataset.pipeline.2.prob": 0.0,
    "optim_wrapper.optimizer.type": "SGD",
    "optim_wrapper.optimizer.lr": 0.5,  # the warm-up takes 1 to 11 per cent of it
    "train_cfg.max_iters": ITERS,
    "train_cfg.val_interval": 100,
    "default_hooks.checkpoint.interval": ITERS,
}
ALL_REGIONS = {
    "model.train_cfg.rpn.sampler.num": 1_000_000,
    "model.train_cfg.rpn.assigner.neg_iou_thr": 0.7,
    "model.train_cfg.rpn_proposal.nms.iou_threshold": 1.0,
    "model.train_cfg.rpn_proposal.max_per_img": 40,
    "model.train_cfg.rcnn.sampler.num": 1000,
    "model.train_cfg.rcnn.sampler.add_gt_as_proposals": False,
}
KINDS = {"atss_toy-vit_fpn_toy": {}, "fvlm_toy-vit_fpn_toy": ALL_REGIONS}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    write_toy(folder, train=4 * ITERS, test=IMAGES)
    return folder


def run(tool, processes, *arguments, options):
    command = [str(ROOT / "tools" / tool), *map(str, arguments)]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"]
        command = [*launcher, f"--master_port={free_port()}", *command, "--launcher", "pytorch"]
    changed = [f"{key}={value}" for key, value in options.items()]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command, "--cfg-options", *changed],
        env=env,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


def options_of(drawn, stem, processes):
    options = {"data_root": f"{drawn}/", **SETTINGS, **KINDS[stem]}
    batch = {"train": 4 // processes, "val": 2, "test": 2}
    for part, size in batch.items():
        options |= {f"{part}_dataloader.batch_size": size, f"{part}_dataloader.num_workers": 0}
        options[f"{part}_dataloader.persistent_workers"] = False
    return options


def found_by_image(path):
    """Detections by image: as many as there are, their scores and boxes by falling score."""
    images = {}
    for row in sorted(json.loads(path.read_text()), key=lambda r: -r["score"]):
        images.setdefault(row["image_id"], []).append([row["score"], *row["bbox"]])
    return images


@pytest.mark.slow
@pytest.mark.parametrize("stem", KINDS)
def test_two_processes_train_and_test_like_one(tmp_path, drawn, stem):
    config = DETECTION / f"{stem}.py"
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        options = options_of(drawn, stem, processes)
        run("train.py", processes, config, "--work-dir", folder, options=options)
    one, two = (
        torch.load(tmp_path / n / f"iter_{ITERS}.pth", weights_only=False)["state_dict"]
        for n in ("1", "2")
    )
    assert one.keys() == two.keys()
    for key, value in one.items():
        assert torch.allclose(two[key], value, atol=2e-5, rtol=1e-4), key
    # They did train: these start at zero.
    started_at_zero = [v for k, v in one.items() if k.endswith(("fc_reg.bias", "atss_reg.bias"))]
    assert started_at_zero and all(v.abs().max() > 1e-3 for v in started_at_zero)

    figures, found = [], []
    for processes in (1, 2):
        out = tmp_path / f"metrics-{processes}.json"
        options = options_of(drawn, stem, processes)
        options["test_evaluator.outfile_prefix"] = str(tmp_path / f"found-{processes}")
        arguments = [config, tmp_path / "1" / f"iter_{ITERS}.pth", "--out", out]
        run("test.py", processes, *arguments, "--work-dir", tmp_path / "test", options=options)
        figures.append(json.loads(out.read_text())["metrics"])
        found.append(found_by_image(tmp_path / f"found-{processes}.bbox.json"))
    assert figures[1] == pytest.approx(figures[0], abs=1e-6)
    # Five images on two processes: one is run twice by the sampler, and counted once.
    assert sorted(found[1]) == sorted(found[0]) == list(range(1, IMAGES + 1))
    for image, rows in found[0].items():
        torch.testing.assert_close(
            torch.tensor(found[1][image])[:, 0], torch.tensor(rows)[:, 0], atol=1e-4, rtol=1e-3
        )
