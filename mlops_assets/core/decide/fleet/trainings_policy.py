"""What a location has agreed on for the trainings of all its models together.

Here: the fields under `[tool.mlops.trainings]` of a project's pyproject.toml, their defaults and their reading. Not
here: the file (`world.runs.agreed_trainings`), what a single model has agreed on (`decide.retrain_policy`), who starts
(`training_queue`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Annotated, Any, Self

from mlops_assets.core.limits.ranges import LARGEST, SOME_TIME, Range, WrongSetting, refuse_outside
from mlops_assets.core.time.windows import format_duration, parse_duration

PLACE = "tool.mlops.trainings"
"""The table of pyproject.toml."""
USUAL_FDR = 0.05
"""Where many models are looked at and nobody has said another."""
_WORDS = ("auto", "never")


@dataclass(frozen=True)
class TrainingsPolicy:
    """What holds for the trainings of all models of a location together.

    Attributes:
        runs_a_day: most trainings that start on a day (UTC), no limit by default.
        cpu_hours_a_day: most CPU hours that the trainings which start on a day are expected to take, no limit by
            default.
        fdr: false discovery rate of the trainings that the measured gains of a day ask for: at most so large a share of
            them is expected to have no gain beyond its price. `auto` (default): 0.05 where the probe decides on more
            than one model, none for a single one; `never`: each model is judged as if it were alone.
        max_wait: who has waited longer goes before all that stand in the queue by their gain, 7d by default.
    """

    runs_a_day: Annotated[int | None, Range(1, 1_000_000, 20, whole=True)] = None
    cpu_hours_a_day: Annotated[float | None, Range(0, LARGEST, 8, above=True)] = None
    fdr: Annotated[float | str, Range(0, 0.5, 0.05, above=True, below=True, words=_WORDS)] = "auto"
    max_wait: Annotated[timedelta, SOME_TIME] = timedelta(days=7)

    def __post_init__(self) -> None:
        refuse_outside(TrainingsPolicy, vars(self), PLACE)

    @classmethod
    def from_table(cls, values: Mapping[str, Any]) -> Self:
        """The policy that a table of TOML says.

        Raises:
            WrongSetting: an unknown field, or a value that it cannot have; the message names field and remedy.
        """
        known = [each.name for each in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise WrongSetting(f"{PLACE} has no field {unknown[0]!r}: use one of {', '.join(known)}")
        refuse_outside(cls, values, PLACE)
        read = dict(values)
        if isinstance(length := read.get("max_wait"), str):
            read["max_wait"] = parse_duration(length)
        return cls(**read)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in TOML; None where there is no limit."""
        return {**vars(self), "max_wait": format_duration(self.max_wait)}

    @property
    def is_limited(self) -> bool:
        """Whether there is a budget at all."""
        return self.runs_a_day is not None or self.cpu_hours_a_day is not None

    def rate_among(self, models: int) -> float | None:
        """The false discovery rate that holds where the probe decides on so many models; None: none does."""
        if isinstance(self.fdr, str):
            return USUAL_FDR if self.fdr == "auto" and models > 1 else None
        return self.fdr

    @property
    def budget_in_words(self) -> str:
        """What may start on a day: `20 trainings and 8 CPU hours a day`; empty where nothing limits it."""
        runs = [] if self.runs_a_day is None else [f"{self.runs_a_day:,} training{'s' * (self.runs_a_day != 1)}"]
        hours = [] if self.cpu_hours_a_day is None else [f"{self.cpu_hours_a_day:,g} CPU hours"]
        return f"{' and '.join(runs + hours)} a day" if runs or hours else ""
