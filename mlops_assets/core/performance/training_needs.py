"""What a training needs, and whether its windows can ever hold that at the pace at which labels come.

Here: the needs, the pace, and the windows that are too short for them. Not here: whether there is enough now
(`world.model_data`, `steps.decide.training_scope`), what a first model (`first_model`) or a challenger (`waiting`)
waits for, and until when.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.stats.intervals import MIN_BLOCKS, CannotJudge


@dataclass(frozen=True)
class TrainingNeeds:
    """How many rows a training needs, and the windows that they must lie in.

    Attributes:
        window: `training.window`, settled.
        to_train: rows that a training needs (`training.min_rows`).
        to_judge: labels that the judged window needs (`retrain.min_matured_labels`, or `fewest`).
        gate_days: length of that window (`gate.window`).
        fewest: labels that either needs whatever the settings say.
        fewest_days: days that the judged window needs whatever the settings say.
    """

    window: str
    to_train: int
    to_judge: int
    gate_days: int
    fewest: int = 0
    fewest_days: int = MIN_BLOCKS

    def never(self, labels: Labels) -> CannotJudge | None:
        """Why waiting does not help: a window that is too short at this pace, with what to change; None if none is.

        Windows that move on with time hold the pace times their length, however much history there is.
        """
        if self.gate_days < self.fewest_days:
            return CannotJudge(
                f"gate.window has {counted(self.gate_days, 'day')}, and an interval needs {self.fewest_days}",
                f"Lengthen gate.window to {self.fewest_days}d or more.",
            )
        pace, parsed = labels.pace(self.gate_days), TrainingWindow.parse(self.window)
        short = []
        if (holds := pace * self.gate_days) < self.to_judge:
            longer = f"Lengthen gate.window to about {math.ceil(self.to_judge / pace):,} days"
            name = f"gate.window ({counted(self.gate_days, 'day')})"
            short.append((name, holds, longer, "retrain.min_matured_labels"))
        if parsed.is_rolling and (holds := labels.inside(parsed, pace)) < self.to_train:
            longer = f"Name a training.window of about {math.ceil(self.to_train / pace + labels.spread):,} days"
            short.append((f"training.window ({self.window})", holds, longer, "training.min_rows"))
        if not short:
            return None
        held = " and ".join(f"{name} holds about {holds:,.0f}" for name, holds, _, _ in short)
        return CannotJudge(
            f"at {labels.figure(pace)} a day {held}", " ".join(self._remedy(*each[1:]) for each in short)
        )

    def _remedy(self, holds: float, longer: str, field: str) -> str:
        # Fewer than what anything needs cannot be asked for.
        lower = math.floor(holds)
        return f"{longer}, or lower {field} to {lower:,}." if lower >= max(self.fewest, 1) else f"{longer}."


class Labels:
    """The labels that are known, by the day of their event.

    Args:
        days: shape (n,), datetime64[D]: the local day of each event whose label is known.
        delays: shape (n,), days from each event to its label.
    """

    def __init__(self, days: Any, delays: Any) -> None:
        self.days = np.asarray(days, dtype="datetime64[D]")
        self.delays = np.asarray(delays, dtype=float)

    def __len__(self) -> int:
        return len(self.days)

    @property
    def first(self) -> np.datetime64:
        """The oldest day."""
        return self.days.min()

    @property
    def newest(self) -> np.datetime64:
        """The newest day."""
        return self.days.max()

    @property
    def delay(self) -> float:
        """Days after which 95 % of them were known."""
        return float(np.quantile(self.delays, 0.95))

    @property
    def spread(self) -> int:
        """For so many of the newest days, many labels are still to come."""
        return math.ceil(self.delay - self.delays.min())

    def pace(self, days: int) -> float:
        """Labels a day over so many of the newest days whose labels are there, or over all while there are fewer.

        What came at another pace before says nothing of the windows to come.
        """
        last = self.newest - self.spread
        last = last if last > self.first else self.newest
        start = max(self.first, last - days + 1)
        inside = (self.days >= start) & (self.days <= last)
        # Silent since: the last of them is as far as the pace is known.
        return float(max(inside.sum(), 1)) / (int((last - start).astype(int)) + 1)

    def inside(self, window: TrainingWindow, pace: float) -> float:
        """How many a rolling window holds: it ends with the newest day of which any label is known."""
        length = math.ceil((window.length or timedelta()) / timedelta(days=1))
        return pace * float(np.maximum(length - (self.delays - self.delays.min()), 0).mean())

    @staticmethod
    def figure(pace: float) -> str:
        """A pace as people read it."""
        return f"{pace:,.0f}" if pace >= 10 else f"{pace:.1f}" if pace >= 0.1 else f"{pace:.1g}"
