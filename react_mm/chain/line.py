"""The chain itself: every stage in its order, the validation split before the test split."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from react_mm.chain import jobs, plan, splits
from react_mm.chain.arms import Options
from react_mm.chain.choices import ChainChoices
from react_mm.chain.links import check_contents, check_links, check_stamps
from react_mm.chain.results import write_results
from react_mm.chain.retrieving import RetrievalStages
from react_mm.chain.settings import BASE
from react_mm.engine.running import source_hash, text_of
from react_mm.engine.stages import Job
from react_mm.manifest import RunLock, sha256_file
from react_mm.prompts import read_concepts

DRAWN_BY = [
    *(f"toy/{name}.py" for name in ("backgrounds", "captions", "drawing", "sampling", "scene")),
    *("toy/world.py", "toy/writer.py", "toy/shapes/*.py"),
]
WORLD_PARTS = ("pool", "classification", "scenes")


class Chain(ChainChoices):
    """A run of the chain.

    Args:
        settings: Its config.
        again: Stages to run whatever their stamp says.
        say: Where lines go.
    """

    def run(self) -> dict[str, Any]:
        """Runs what is not finished yet; returns what ``results.json`` holds.

        Raises:
            ValueError, FileNotFoundError: If a config is wrong; before any long work.
            BrokenChainError: If a file is not what its stage wrote, or not what a card names.
        """
        with RunLock(self.folder), contextlib.ExitStack() as stack:
            if self.lanes is not None:
                stack.callback(self.lanes.close)
            plan.check(self.settings)
            check_stamps(self.folder, self.again)
            self.prepare()
            self.after = RetrievalStages(self.settings).run_all(self.stages, tuple(self.after))
            check_links(self.folder, self.cards()[:1])
            self.customize()
            self.choose_gate_scales()
            self.train_detectors()
            self.choose_score_weights()
            check_links(
                self.folder, [c for c in self.cards() if not c.startswith(("tests", "res"))]
            )
            self.test()
            results = write_results(self.settings, self.stages, self.tasks())
            check_links(self.folder, self.cards())
            return results

    def check(self) -> dict[str, int]:
        """Checks a finished chain from the pool to the results, contents included.

        Returns:
            How many links and how many cards were checked.

        Raises:
            ManifestError, ValueError: Naming the file.
        """
        check_stamps(self.folder)
        links = check_links(self.folder, self.cards())
        return {"links": len(links), "cards": check_contents(self.folder)}

    # ------------------------------------------------------------------------------ preparation

    def prepare(self) -> None:
        """Draws the world where one is asked for, checks names and splits."""
        world, after = self.settings.world, []
        if world is not None:
            self._draw(Path(world.folder), self.settings.seed if world.seed is None else world.seed)
            after.append("world")
        detector = self._load(self.settings.detector)
        test = plan.annotation_file(detector.test_dataloader.dataset)
        train = plan.annotation_file(detector.train_dataloader.dataset)
        hold_out = self.settings.detector.hold_out
        if hold_out is not None:
            root = Path(detector.train_dataloader.dataset.get("data_root") or "")
            train = root / hold_out.ann_file
        for path in (test, train):
            if path is None or not path.is_file():
                raise FileNotFoundError(f"{self.settings.detector.config}: {path} does not exist")
        names = read_concepts(self.settings.names)
        content = {"names": sha256_file(self.settings.names), "synonyms": self.settings.synonyms}
        content |= {"test": sha256_file(test), "train": sha256_file(train)}
        told = self.stages.run("names", lambda: plan.check_names(names, test), content, after)
        self.tested = told["tested"]
        if told["not_tested"]:
            self.stages.say(f"   retrieved but no class of {test}: {', '.join(told['not_tested'])}")
        self.after = ["names"]
        if hold_out is not None:
            novel, out = detector.train_dataloader.dataset.get("novel"), self.splits
            self.stages.run(
                "split",
                lambda: splits.hold_out(train, novel, hold_out, out),
                {"rule": vars(hold_out), "novel": novel},
                ["names"],
                [out / splits.TRAIN, out / splits.VALIDATION],
            )
            self.after.append("split")

    def _draw(self, folder: Path, seed: int) -> None:
        from react_mm.toy.writer import write_world

        self.stages.run(
            "world",
            lambda: write_world(folder, seed, WORLD_PARTS),
            {"seed": seed, "parts": WORLD_PARTS, "source": source_hash(DRAWN_BY)},
            whole=lambda: (folder / "world.json").is_file() and (folder / "pool").is_dir(),
        )

    # -------------------------------------------------------------------------------- the stages

    def customize(self) -> None:
        """Trains every customization on the retrieved set."""
        todo = []
        for arm, part in self.settings.customization.items():
            config = self._load(part)
            options: Options = {**part.options, "randomness.seed": self.settings.seed}
            sources = {}
            for name in plan.sets_of(config):
                folder = plan.set_folder(self.folder, name)
                options[name], sources[name] = str(folder), folder / "manifest.json"
            if config.get("prefix_cache"):
                options["prefix_cache"] = str(self.folder / "prefix")
            delta = self.delta(arm)
            arguments = (part.config, options, delta, self.folder, sources, self.settings.resume)
            content = {"config": text_of(part.config, delta.parent, options)}
            outputs = [delta, delta.with_suffix(".json")]
            name, after = f"customize {arm}", self.after
            todo.append(Job(name, jobs.customize, arguments, content, after, outputs))
        self._run_jobs(todo)

    def train_detectors(self) -> None:
        """Trains the detector on the base classes, each arm's tower frozen below it."""
        part, todo = self.settings.detector, []
        for arm in self.settings.arms:
            checkpoint = self.detector(arm)
            options = {**part.options, **self._tower_options(part, arm)}
            options |= splits.training_options(self._load(part), part.hold_out, self.splits)
            options["randomness.seed"] = self.settings.seed
            sources = {**self._tower_cards(arm), **self._split_source()}
            if arm == BASE:  # the base was there before: its link is to the index made with it
                sources["index"] = self.folder / "retrieval" / "index" / "index.json"
            arguments = (part.config, options, checkpoint, self.folder, sources)
            content = {"config": text_of(part.config, checkpoint.parent, options)}
            after = ["names", *self._split(), *self._tower_stages(arm)]
            after += ["index"] if arm == BASE else []
            outputs = [checkpoint, checkpoint.with_suffix(".json")]
            arguments += (self.settings.resume,)
            name = f"train detector {arm}"
            todo.append(Job(name, jobs.train_detector, arguments, content, after, outputs))
        self._run_jobs(todo)

    def test(self) -> None:
        """Opens the test split: every task for every arm."""
        todo = []
        for task, part in self.tasks().items():
            detects = task in plan.TASKS
            for arm in self.settings.arms:
                options = {**part.options, **self._tower_options(part, arm)}
                sources = self._tower_cards(arm)
                after = ["names", *self._choices()]
                checkpoint = None
                if detects:
                    checkpoint = self.detector(arm)
                    options |= self.weights
                    sources["detector"] = checkpoint.with_suffix(".json")
                    after.append(f"train detector {arm}")
                sources |= {
                    name: self.folder / "choices" / f"{name}.json" for name in self._files()
                }
                work_dir = self.folder / "logs" / f"{task}-{arm}"
                card = self.folder / "tests" / f"{task}-{arm}.json"
                title = f"{task} {arm}"
                arguments = (part.config, work_dir, options, checkpoint, card, self.folder, sources)
                content = {"config": text_of(part.config, work_dir, options)}
                outputs = [card, card.with_suffix(".npz")]
                todo.append(Job(title, jobs.evaluate, (*arguments, title), content, after, outputs))
        self._run_jobs(todo)
