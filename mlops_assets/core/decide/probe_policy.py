"""How the probe looks: what was agreed beforehand.

Here: the fields under `probe:` in a model's YAML, their defaults and checks. Not here: looking (`probe`), other
sections of the YAML (`settings`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal, get_args

from mlops_assets.core.limits.ranges import COUNT, LARGEST, TIME, Range, refuse_outside
from mlops_assets.core.models.refit_rows import Calendar
from mlops_assets.core.time.windows import parse_duration

Spending = Literal["each_look", "whole_life"]


@dataclass(frozen=True)
class ProbePolicy:
    """How the probe looks. Every field may be set under `probe:` in a model's YAML.

    Attributes:
        refits: calendars that are tried: `expanding` (all history), a number of newest monitoring windows, or `decay:2`
            (rows count half after two windows). The first leads until another is expected to be better.
        change_level: chance of taking a rise of the champion's own loss for a change where there is none, 0.01 by
            default; where one is found, a refit on the rows since that day is tried too. 0 switches it off.
        folds: parts that the gate's window is judged in, 4 by default. More see a change sooner and cost as many more
            fits.
        level: one-sided level of the lower bound of the gain at each look, of all spans together, 0.1 by default: at
            most one false alarm in ten looks. There are far fewer, since the bound must exceed the price, and a refit
            that has nothing to gain loses a little. The gate judges what was trained by its own, stricter level.
        spending: `each_look` (default): every look has the whole level. `whole_life`: all looks at one champion share
            it, the k-th has 1 / (k (k + 1)) of it: the chance of a single false alarm in a champion's life is the
            level, and the older it is, the larger a change must be to be seen.
        embargo: time between the newest event that a candidate is fitted on and the part it is judged on, 0d by
            default. Where a label tells of a stretch of time (default within 60 days), set it to that stretch:
            neighbours whose stretches overlap share what happened in them, and a fit on one would know of the other.
        half_life: windows after which what a calendar has lost counts half when the leader is chosen, 1.5 by default.
        lead: share of the loss that another refit must be expected to lose less than the first to lead in its place,
            0.01 by default: whoever follows the least of two equal losses follows noise, and changes sides each window.
        rows: most rows that a candidate is fitted on, a seeded sample of its window, 50,000 by default; the judged
            window is sampled to the same size.
        rounds: most boosting rounds of a candidate, 120 by default; it takes the champion's recipe and is never
            promoted. Where the champion has more, refits are held against its recipe with as few.
    """

    refits: tuple[str, ...] = ("expanding", "decay:2", "4", "2", "1")
    change_level: Annotated[float, Range(0, 0.5, 0.01, below=True)] = 0.01
    folds: Annotated[int, COUNT] = 4
    level: Annotated[float, Range(0, 0.5, 0.1, above=True, below=True)] = 0.1
    spending: Spending = "each_look"
    embargo: Annotated[str, TIME] = "0d"
    half_life: Annotated[float, Range(0, LARGEST, 1.5, above=True)] = 1.5
    lead: Annotated[float, Range(0, 1, 0.01, below=True)] = 0.01
    rows: Annotated[int, Range(1, 1e9, 50_000, whole=True)] = 50_000
    rounds: Annotated[int, Range(1, 100_000, 120, whole=True)] = 120

    def __post_init__(self) -> None:
        refuse_outside(ProbePolicy, vars(self), "probe")
        bad = [of for of in self.refits if not _is_calendar(of)]
        if bad or not self.refits:
            what = bad or "nothing"
            raise ValueError(
                f"probe.refits has {what}: write expanding, numbers of windows such as 1, 2 and 4 (1,000 at most), or "
                "decay:2"
            )
        if self.spending not in get_args(Spending):
            msg = f"probe.spending is {self.spending!r}: set each_look, or whole_life"
            raise ValueError(msg)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Names of the refits that are always tried."""
        return tuple(f"refit:{of}" for of in self.refits)

    def level_of(self, look: int) -> float:
        """The level of a look, counted from 1 in a champion's life."""
        return self.level if self.spending == "each_look" else self.level / (look * (look + 1))

    def spent(self, looks: int) -> float:
        """False alarms to be expected from so many looks."""
        return sum(self.level_of(look) for look in range(1, looks + 1))

    @property
    def gap(self) -> timedelta:
        """The embargo as a length of time."""
        return parse_duration(self.embargo)


def _is_calendar(text: str) -> bool:
    try:
        return Calendar.parse(text).kind != "since"
    except ValueError:
        return False
