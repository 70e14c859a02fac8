"""The customization table on photographs: every method at equal data and length, what it gains and
what it forgets. What docs/customization.md reports.

Lengths, scales, epochs and strengths are read from validation data and written to
``choices.json`` before the test data are embedded.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from react_mm.benchmarks.matrix_table import write_results
from react_mm.benchmarks.photo_evaluation import (
    DOMAINS,
    Domain,
    Images,
    images_of,
    images_of_pairs,
    scores,
)
from react_mm.benchmarks.photo_heads import fit_head
from react_mm.benchmarks.photo_rows import (
    ROWS,
    Row,
    TrainedRow,
    config_of,
    dense_options,
    measure_dense,
    retrieval_settings,
    train_row,
    training_options,
)
from react_mm.benchmarks.photo_table import summarise
from react_mm.benchmarks.real_photos import ITERATIONS, SCORES, PhotoRun, describe_retrieved
from react_mm.datasets.cached_pairs import CachedPairDataset
from react_mm.engine.lanes import Lanes
from react_mm.engine.stages import Job
from react_mm.evaluation.gate_scale import GATE_SCALES, choose_gate_scale
from react_mm.evaluation.linear_probe import LinearClassifier, fit_real_probe
from react_mm.manifest import Manifest, sha256_file, write_json
from react_mm.retrieval.export import ExportSettings, export_set
from react_mm.retrieval.held_out import held_out_hashes
from react_mm.retrieval.pipeline import run as run_retrieval
from react_mm.retrieval.stored_embeddings import StoredEmbeddings
from react_mm.retrieval.string_match import match_pairs

HEAD_ROWS = ("linear head", "linear head, teacher")
DENSE_TASKS = {
    "gt_box": ("detection/gt-box_lite_coco-mini.py", "gt_box/accuracy"),
    "miou": ("segmentation/maskclip_lite_coco-mini.py", "segmentation/mIoU"),
}


class MatrixRun(PhotoRun):
    """The stages of the table, each reused while its settings and inputs are the same.

    Args:
        folder: Output folder of this domain; stored tokens lie beside it, in ``prefix``.
        domain: What is customized for.
        seeds: Seeds of the order of the pairs and of the blocks' first weights.
        rows: Names of :data:`react_mm.benchmarks.photo_rows.ROWS`.
        iterations: Candidates for the length of training.
        struck: The harder setting: class names struck out of the pool's captions.
        quick: Small sets, to see that everything runs.
        dense: Whether GT-box accuracy and mIoU are measured.
        lanes: Trainings side by side; 1 runs them in this process.
        embeddings: ``embeddings`` folder of another run on the same pool, copied to save its time.

    Raises:
        ValueError: If a row does not exist, or the recommended one is not among them.
    """

    recommended = "teacher"

    def __init__(
        self,
        folder: Path,
        domain: Domain = DOMAINS["grocery"],
        seeds: Sequence[int] = (0, 1, 2),
        rows: Sequence[str] | None = None,
        iterations: Sequence[int] = ITERATIONS,
        struck: bool = False,
        quick: bool = False,
        dense: bool = True,
        lanes: int = 2,
        embeddings: Path | None = None,
    ) -> None:
        super().__init__(folder, seeds, iterations, domain)
        names = list(rows) if rows else [n for n in ROWS if not struck or n != "string-match"]
        for name in names:
            if name not in ROWS:
                raise ValueError(f"there is no row {name!r}; known: {', '.join(ROWS)}")
        if self.recommended not in names:
            names.append(self.recommended)  # the length is chosen on it
        self.rows: dict[str, Row] = {name: ROWS[name] for name in ROWS if name in names}
        self.struck, self.quick, self.dense = struck, quick, dense
        self.lanes = Lanes(lanes) if lanes > 1 else None
        self.store, self.embeddings = folder.parent / "prefix", embeddings
        self.head_epochs = (1,) if quick else self.head_epochs
        self.scales = (0.0, 1.0) if quick else GATE_SCALES
        self.length = self.iterations[0]

    def run(self) -> dict[str, Any]:
        """Everything; returns what ``results.json`` holds."""
        try:
            return self._run()
        finally:
            if self.lanes is not None:
                self.lanes.close()

    def _run(self) -> dict[str, Any]:
        retrieved = self.stages.run("retrieve", self._retrieve, self._settings())
        self.stages.run("tokens", self._fill, {"rows": list(self.rows)}, after=("retrieve",))
        self.length = self._choose_length()["iterations"]
        self._train_rows()
        trained = [self._name(r, s, self.length) for r in self.rows for s in self.seeds]
        settings = {
            "seeds": self.seeds,
            "rows": list(self.rows),
            "scores": SCORES,
            "candidates": self.scales,
        }
        first = [self._name(row, self.seeds[0], self.length) for row in self.rows]
        scales = self.stages.run("scales", self._choose_scales, settings, after=("choose", *first))
        heads = self.stages.run(
            "choose heads",
            self._choose_heads,
            {"heads": HEAD_ROWS, "epochs": self.head_epochs, "scores": SCORES},
            after=("tokens",),
        )
        choices = {"iterations": self.length, "scales": scales, "heads": heads}
        write_json(self.folder / "choices.json", choices)
        test = self.stages.run(
            "test",
            lambda: self._test_rows(scales, heads),
            settings,
            after=("scales", "choose heads", *trained),
        )
        dense = self._measure_dense(scales) if self.dense else {}
        results = {
            "domain": self.domain.name,
            "struck": self.struck,
            "retrieved": retrieved,
            "choices": choices,
            "seeds": list(self.seeds),
            **test,
            "dense": dense,
            "cpu_seconds": {n: self.stages.stamps[n].result["cpu_seconds"] for n in trained},
            "seconds": self.stages.seconds,
        }
        write_results(self.folder, results)
        return results

    def _settings(self) -> dict[str, Any]:
        folder = self.folder / "retrieval"
        return retrieval_settings(self.configs, self.domain, folder, self.struck, self.quick)

    def _retrieve(self) -> dict[str, Any]:
        from react_mm.apis.encoder import build_encoder

        settings, folder = self._settings(), self.folder / "retrieval"
        if self.embeddings is not None and not (folder / "embeddings").exists():
            shutil.copytree(self.embeddings, folder / "embeddings")
        run_retrieval(settings, build_encoder(settings["encoder"]))
        described = describe_retrieved(folder, self.domain.name)
        if "string-match" in self.rows:
            described["string_match"] = self._match(settings)
        return described

    def _match(self, settings: dict[str, Any]) -> int:
        """Exports the pairs whose captions hold a class name."""
        folder, export = self.folder / "retrieval", ExportSettings()
        store = StoredEmbeddings(folder / "embeddings")
        excluded = held_out_hashes(settings["select"]["held_out"])
        names, most = settings["query"]["concepts"], settings["select"]["per_concept"]
        choice = match_pairs(store, names, most, excluded=frozenset(excluded))
        inputs = {"embeddings": sha256_file(store.folder / "manifest.json")}
        place = folder / "samples" / "string-match"
        manifest = Manifest(place, "sample", {"names": list(names), "most": most}, inputs)
        card = {"title": "Pairs by string match", "how": "The caption holds a class name."}
        card |= {"rules": [], "concepts": {}, "sources": [], "encoder": "none"}
        export_set(choice, manifest, export, card, progress=False)
        manifest.facts = {"pairs": choice.num_rows}
        manifest.save(complete=True)
        return choice.num_rows

    def _dataset(self, place: str) -> CachedPairDataset:
        pipeline = [dict(type="react_mm.ResizeCenterCrop", size=160)]
        path = self.folder / "retrieval" / place
        return CachedPairDataset(str(self.store), sources=[{"path": str(path)}], pipeline=pipeline)

    def _embedded(self, place: str) -> tuple[CachedPairDataset, Images]:
        dataset = self._dataset(place)
        return dataset, images_of_pairs(self.base, dataset)

    def _fill(self) -> dict[str, Any]:
        """Tokens of all images, before trainings read them side by side."""
        places = {row.pairs for row in self.rows.values()} | {"samples/general"}
        return {place: len(self._embedded(place)[0]) for place in sorted(places)}

    def _job(self, name: str, seed: int, iterations: int) -> Job:
        row, title = self.rows[name], self._name(name, seed, iterations)
        delta = self._delta(name, seed, iterations)
        options = training_options(row, self.folder / "retrieval", self.store, seed, iterations)
        config = config_of(row, self.configs)
        arguments = (config, delta.parent, options, title)
        return Job(title, train_row, arguments, options, ("retrieve", "tokens"), [delta])

    def _train(self, recipe: str, seed: int, iterations: int) -> None:
        self._run_jobs([self._job(recipe, seed, iterations)])

    def _train_rows(self) -> None:
        self._run_jobs([self._job(n, s, self.length) for n in self.rows for s in self.seeds])

    def _run_jobs(self, jobs: Sequence[Job]) -> None:
        if self.lanes is not None:
            self.stages.run_beside(jobs, self.lanes)
            return
        for job in jobs:
            self.stages.run(
                job.name,
                lambda job=job: job.function(*job.arguments),
                job.settings,
                job.after,
                job.outputs,
            )

    def _trained_row(self, name: str, seed: int) -> TrainedRow:
        return TrainedRow(self.configs, self.rows[name], self._delta(name, seed, self.length))

    def _choose_scales(self) -> dict[str, Any]:
        """The scale of every row by one rule, on the validation data, with the first seed."""
        split, chosen = self.split("val"), {}
        for name, row in self.rows.items():
            trained, curve = self._trained_row(name, self.seeds[0]), []
            for scale in self.scales:
                value = scores(
                    split.hits(trained.at(scale), pixels=scale > 0 and not row.by_gates),
                    split.labels,
                )
                curve.append(
                    {"scale": scale, "target": value["domain"], "other": value["coco_t2i"]}
                )
            chosen[name] = {"scale": choose_gate_scale(curve), "curve": curve}
        return chosen

    def _probe(self) -> LinearClassifier:
        """REAL's probe on the pairs of the string match (else the retrieved ones)."""
        place = "samples/string-match" if "string-match" in self.rows else "retrieved"
        dataset, images = self._embedded(place)
        names = list(self.split("val").domain.metainfo["classes"])
        number = [names.index(concept) for concept in dataset.concepts]
        ids = [dataset[i]["concept_id"] for i in range(len(dataset))]
        labels = torch.tensor([number[i] for i in ids])
        self.base.set_vocabulary(names)
        split = self.split("val")
        validation = images_of(self.base, split.domain_tokens).embedding
        return fit_real_probe(
            images.embedding,
            labels,
            self.base.class_embeddings.float(),
            float(self.base.logit_scale.exp()),
            (validation, torch.from_numpy(split.labels)),
        )[0]

    def _test_rows(self, scales: dict[str, Any], heads: dict[str, Any]) -> dict[str, Any]:
        """Opens the test data, once, with everything chosen."""
        probe = self._probe()
        split = self.split("test")
        hits = {"base": [split.hits(self.base)]}
        curve: list[dict[str, Any]] = []
        for name, row in self.rows.items():
            chosen = scales[name]["scale"]
            for seed in self.seeds:
                # A changed trunk runs from pixels: its curve is left to the validation data.
                wanted = set(self.scales) if row.by_gates else {chosen, 1.0}
                trained = self._trained_row(name, seed)
                for scale in sorted(wanted):
                    got = split.hits(trained.at(scale), pixels=scale > 0 and not row.by_gates)
                    curve.append(
                        {"row": name, "seed": seed, "scale": scale, **scores(got, split.labels)}
                    )
                    if scale in (chosen, 1.0):
                        hits.setdefault(f"{name} @ {scale:g}", []).append(got)
        pairs, text, general = self._pairs()
        for name in HEAD_ROWS:
            epochs = heads[name]["epochs"]
            fitted = [fit_head(name, pairs, text, general, epochs, s) for s in self.seeds]
            hits[name] = [split.hits(self.base, head) for head in fitted]
        embedding = images_of(self.base, split.domain_tokens).embedding
        right = probe(embedding).argmax(-1).numpy() == split.labels
        hits["REAL-style probe"] = [{**hits["base"][0], "domain": np.asarray(right)}]
        summary = summarise(hits, split.labels, split.owner, [])
        summary.pop("gate_curve")
        return {**summary, "curve": curve, "probe_strength": probe.strength}

    def _measure_dense(self, scales: dict[str, Any]) -> dict[str, Any]:
        """GT-box accuracy and mIoU on coco_mini val: the base, and marked rows at their scale."""
        jobs, places = [], []
        wanted: list[tuple[str, int, float]] = [("base", 0, 0.0)]
        for name, row in self.rows.items():
            if row.dense:
                wanted += [(name, seed, scales[name]["scale"]) for seed in self.seeds]
        for name, seed, scale in wanted:
            delta = None if name == "base" else self._delta(name, seed, self.length)
            after = [] if delta is None else [self._name(name, seed, self.length)]
            for task, (config, key) in DENSE_TASKS.items():
                title = f"dense {task} {name} seed {seed} scale {scale:g}"
                folder, options = self.folder / "dense" / title, dense_options(delta, scale)
                arguments = (self.configs / config, folder, options, title, key)
                jobs.append(Job(title, measure_dense, arguments, options, after))
                places.append((f"{name} @ {scale:g}", task, title))
        self._run_jobs(jobs)
        found: dict[str, Any] = {}
        for arm, task, title in places:
            value = self.stages.stamps[title].result["value"]
            found.setdefault(arm, {}).setdefault(task, []).append(value)
        return found
