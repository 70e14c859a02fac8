"""What the chain chooses, on the validation split alone: gate scales and score weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from react_mm.chain import jobs, plan
from react_mm.chain.arms import ChainArms, Options
from react_mm.chain.links import inputs_of
from react_mm.chain.settings import Part
from react_mm.engine.running import text_of
from react_mm.engine.stages import Result
from react_mm.evaluation.gate_scale import choose_gate_scale, choose_largest
from react_mm.manifest import write_json


class ChainChoices(ChainArms):
    """The choices; each writes a card that names what it was made on."""

    def choose_gate_scales(self) -> None:
        """Reads each customization's gate scale from the validation split."""
        part = self.settings.gate_scale
        if part is None:
            return
        for arm in self.settings.customization:
            card = self.folder / "choices" / f"gate-scale-{arm}.json"
            content = {
                "scales": part.scales,
                "allowed_drop": part.allowed_drop,
                "metrics": [part.target, part.other],
                "config": text_of(part.config, self.folder / "validation", part.options),
            }
            chosen = self.stages.run(
                f"gate scale {arm}",
                lambda arm=arm, card=card: self._choose_gate_scale(arm, card),
                content,
                [f"customize {arm}", *self._split()],
                [card],
            )
            self.gate_scales[arm] = chosen["gate_scale"]

    def _choose_gate_scale(self, arm: str, card: Path) -> Result:
        part = self.settings.gate_scale
        assert part is not None
        scales = sorted({0.0, *map(float, part.scales)})
        tower, delta = plan.tower_key(self._load(part)), self.delta(arm)
        every = [
            (f"{arm} {scale:g}", {f"{tower}.delta": str(delta), f"{tower}.gate_scale": scale}, None)
            for scale in scales
        ]
        rows = []
        for scale, found in zip(scales, self._validate(part, every), strict=True):
            row = {"scale": scale, "target": found.get(part.target), "other": found.get(part.other)}
            if None in row.values():
                raise ValueError(
                    f"{part.config} gave no {part.target} or {part.other}; it gave {found}"
                )
            rows.append(row)
        result = {
            "gate_scale": choose_gate_scale(rows, part.allowed_drop),
            "split": "validation",
            "curve": rows,
        }
        sources = {"delta": delta.with_suffix(".json"), **self._split_source()}
        write_json(card, {**result, "inputs": inputs_of(self.folder, sources)})
        return result

    def choose_score_weights(self) -> None:
        """Reads the VLM weights from all arms' validation AP, so that none is favoured."""
        if not self.settings.score_weights:
            return
        card = self.folder / "choices" / "score-weights.json"
        part, arms = self.settings.detector, self.settings.arms
        content = {
            "grid": self.settings.score_weights,
            "metrics": [part.base_ap, part.novel_ap],
            "config": text_of(part.config, self.folder / "validation", part.options),
        }
        after = [f"train detector {arm}" for arm in arms] + self._split()
        chosen = self.stages.run(
            "score weights", lambda: self._choose_score_weights(card), content, after, [card]
        )
        self.weights = _score_options(chosen["base"], chosen["novel"])

    def _choose_score_weights(self, card: Path) -> Result:
        part, arms = self.settings.detector, self.settings.arms
        every = [
            (
                f"{arm} {base:g} {novel:g}",
                {**self._tower_options(part, arm), **_score_options(base, novel)},
                self.detector(arm),
            )
            for base, novel in self.settings.score_weights
            for arm in arms
        ]
        measured, rows = iter(self._validate(part, every)), []
        for base, novel in self.settings.score_weights:
            row: dict[str, Any] = {"base": base, "novel": novel, "arms": {}}
            for arm in arms:
                found = next(measured)
                row["arms"][arm] = [found.get(part.base_ap) or 0.0, found.get(part.novel_ap) or 0.0]
            row["mean"] = sum(map(sum, row["arms"].values())) / (2 * len(arms))
            rows.append(row)
        best = choose_largest(rows, "mean")
        result = {"base": best["base"], "novel": best["novel"], "split": "validation", "rows": rows}
        sources = {f"detector_{arm}": self.detector(arm).with_suffix(".json") for arm in arms}
        write_json(card, {**result, "inputs": inputs_of(self.folder, sources)})
        return result

    def _validate(
        self, part: Part, every: Sequence[tuple[str, Options, Path | None]]
    ) -> list[dict[str, float | None]]:
        """Metrics on the validation split for each (title, options, checkpoint)."""
        waiting = []
        for number, (title, options, checkpoint) in enumerate(every):
            work_dir = self.folder / "validation" / str(number)
            arguments = (part.config, work_dir, {**part.options, **options}, checkpoint)
            arguments += (self.settings.detector.hold_out, self.splits, f"validation, {title}")
            if self.lanes is None:
                waiting.append(jobs.measure(*arguments))
            else:
                waiting.append(self.lanes.submit(jobs.measure, *arguments))
        return waiting if self.lanes is None else [future.result() for future in waiting]


def _score_options(base: float, novel: float) -> Options:
    key = "model.roi_head.score_combiner"
    return {f"{key}.base": base, f"{key}.novel": novel}
