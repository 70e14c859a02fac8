"""A trained head by the runner: training, the checkpoint it leaves, and the test of it."""

import numpy as np
from PIL import Image

import react_mm  # noqa: F401  (first: mmcv's operators)
from react_mm.engine import running
from react_mm.engine.safe_loading import safe_torch_load


def draw(toy):
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for kind in ("scenes", "scenes/semantic"):
            (toy / kind / part).mkdir(parents=True)
            for name in "ab":
                pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
                pixels = pixels if kind == "scenes" else pixels[..., 0] % 4
                Image.fromarray(pixels).save(toy / kind / part / f"{name}.png")
    (toy / "concepts.txt").write_text("cat\ndog\nbee\n")
    (toy / "target.txt").write_text("bee\n")


def test_trains_saves_and_tests(tmp_path):
    import torch

    draw(tmp_path / "toy")
    path = running.configs_folder() / "segmentation" / "cost-aggregation_toy-vit_toy.py"
    options = {
        "data_root": f"{tmp_path}/toy/",
        "train_cfg.max_iters": 2,
        "train_dataloader.batch_size": 2,
        **{
            f"{part}_dataloader.{key}": value
            for part in ("train", "test")
            for key, value in (("num_workers", 0), ("persistent_workers", False))
        },
    }
    runner = running.train(path, tmp_path / "work", options, "head")
    assert runner.iter == 2
    assert runner.model.vocabulary.names == ("background", "cat", "dog")
    checkpoint = tmp_path / "work" / "iter_2.pth"
    meta = safe_torch_load(checkpoint)["meta"]["dataset_meta"]
    assert tuple(meta["classes"]) == ("background", "cat", "dog")
    figures, tested = running.test(path, tmp_path / "test", options, "head", checkpoint)
    assert tested.model.vocabulary.names == ("background", "cat", "dog", "bee")
    assert tuple(tested.model.base_classes) == ("background", "cat", "dog")
    assert {"segmentation/mIoU_target", "segmentation/mIoU_harmonic"} <= set(figures)
    for one, other in zip(
        runner.model.decode_head.parameters(), tested.model.decode_head.parameters(), strict=True
    ):
        assert torch.equal(one, other)
    # names alone: what the head learned to call background stays a class
    from react_mm.apis import Inferencer

    segment = Inferencer(path, checkpoint, vocabulary=["dog", "bee"], device="cpu")
    assert segment(tmp_path / "toy" / "scenes" / "test" / "a.png")["regions"]
    assert segment.model.vocabulary.names == ("background", "dog", "bee")
