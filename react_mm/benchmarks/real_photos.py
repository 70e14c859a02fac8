"""Customization on real photographs, from the pool to a table: what docs/real_photos.md reports.

Settings are read from validation data (grocery val, captions of COCO train photos, on neither of
which anything is trained) and written down before the test data are embedded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from react_mm.benchmarks.photo_evaluation import PhotoSplit, pair_embeddings, scores
from react_mm.benchmarks.photo_table import summarise, write_table
from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.evaluation.linear_head import fit_linear_head
from react_mm.manifest import write_json
from react_mm.models.clip import CLIP
from react_mm.models.customization import apply_delta
from react_mm.registry import MODELS
from react_mm.retrieval.pipeline import run as run_retrieval
from react_mm.toy.demo.choices import GATE_SCALES, choose_gate_scale, choose_largest
from react_mm.toy.demo.running import train
from react_mm.toy.demo.stages import Stages
from react_mm.toy.demo.tasks import configs_folder

RECIPES = ("plain", "no-teacher", "recommended", "control")
ITERATIONS = (150, 300, 600)
HEAD_EPOCHS = (5, 20, 60)
RETRIEVAL = "retrieval/real_photos_lite.py"
TEACHERS = {"linear head": 0.0, "linear head, teacher": 5.0}


class PhotoRun:
    """The stages of the run, each reused while its settings and inputs are the same.

    Args:
        folder: Output folder.
        seeds: Seeds of the order of the pairs and of the blocks' first weights.
        iterations: Candidates for the length of training.
    """

    def __init__(
        self, folder: Path, seeds: Sequence[int] = (0, 1, 2), iterations: Sequence[int] = ITERATIONS
    ) -> None:
        self.folder, self.seeds, self.iterations = folder, tuple(seeds), tuple(iterations)
        self.configs = configs_folder()
        self.stages = Stages(folder)
        self.store = folder / "prefix"
        self._model: CLIP | None = None
        self._splits: dict[str, PhotoSplit] = {}

    @property
    def base(self) -> CLIP:
        """The base, built once."""
        if self._model is None:
            self._model = self._build()
        return self._model

    def split(self, name: str) -> PhotoSplit:
        """The images of a split as tokens, embedded once."""
        if name not in self._splits:
            self._splits[name] = PhotoSplit(name, self.configs, self.base, self.store)
        return self._splits[name]

    def run(self) -> dict[str, Any]:
        """Everything; returns what ``results.json`` holds."""
        retrieved = self.stages.run("retrieve", self._retrieve, self._settings())
        for number in self.iterations:
            self._train("recommended", self.seeds[0], number)
        names = [self._name("recommended", self.seeds[0], n) for n in self.iterations]
        choice = self.stages.run(
            "choose", self._choose, {"iterations": self.iterations}, after=names
        )
        heads = self.stages.run("choose heads", self._choose_heads, {}, after=("retrieve",))
        write_json(self.folder / "choices.json", {"gates": choice, "heads": heads})
        for recipe in RECIPES:
            for seed in self.seeds:
                self._train(recipe, seed, choice["iterations"])
        measured = self.stages.run(
            "test",
            lambda: self._test(choice, heads),
            {"seeds": self.seeds},
            after=("choose", "choose heads", *self._trained(choice["iterations"])),
        )
        results = {
            "retrieved": retrieved,
            "choices": {"gates": choice, "heads": heads},
            "seeds": list(self.seeds),
            **measured,
            "seconds": self.stages.seconds,
        }
        write_json(self.folder / "results.json", results)
        write_table(self.folder / "results.md", results)
        return results

    def _build(self, delta: Path | None = None) -> CLIP:
        config = Config.fromfile(str(self.configs / "_base_/models/lite.py")).model
        model = MODELS.build(dict(config)).eval()
        if delta is not None:
            apply_delta(model.image_tower, str(delta))
        return model

    def _settings(self) -> dict[str, Any]:
        settings = Config.fromfile(str(self.configs / RETRIEVAL)).to_dict()
        return {**settings, "work_dir": str(self.folder / "retrieval")}

    def _retrieve(self) -> dict[str, Any]:
        from react_mm.apis.encoder import build_encoder

        settings = self._settings()
        run_retrieval(settings, build_encoder(settings["encoder"]))
        return describe_retrieved(self.folder / "retrieval")

    @staticmethod
    def _name(recipe: str, seed: int, iterations: int) -> str:
        return f"{recipe} {iterations}i seed {seed}"

    def _trained(self, iterations: int) -> list[str]:
        return [self._name(r, s, iterations) for r in RECIPES for s in self.seeds]

    def _delta(self, recipe: str, seed: int, iterations: int) -> Path:
        name = self._name(recipe, seed, iterations).replace(" ", "-")
        return self.folder / name / "customized.safetensors"

    def _train(self, recipe: str, seed: int, iterations: int) -> None:
        """Trains one recipe as ``tools/train.py CONFIG --cfg-options ...`` does."""
        config = self.configs / "customization" / f"gated-image_lite_grocery_{recipe}.py"
        retrieval = self.folder / "retrieval"
        options = {
            "retrieved": str(retrieval / "retrieved"),
            "general": str(retrieval / "samples" / "general"),
            "prefix_cache": str(self.store),
            "randomness.seed": seed,
            "train_cfg.max_iters": iterations,
        }
        if recipe in ("plain", "no-teacher"):
            del options["general"]
        if recipe == "control":
            options["control"] = str(retrieval / "samples" / "control")
            del options["retrieved"]
        options |= {f"val_{key}": None for key in ("cfg", "dataloader", "evaluator")}
        delta, name = self._delta(recipe, seed, iterations), self._name(recipe, seed, iterations)

        def work() -> dict[str, Any]:
            runner = train(config, delta.parent, options, name)
            gates = [float(p.tanh()) for n, p in runner.model.named_parameters() if "alpha" in n]
            return {"gates": gates, "logit_scale": float(runner.model.logit_scale)}

        self.stages.run(name, work, options, after=("retrieve",), outputs=[delta])

    def _choose(self) -> dict[str, Any]:
        """Length and gate scale of the recommended recipe, on the validation data."""
        split, candidates = self.split("val"), []
        for iterations in self.iterations:
            model = self._build(self._delta("recommended", self.seeds[0], iterations))
            curve = []
            for scale in GATE_SCALES:
                model.set_gate_scale(scale)
                value = scores(split.hits(model), split.labels)
                curve.append(
                    {"scale": scale, "target": value["grocery"], "other": value["coco_t2i"]}
                )
            scale = choose_gate_scale(curve)
            target = next(row["target"] for row in curve if row["scale"] == scale)
            candidates.append(
                {"iterations": iterations, "gate_scale": scale, "target": target, "curve": curve}
            )
        best = choose_largest(candidates, by="target")
        return {**{k: best[k] for k in ("iterations", "gate_scale")}, "candidates": candidates}

    def _pairs(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Base embeddings of retrieved images, of their captions, and of the general images."""
        pipeline = [dict(type="react_mm.ResizeCenterCrop", size=160)]
        folder, found = self.folder / "retrieval", []
        for place in (folder / "retrieved", folder / "samples" / "general"):
            dataset = CachedPairDataset(
                str(self.store), sources=[{"path": str(place)}], pipeline=pipeline
            )
            found.append((dataset, pair_embeddings(self.base, dataset)))
        captions = found[0][0].captions
        table = torch.cat(
            [self.base.encode_text(captions[i : i + 64]) for i in range(0, len(captions), 64)]
        )
        rows = [found[0][0][i]["caption_id"] for i in range(len(found[0][0]))]
        return found[0][1], table[rows], found[1][1]

    def _choose_heads(self) -> dict[str, Any]:
        """Epochs of the linear baselines: the largest grocery accuracy on the validation data."""
        image, text, general = self._pairs()
        split, chosen = self.split("val"), {}
        for name, weight in TEACHERS.items():
            rows = []
            for epochs in HEAD_EPOCHS:
                head = fit_linear_head(
                    image, text, general, weight, epochs=epochs, seed=self.seeds[0]
                )
                value = scores(split.hits(self.base, head), split.labels)
                rows.append({"epochs": epochs, **value})
            chosen[name] = {"epochs": choose_largest(rows, by="grocery")["epochs"], "rows": rows}
        return chosen

    def _test(self, choice: dict[str, Any], heads: dict[str, Any]) -> dict[str, Any]:
        """Opens the test data, once, with everything chosen."""
        split = self.split("test")
        hits = {"base": [split.hits(self.base)]}
        curve: list[dict[str, Any]] = []
        for recipe in RECIPES:
            scale = choice["gate_scale"] if recipe in ("recommended", "control") else 1.0
            hits[recipe] = []
            for seed in self.seeds:
                model = self._build(self._delta(recipe, seed, choice["iterations"]))
                model.set_gate_scale(scale)
                hits[recipe].append(split.hits(model))
                if recipe == "recommended":
                    curve += self._curve(model, split, seed)
        image, text, general = self._pairs()
        for name, weight in TEACHERS.items():
            epochs = heads[name]["epochs"]
            hits[name] = [
                split.hits(
                    self.base,
                    fit_linear_head(image, text, general, weight, epochs=epochs, seed=seed),
                )
                for seed in self.seeds
            ]
        return summarise(hits, split.labels, split.owner, curve)

    @staticmethod
    def _curve(model: CLIP, split: PhotoSplit, seed: int) -> list[dict[str, Any]]:
        rows = []
        for scale in GATE_SCALES:
            model.set_gate_scale(scale)
            rows.append({"seed": seed, "scale": scale, **scores(split.hits(model), split.labels)})
        return rows


def describe_retrieved(folder: Path) -> dict[str, Any]:
    """How many pairs were retrieved, and from which folder of the pool they came."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "retrieved" / "pairs.parquet").to_pylist()
    grocery = sum("/grocery/" in row["source"] for row in rows)
    return {
        "pairs": len(rows),
        "concepts": len({row["concept"] for row in rows}),
        "distinct_captions": len({row["caption"] for row in rows}),
        "from_grocery": grocery / max(1, len(rows)),
        "modes": {m: sum(m in row["modes"] for row in rows) for m in ("T2I", "T2T")},
    }
