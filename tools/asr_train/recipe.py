"""The recipe: stages of the curriculum and the constants of the run, read from a JSON file.

The trainer reads the file again whenever it changes, at the next checkpoint: stages can be
adjusted while a run goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tools.asr_train.augment import Strength

__all__ = ["Recipe", "Stage"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage; it ends when the run has seen ``until_hours`` of audio in all."""

    name: str
    until_hours: float
    sources: dict[str, float]
    max_seconds: float = 20.0
    batch_seconds: float = 64.0
    ctc_weight: float = 1.0
    transducer_weight: float = 0.0
    teacher_weight: float = 0.0
    lower: str = "learns"
    """Lower blocks: ``learns`` from all, ``imitates`` the teacher only, ``rests``."""
    dropout: float = 0.0
    """Of the frames between lower and upper blocks."""
    chunks: dict[str, float] = field(default_factory=lambda: {"8": 1.0, "16": 1.0})
    augment: Strength = field(default_factory=Strength)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything about a run that is not the model's shape."""

    stages: tuple[Stage, ...]
    learning_rate: float = 1.5e-3
    inherited_rate: float = 1.0
    """Learning rate of the layers taken over from Moonshine, as a fraction."""
    warmup_steps: int = 100
    decay_from_minutes: float = 60.0
    decay_to_minutes: float = 110.0
    final_fraction: float = 0.03
    weight_decay: float = 0.01
    clip: float = 2.0
    ema: float = 0.998
    max_cells: int = 40_000
    fast_emit: float = 0.0
    noise: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """From JSON; unknown keys are errors."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        stages = []
        for item in raw.pop("stages"):
            item["augment"] = Strength(**item.get("augment", {}))
            stages.append(Stage(**item))
            if stages[-1].lower not in ("learns", "imitates", "rests"):
                raise ValueError(f"stage {stages[-1].name}: lower is {stages[-1].lower!r}")
        raw["noise"] = tuple(raw.get("noise", ()))
        return cls(stages=tuple(stages), **raw)

    def stage_at(self, hours: float) -> Stage:
        """The stage after so many hours of audio; the last one goes on for ever."""
        for stage in self.stages:
            if hours < stage.until_hours:
                return stage
        return self.stages[-1]

    def rate_at(self, step: int, minutes: float) -> float:
        """Linear warm-up by steps, constant, linear decay by minutes of training."""
        span = max(self.decay_to_minutes - self.decay_from_minutes, 1e-9)
        fall = min(max((minutes - self.decay_from_minutes) / span, 0.0), 1.0)
        scale = 1.0 - (1.0 - self.final_fraction) * fall
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps) * scale
