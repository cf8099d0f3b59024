"""What is replayed: model, days, rhythm, and the periods that follow.

Here: the settings. Not here: replaying (`replay`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from mlops_assets.core.time.windows import Window, midnight, parse_every, window_at


@dataclass(frozen=True)
class ReplaySettings:
    """What is replayed.

    Attributes:
        model: the monitored model.
        start: first day of the first period; everything before is known when the first model is trained.
        end: the day after the last period.
        every: day, week or month: the length of a period, and how often the sensors tick.
        faithful: build features period by period, as in production, instead of the whole range in one pass; the rows
            are the same, because features do not look ahead.
        trials: Optuna trials of a training; None leaves the model's own.
    """

    model: str
    start: date
    end: date
    every: str = "month"
    faithful: bool = False
    trials: int | None = None

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError(f"the replay ends ({self.end}) before it starts ({self.start}): swap --start and --end.")
        parse_every(self.every)


def periods_of(settings: ReplaySettings, tz: str) -> list[Window]:
    """Adjacent periods from start to end, cut at the calendar of `every` in a model's time zone."""
    periods: list[Window] = []
    moment, end = midnight(settings.start, tz), midnight(settings.end, tz)
    while moment < end:
        whole = window_at(moment, settings.every, tz)
        periods.append(Window(moment, min(whole.end, end)))
        moment = periods[-1].end
    return periods


def steps_of(periods: Sequence[Window]) -> int:
    """Steps of a replay: building, training, and each period; scoring is the last of them."""
    return len(periods) + 2
