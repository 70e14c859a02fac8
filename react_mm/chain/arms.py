"""Where an arm's files lie, and with which options its tower is put into a config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from react_mm.chain import plan, splits
from react_mm.chain.settings import BASE, ChainSettings, Part
from react_mm.engine.configuration import load_config
from react_mm.engine.lanes import Lanes
from react_mm.engine.stages import Job, Stages

Options = dict[str, Any]


class ChainArms:
    """Files, options and inputs of each arm.

    Args:
        settings: The chain's config.
        again: Stages to run whatever their stamp says.
        say: Where lines go.
    """

    def __init__(
        self, settings: ChainSettings, again: Sequence[str] = (), say: Any = print
    ) -> None:
        self.settings, self.folder = settings, settings.work_dir
        self.again = tuple(again)
        self.stages = Stages(self.folder, say, again)
        self.lanes = Lanes(settings.lanes) if settings.lanes > 1 else None
        self.gate_scales: dict[str, float | None] = dict.fromkeys(settings.arms)
        self.weights: Options = {}
        self.after: list[str] = []
        self.tested: list[str] = []  # the names that are classes of the test split

    def cards(self) -> list[str]:
        """Starts of the names of all cards of this config, in the order of the stages."""
        arms = self.settings.arms
        found = ["retrieval/", *(f"customize-{arm}/" for arm in arms), "choices/score-weights"]
        found += [f"choices/gate-scale-{arm}.json" for arm in arms]
        found += [f"train-detector-{arm}/" for arm in arms]
        found += [f"tests/{task}-{arm}.json" for task in self.tasks() for arm in arms]
        return [*found, "results.json"]

    @property
    def splits(self) -> Path:
        """Folder of the held-out validation split."""
        return self.folder / "splits"

    def tasks(self) -> dict[str, Part]:
        """What is tested, by name; the detector first."""
        part = self.settings.detector
        found: dict[str, Part] = {"detection": part}
        if self.settings.synonyms is not None:
            hook = plan.vocabulary_hook(self._load(part))
            words: dict[str, str] = {}
            if self.tested:  # before, only the names of the tasks are asked for
                words = plan.renamed(self.tested, self.settings.synonyms)
            options = {**part.options, f"custom_hooks.{hook}.renamed": words}
            found["synonyms"] = Part(part.config, options)
        return {**found, **self.settings.tests}

    def delta(self, arm: str) -> Path:
        """The stored customization of an arm."""
        return self.folder / f"customize-{arm}" / "customized.safetensors"

    def detector(self, arm: str) -> Path:
        """The trained detector of an arm."""
        return self.folder / f"train-detector-{arm}" / "detector.pth"

    def _load(self, part: Part) -> Any:
        return load_config(part.config, part.options)

    def _split(self) -> list[str]:
        return ["split"] if self.settings.detector.hold_out is not None else []

    def _split_source(self) -> dict[str, Path]:
        return {"train_file": self.splits / splits.TRAIN} if self._split() else {}

    def _files(self) -> list[str]:
        return ["score-weights"] if self.settings.score_weights else []

    def _choices(self) -> list[str]:
        scales = self.settings.customization if self.settings.gate_scale is not None else ()
        return [f"gate scale {arm}" for arm in scales] + [
            n.replace("-", " ") for n in self._files()
        ]

    def _tower_options(self, part: Part, arm: str) -> Options:
        if arm == BASE:
            return {}
        tower = plan.tower_key(self._load(part))
        options: Options = {f"{tower}.delta": str(self.delta(arm))}
        if self.gate_scales[arm] is not None:
            options[f"{tower}.gate_scale"] = self.gate_scales[arm]
        return options

    def _tower_stages(self, arm: str) -> list[str]:
        if arm == BASE:
            return []
        chosen = [f"gate scale {arm}"] if self.settings.gate_scale is not None else []
        return [f"customize {arm}", *chosen]

    def _tower_cards(self, arm: str) -> dict[str, Path]:
        if arm == BASE:
            return {}
        cards = {"delta": self.delta(arm).with_suffix(".json")}
        if self.settings.gate_scale is not None:
            cards["gate_scale"] = self.folder / "choices" / f"gate-scale-{arm}.json"
        return cards

    def _run_jobs(self, todo: Sequence[Job]) -> None:
        if self.lanes is not None:
            self.stages.run_beside(todo, self.lanes)
            return
        for job in todo:
            self.stages.run(
                job.name,
                lambda job=job: job.function(*job.arguments),
                job.settings,
                job.after,
                job.outputs,
            )
