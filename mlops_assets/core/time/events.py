"""Declared events: days that are not like others, and what that means for the windows they fall into.

Here: an event, which windows it touches, which rows fall into it. Not here: the YAML (`settings`), reading rows
(`steps`).

`annotate`: decisions and reports name the event. `exclude`: besides, no window that it touches is evidence, and its
rows are neither judged by the gate nor part of a reference. Rows are trained on, unless `train` is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlops_assets.core.time.windows import Window, local_days

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class DeclaredEvent:
    """Days that are not like others. Every field may be set in an entry of `events:` in a model's YAML.

    Attributes:
        name: what people call it.
        start: its first day, in the model's time zone.
        end: its last day.
        kind: `holiday`, `outage`, `price_change` or `other` (default); for people.
        windows: `annotate` (default) or `exclude`, see the module.
        train: whether its rows are trained on, true by default.
    """

    name: str
    start: date
    end: date
    kind: Literal["holiday", "outage", "price_change", "other"] = "other"
    windows: Literal["annotate", "exclude"] = "annotate"
    train: bool = True

    def __post_init__(self) -> None:
        if self.end < self.start:
            msg = f"events: {self.name} ends on {self.end}, before it starts on {self.start}: swap them"
            raise ValueError(msg)

    @property
    def in_words(self) -> str:
        """In words."""
        return f"{self.name} ({self.kind.replace('_', ' ')}, {self.start} to {self.end})"

    def touches(self, window: Window, tz: str) -> bool:
        """Whether a day of the window lies in it."""
        days = window.days(tz)
        return days[0] <= self.end and self.start <= days[-1]


def is_evidence(events: Sequence[DeclaredEvent], window: Window, tz: str) -> bool:
    """Whether no excluding event touches the window."""
    return not any(event.windows == "exclude" and event.touches(window, tz) for event in events)


def named(events: Sequence[DeclaredEvent], windows: Sequence[Window], tz: str) -> tuple[str, ...]:
    """A sentence for each window that an event touches, in their order."""
    return tuple(
        f"Window {window.label(tz)} falls into {event.in_words}{_AND[event.windows]}."
        for window in windows
        for event in events
        if event.touches(window, tz)
    )


def usual(events: Sequence[DeclaredEvent], times: Any, tz: str) -> NDArray[np.bool_]:
    """Which event times (shape (n,)) lie in no excluding event: rows that may be judged, or referred to."""
    return _outside([event for event in events if event.windows == "exclude"], times, tz)


def trained(events: Sequence[DeclaredEvent], times: Any, tz: str) -> NDArray[np.bool_]:
    """Which event times (shape (n,)) lie in no event with `train: false`."""
    return _outside([event for event in events if not event.train], times, tz)


def _outside(events: Sequence[DeclaredEvent], times: Any, tz: str) -> NDArray[np.bool_]:
    if not events:
        return np.ones(len(times), dtype=np.bool_)
    days = local_days(times, tz)
    inside = [(days >= np.datetime64(event.start)) & (days <= np.datetime64(event.end)) for event in events]
    return ~np.logical_or.reduce(inside)


_AND = {"annotate": "", "exclude": " and is no evidence"}
