"""On which rows a model is trained, as its YAML says it.

Here: `training.window` read. Not here: which window leads (`probe`), the rows (`resources.model_data`), their weights
(`weights`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from mlops_assets.core.windows import format_duration, parse_duration


@dataclass(frozen=True)
class TrainingWindow:
    """Rows to train on.

    Attributes:
        kind: `auto`, `expanding`, `rolling` or `decay`.
        length: of `rolling`: events older than this are left out; of `decay`: rows count half with each so much age.
    """

    kind: str
    length: timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """`auto`, `expanding`, `rolling: 90d`, `decay: 60d`.

        Raises:
            ValueError: anything else.
        """
        kind, colon, length = (part.strip() for part in text.partition(":"))
        if not colon and kind in ("auto", "expanding"):
            return cls(kind)
        if colon and kind in ("rolling", "decay"):
            found = parse_duration(length)
            if found > timedelta(0):
                return cls(kind, found)
        raise ValueError(
            f'training.window is {text!r}: write auto, expanding, or in quotes "rolling: 90d" or "decay: 60d"'
        )

    def __str__(self) -> str:
        return f"{self.kind}: {format_duration(self.length)}" if self.length else self.kind

    @property
    def oldest(self) -> timedelta | None:
        """How old events may be; None: as old as they are."""
        return self.length if self.kind == "rolling" else None

    @property
    def half_life_days(self) -> float | None:
        """Age in days at which a row counts half; None: all count the same."""
        return self.length / timedelta(days=1) if self.length and self.kind == "decay" else None
