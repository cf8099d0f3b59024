"""On which rows a model is trained, as its YAML says it.

Here: `training.window` read. Not here: which window leads (`probe`), the rows (`world.model_data`), their weights
(`weights`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from mlops_assets.core.limits.ranges import SOME_TIME
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import format_duration, midnight, parse_duration


@dataclass(frozen=True)
class TrainingWindow:
    """Rows to train on.

    Attributes:
        kind: `auto`, `expanding`, `rolling`, `decay` or `since`.
        length: of `rolling`: events older than this are left out; of `decay`: rows count half with each so much age.
        day: of `since`: events before this day are left out.
    """

    kind: str
    length: timedelta | None = None
    day: date | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`auto`, `expanding`, `rolling: 90d`, `decay: 60d`, `since: 2024-08-01`.

        Raises:
            ValueError: anything else.
        """
        kind, colon, length = (part.strip() for part in text.partition(":"))
        if not colon and kind in ("auto", "expanding"):
            return cls(kind)
        if colon and kind in ("rolling", "decay"):
            SOME_TIME.refuse(f"training.window: {kind}", length)
            return cls(kind, parse_duration(length))
        if colon and kind == "since":
            try:
                return cls(kind, day=date.fromisoformat(length))
            except ValueError:
                pass
        raise ValueError(
            f'training.window is {text!r}: write auto, expanding, or in quotes "rolling: 90d", "decay: 60d" or '
            '"since: 2024-08-01"'
        )

    def __str__(self) -> str:
        if self.day is not None:
            return f"{self.kind}: {self.day}"
        return f"{self.kind}: {format_duration(self.length)}" if self.length else self.kind

    @property
    def is_rolling(self) -> bool:
        """Whether events leave it as time goes on."""
        return self.kind == "rolling"

    def first(self, end: datetime, timezone: str) -> datetime | None:
        """The first moment of events that are trained on at a moment; None: all there are.

        Args:
            end: when is trained.
            timezone: of the days.
        """
        if self.day is not None:
            return midnight(self.day, timezone)
        return end - self.length if self.length and self.kind == "rolling" else None

    def refuse_future(self, now: datetime, timezone: str) -> None:
        """Refuse a first day that has not come: there is nothing to train on, and nothing will be for as long.

        Args:
            now: the model's clock.
            timezone: of the days.

        Raises:
            CannotJudge: the day lies in the future.
        """
        if self.day is not None and midnight(self.day, timezone) > now:
            today = now.astimezone(ZoneInfo(timezone)).date()
            raise CannotJudge(
                f"training.window is {self}, and by the model's clock it is {today}",
                "Write a day from which on there are labelled events",
            )

    @property
    def half_life_days(self) -> float | None:
        """Age in days at which a row counts half; None: all count the same."""
        return self.length / timedelta(days=1) if self.length and self.kind == "decay" else None
