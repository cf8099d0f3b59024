"""Which rows a refit is fitted on: all history, the newest windows, rows that count less with age, or since a day.

Here: the names of these calendars and their rows, for any moment before which is fitted. Not here: which calendar leads
(`decide.promised_gains`), fitting (`life`, `steps.decide.probe`), `training.window` of the YAML (`training_window`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.time.windows import midnight

NEWEST_WINDOW = "1"
"""The calendar of the newest window alone."""
_MOST_WINDOWS = 1_000
_Kind = Literal["expanding", "windows", "decay", "since"]


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) <= len(str(_MOST_WINDOWS)) and 1 <= int(text) <= _MOST_WINDOWS


@dataclass(frozen=True)
class Calendar:
    """Rows to fit on.

    Attributes:
        kind: what it goes by.
        number: of newest monitoring windows; of `decay`, windows after which a row counts half.
        day: of `since`: the first day.
    """

    kind: _Kind
    number: int = 0
    day: date | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`expanding`, a number of windows, `decay:2`, or `since:2024-08-01`.

        Raises:
            ValueError: anything else.
        """
        kind, _, of = text.partition(":")
        if text == "expanding":
            return cls("expanding")
        if _is_count(text):
            return cls("windows", int(text))
        if kind == "decay" and _is_count(of):
            return cls("decay", int(of))
        if kind == "since":
            try:
                return cls("since", day=date.fromisoformat(of))
            except ValueError:
                pass
        raise ValueError(
            f"{text!r} is not a calendar: write expanding, a number of windows (at most {_MOST_WINDOWS:,}), decay:2 or "
            "since:DATE"
        )

    @property
    def in_words(self) -> str:
        """In words, after *a refit on*."""
        if self.kind == "expanding":
            return "all history"
        if self.kind == "since":
            return f"the rows since {self.day}"
        if self.kind == "windows":
            return "the newest window" if self.number == 1 else f"the newest {self.number} windows"
        return f"rows that count half after {'a window' if self.number == 1 else f'{self.number} windows'}"

    def start(self, *, before: datetime, end: datetime, length: timedelta, timezone: str) -> datetime | None:
        """The first moment that is fitted on; None where it is all history.

        Windows are counted back from `end`, so that the newest one is the one that is being judged, and its rows from
        before the judged ones are fitted on. Where that leaves nothing, they are counted back from `before`.

        Args:
            before: rows from here on are not fitted on.
            end: of what is known.
            length: of a monitoring window.
            timezone: of the days.
        """
        if self.kind == "since" and self.day is not None:
            return midnight(self.day, timezone)
        if self.kind != "windows":
            return None
        start = end - self.number * length
        return start if start < before else before - self.number * length

    def chosen(
        self, times: NDArray[np.int64], draws: NDArray[np.float64], *, start: int | None, before: int, length: int
    ) -> NDArray[np.bool_]:
        """Which rows are fitted on; where they count less with age, they are left out with that chance.

        Thinned rows stand for weighted ones with any learner, and cost less.

        Args:
            times: of the rows, shape (n,), in a unit that counts from anywhere.
            draws: a uniform number of each row, shape (n,), the same at each call.
            start: by `start`, in that unit.
            before: as there.
            length: of a monitoring window, in that unit.
        """
        use = times < before
        if start is not None:
            use &= times >= start
        if self.kind == "decay":
            use &= draws < 0.5 ** (np.maximum(before - times, 0) / (self.number * length))
        return use
