"""Chooses the gate scale of a stored customization on validation data, and keeps it in its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from react_mm.checkpoints import card_path, load_delta, read_card
from react_mm.engine.running import quiet, read_config, runner_of
from react_mm.evaluation.gate_scale import (
    ALLOWED_DROP,
    GATE_SCALES,
    choose_block_scales,
    choose_gate_scale,
    gate_curve,
)
from react_mm.manifest import write_json
from react_mm.suggestions import near_matches


@dataclass(frozen=True)
class ValidationTask:
    """What is measured on validation data.

    Attributes:
        config: A test config with ``val_dataloader`` and ``val_evaluator``.
        metric: Name of the metric, as the evaluator reports it; larger is better.
        options: As after ``--cfg-options``.
    """

    config: Path
    metric: str
    options: Mapping[str, Any]

    def measure(self, delta: Path, scale: float | Sequence[float], work_dir: Path) -> float:
        """The metric of a customization at a gate scale.

        Raises:
            ValueError: If the config has no validation data, or reports no such metric.
        """
        config = read_config(self.config, work_dir, self.options)
        if config.get("val_dataloader") is None or config.get("val_evaluator") is None:
            raise ValueError(
                f"{self.config} has no val_dataloader with a val_evaluator: the gate scale is "
                "chosen on validation data, never on the test split"
            )
        tower = config.model if config.model.type.endswith("CLIP") else config.model.backbone
        tower.delta, tower.gate_scale = str(delta), scale
        config.test_dataloader, config.test_evaluator = config.val_dataloader, config.val_evaluator
        config.test_cfg = config.get("test_cfg") or dict(type="TestLoop")
        for key in ("val_dataloader", "val_evaluator", "val_cfg"):
            config[key] = None
        with quiet():
            found = runner_of(config, f"gate scale {scale}").test()
        if self.metric not in found:
            raise ValueError(
                f"{self.config} reports no {self.metric!r}{near_matches(self.metric, found)}; "
                f"it reports {', '.join(found)}"
            )
        return float(found[self.metric])


def choose_scale_of(
    delta: Path,
    domain: ValidationTask,
    general: ValidationTask,
    work_dir: Path,
    scales: Sequence[float] = GATE_SCALES,
    allowed_drop: float = ALLOWED_DROP,
    per_block: bool = False,
) -> dict[str, Any]:
    """Chooses the scale of the largest ``domain`` metric that keeps ``general``; writes the card.

    Args:
        delta: ``customized.safetensors`` of gated-image (or lora), with its card.
        domain: What the customization is for.
        general: What must not be lost.
        work_dir: Folder of the logs.
        scales: Candidates.
        allowed_drop: How far ``general`` may fall below the base's, as a fraction.
        per_block: Also looks for one scale per gated block.

    Returns:
        ``gate_scale`` (a number or one per block), ``curve``, ``allowed_drop`` and the metrics'
        names; the card has it under ``gate_scale`` and ``gate_scale_choice``.

    Raises:
        ValueError: If the customization has no gates, or the allowed drop is no fraction.
    """
    if not 0 <= allowed_drop <= 1:
        raise ValueError(f"the allowed drop is a fraction of 0 to 1, got {allowed_drop}")
    state, card = load_delta(delta)
    if card["method"] not in ("gated-image", "lora"):
        raise ValueError(
            f"{delta} was made by {card['method']}, which has no gate scale: use "
            "react_mm.models.interpolation.interpolate_delta"
        )

    def measure(scale: float | Sequence[float]) -> tuple[float, float]:
        value = scale if isinstance(scale, float) else list(scale)
        return (
            domain.measure(delta, value, work_dir / "domain"),
            general.measure(delta, value, work_dir / "general"),
        )

    curve = gate_curve(measure, scales)
    chosen: Any = choose_gate_scale(curve, allowed_drop)
    if per_block:
        blocks = sum(key.endswith(("alpha_attn", ".lora.A")) for key in state)
        floor = curve[0]["other"] - allowed_drop
        found, rows = choose_block_scales(measure, chosen, blocks, floor, scales)
        curve += rows
        chosen = list(found) if len(set(found)) > 1 else found[0]
    choice = {
        "domain": [str(domain.config), domain.metric],
        "general": [str(general.config), general.metric],
        "allowed_drop": allowed_drop,
        "curve": curve,
    }
    write_json(
        card_path(delta), {**read_card(delta), "gate_scale": chosen, "gate_scale_choice": choice}
    )
    return {"gate_scale": chosen, **choice}
