"""Customization on real photographs, from the pool to a table: what docs/real_photos.md reports.

Settings are read from validation data (grocery val, captions of COCO train photos, on neither of
which anything is trained) and written down before the test data are embedded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.config import Config

from react_mm.benchmarks.photo_evaluation import (
    DOMAINS,
    Domain,
    Images,
    PhotoSplit,
    images_of_pairs,
    scores,
)
from react_mm.benchmarks.photo_heads import HEADS, fit_head
from react_mm.benchmarks.photo_table import summarise, write_table
from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.engine.running import configs_folder, train
from react_mm.engine.stages import Stages
from react_mm.evaluation.gate_scale import (
    ALLOWED_DROP,
    GATE_SCALES,
    choose_gate_scale,
    choose_largest,
)
from react_mm.manifest import write_json
from react_mm.models.clip import CLIP
from react_mm.models.customization import apply_delta
from react_mm.models.lite_head import NameHead
from react_mm.registry import MODELS
from react_mm.retrieval.pipeline import run as run_retrieval

RECIPES = ("plain", "no-teacher", "recommended", "control", "control-elsewhere")
CHOSEN_SCALE = ("recommended", "control", "control-elsewhere")
ITERATIONS = (150, 300, 600)
HEAD_EPOCHS = (5, 20, 60)
BASE_HEADS = (
    {"kind": "conse", "temperature": 1.0, "centred": False},
    *({"kind": "conse", "temperature": t, "centred": True} for t in (1.0, 2.0, 3.0, 4.0, 6.0)),
    {"kind": "linear", "temperature": 1.0, "centred": True},
)
SCORES = ("domain", "domain_mean_class", "coco_t2i", "coco_i2t")


class PhotoRun:
    """The stages of the run, each reused while its settings and inputs are the same.

    Args:
        folder: Output folder.
        seeds: Seeds of the order of the pairs and of the blocks' first weights.
        iterations: Candidates for the length of training.
        domain: What is customized for.
    """

    recommended = "recommended"
    head_epochs = HEAD_EPOCHS
    scales: Sequence[float] = GATE_SCALES

    def __init__(
        self,
        folder: Path,
        seeds: Sequence[int] = (0, 1, 2),
        iterations: Sequence[int] = ITERATIONS,
        domain: Domain = DOMAINS["grocery"],
    ) -> None:
        self.domain = domain
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
            self._splits[name] = PhotoSplit(name, self.configs, self.base, self.store, self.domain)
        return self._splits[name]

    def run(self) -> dict[str, Any]:
        """Everything; returns what ``results.json`` holds."""
        base_heads = self.stages.run(
            "base heads", self._base_heads, {"heads": BASE_HEADS, "scores": SCORES}
        )
        retrieved = self.stages.run("retrieve", self._retrieve, self._settings())
        choice = self._choose_length()
        heads = self.stages.run(
            "choose heads",
            self._choose_heads,
            {"heads": HEADS, "epochs": self.head_epochs, "scores": SCORES},
            after=("retrieve",),
        )
        write_json(self.folder / "choices.json", {"gates": choice, "heads": heads})
        for recipe in RECIPES:
            for seed in self.seeds:
                self._train(recipe, seed, choice["iterations"])
        measured = self.stages.run(
            "test",
            lambda: self._test(choice, heads),
            {"seeds": self.seeds, "recipes": RECIPES, "scores": SCORES},
            after=("choose", "choose heads", *self._trained(choice["iterations"])),
        )
        results = {
            "retrieved": retrieved,
            "base_heads": base_heads["rows"],
            "choices": {"gates": choice, "heads": heads},
            "seeds": list(self.seeds),
            **measured,
            "seconds": self.stages.seconds,
        }
        write_json(self.folder / "results.json", results)
        write_table(self.folder / "results.md", results)
        return results

    def _choose_length(self) -> dict[str, Any]:
        """Trains the recommended recipe at every length, and chooses on the validation data."""
        for number in self.iterations:
            self._train(self.recommended, self.seeds[0], number)
        names = [self._name(self.recommended, self.seeds[0], n) for n in self.iterations]
        settings = {"iterations": self.iterations, "scores": SCORES}
        return self.stages.run("choose", self._choose, settings, after=names)

    def _build(self, delta: Path | None = None) -> CLIP:
        config = Config.fromfile(str(self.configs / "_base_/models/lite.py")).model
        model = MODELS.build(dict(config)).eval()
        if delta is not None:
            apply_delta(model.image_tower, str(delta))
        return model

    def _settings(self) -> dict[str, Any]:
        settings = Config.fromfile(str(self.configs / self.domain.retrieval)).to_dict()
        return {**settings, "work_dir": str(self.folder / "retrieval")}

    def _base_heads(self) -> dict[str, Any]:
        """The closed-form heads on the validation data: why the base has the one it has."""
        split, rows, model = self.split("val"), [], self._build()
        for settings in BASE_HEADS:
            model.image_tower.head = NameHead(**settings)
            rows.append({**settings, **scores(split.hits(model), split.labels)})
        return {"rows": rows}

    def _retrieve(self) -> dict[str, Any]:
        from react_mm.apis.encoder import build_encoder

        settings = self._settings()
        run_retrieval(settings, build_encoder(settings["encoder"]))
        return describe_retrieved(self.folder / "retrieval", self.domain.name)

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
        if recipe.startswith("control"):
            options["control"] = str(retrieval / "samples" / recipe)
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
            model = self._build(self._delta(self.recommended, self.seeds[0], iterations))
            curve = []
            for scale in self.scales:
                model.set_gate_scale(scale)
                value = scores(split.hits(model), split.labels)
                curve.append(
                    {"scale": scale, "target": value["domain"], "other": value["coco_t2i"]}
                )
            scale = choose_gate_scale(curve)
            target = next(row["target"] for row in curve if row["scale"] == scale)
            candidates.append(
                {"iterations": iterations, "gate_scale": scale, "target": target, "curve": curve}
            )
        best = choose_largest(candidates, by="target")
        return {**{k: best[k] for k in ("iterations", "gate_scale")}, "candidates": candidates}

    def _pairs(self) -> tuple[Images, torch.Tensor, Images]:
        """Retrieved images, embeddings of their captions, and the general images."""
        pipeline = [dict(type="react_mm.ResizeCenterCrop", size=160)]
        folder, found = self.folder / "retrieval", []
        for place in (folder / "retrieved", folder / "samples" / "general"):
            dataset = CachedPairDataset(
                str(self.store), sources=[{"path": str(place)}], pipeline=pipeline
            )
            found.append((dataset, images_of_pairs(self.base, dataset)))
        captions = found[0][0].captions
        table = torch.cat(
            [self.base.encode_text(captions[i : i + 64]) for i in range(0, len(captions), 64)]
        )
        rows = [found[0][0][i]["caption_id"] for i in range(len(found[0][0]))]
        return found[0][1], F.normalize(table[rows].float(), dim=-1), found[1][1]

    def _choose_heads(self) -> dict[str, Any]:
        """Epochs of the linear baselines on the validation data.

        The largest grocery accuracy; with the teacher, among those that keep COCO's recall as the
        gates must.
        """
        pairs, text, general = self._pairs()
        split, chosen = self.split("val"), {}
        floor = scores(split.hits(self.base), split.labels)["coco_t2i"] - ALLOWED_DROP
        for name, (_, weight) in HEADS.items():
            rows = []
            for epochs in self.head_epochs:
                head = fit_head(name, pairs, text, general, epochs, self.seeds[0])
                value = scores(split.hits(self.base, head), split.labels)
                rows.append({"epochs": epochs, **value})
            kept = [row for row in rows if not weight or row["coco_t2i"] >= floor] or rows[:1]
            chosen[name] = {"epochs": choose_largest(kept, by="domain")["epochs"], "rows": rows}
        return chosen

    def _test(self, choice: dict[str, Any], heads: dict[str, Any]) -> dict[str, Any]:
        """Opens the test data, once, with everything chosen."""
        split = self.split("test")
        hits = {"base": [split.hits(self.base)]}
        curve: list[dict[str, Any]] = []
        for recipe in RECIPES:
            scale = choice["gate_scale"] if recipe in CHOSEN_SCALE else 1.0
            hits[recipe] = []
            for seed in self.seeds:
                model = self._build(self._delta(recipe, seed, choice["iterations"]))
                model.set_gate_scale(scale)
                hits[recipe].append(split.hits(model))
                if recipe == "recommended":
                    curve += self._curve(model, split, seed)
        pairs, text, general = self._pairs()
        for name in HEADS:
            fitted = [
                fit_head(name, pairs, text, general, heads[name]["epochs"], seed)
                for seed in self.seeds
            ]
            hits[name] = [split.hits(self.base, head) for head in fitted]
        return summarise(hits, split.labels, split.owner, curve)

    @staticmethod
    def _curve(model: CLIP, split: PhotoSplit, seed: int) -> list[dict[str, Any]]:
        rows = []
        for scale in GATE_SCALES:
            model.set_gate_scale(scale)
            rows.append({"seed": seed, "scale": scale, **scores(split.hits(model), split.labels)})
        return rows


def describe_retrieved(folder: Path, domain: str = "grocery") -> dict[str, Any]:
    """How many pairs were retrieved, and how many of them from the domain's own folder."""
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "retrieved" / "pairs.parquet").to_pylist()
    own = sum(f"/{domain}/" in row["source"] for row in rows)
    return {
        "pairs": len(rows),
        "concepts": len({row["concept"] for row in rows}),
        "distinct_captions": len({row["caption"] for row in rows}),
        "from_domain": own / max(1, len(rows)),
        "modes": {m: sum(m in row["modes"] for row in rows) for m in ("T2I", "T2T")},
    }
