"""What the probe found, as it is kept on record.

Here: what could serve instead of the champion (`Candidate`), a look at one window (`Look`), the gain that looks add up
to (`Gain`, `Probed`), in plain values and in words. Not here: how windows are looked at and gains added up (`probe`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, Self

from msgspec import UNSET, UnsetType

from mlops_assets.core.models.refit_rows import Calendar
from mlops_assets.core.stats.intervals import DAY, told_blocks

Action = Literal["revert", "refit"]


@dataclass(frozen=True, order=True)
class Candidate:
    """What could serve instead of the champion.

    Attributes:
        action: `revert` to a kept version, or `refit` the champion's recipe.
        of: the version, or the calendar of its rows (`calendars`): `expanding`, a number of newest monitoring windows,
            `decay:2`, `since:2024-08-01`.
    """

    action: Action
    of: str = ""

    @property
    def name(self) -> str:
        """How it is called on record: `refit:expanding`, `refit:2`, `refit:since:2024-08-01`, `revert:7`."""
        return f"{self.action}:{self.of}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The inverse of `name`."""
        action, _, of = name.partition(":")
        if action not in ("revert", "refit") or not of:
            raise ValueError(f"{name!r} is no candidate: write refit:<window> or revert:<version>")
        return cls("revert" if action == "revert" else "refit", of)

    @property
    def in_words(self) -> str:
        """In words."""
        if self.action == "revert":
            return f"going back to version {self.of}"
        return f"a refit on {Calendar.parse(self.of).in_words}"


@dataclass(frozen=True)
class Series:
    """The gain of one way of acting over the champion, in one window.

    Attributes:
        gain: in the metric's unit, positive is better.
        sums: influence values of the gain summed by block (day), mean zero.
        sizes: rows of each block.
        blocks: number of each block, where the same blocks come back in other windows, as entities do; empty for days.
        noise: what rows of one day differ by (`judging.row_noise`); None for blocks of a column, and where it was not
            noted.
    """

    gain: float
    sums: tuple[float, ...]
    sizes: tuple[float, ...]
    blocks: tuple[int, ...] = ()
    noise: float | None = None


@dataclass(frozen=True)
class Part:
    """What was found on one stretch of rows.

    Attributes:
        start: of the rows.
        rows: how many were judged.
        loss: of each candidate, and of the champion under the name `keep`: the metric's distance from a faultless model
            (`Metric.loss`), smaller is better.
        series: gain of each candidate over the champion; empty where there was none.
        profit: the same in profit per row, where there is a cost table.
        in_turns: whether they were judged in turns, each third by a fit on all else that was known.
    """

    start: datetime
    rows: int
    loss: Mapping[str, float]
    series: Mapping[str, Series] = field(default_factory=dict)
    profit: Mapping[str, Series] = field(default_factory=dict)
    in_turns: bool = False


@dataclass(frozen=True)
class Look:
    """What the probe found in one window; plain values, kept on record.

    Attributes:
        window: the window's label.
        end: its end.
        at: when it was looked at, by the model's clock.
        champion: the version that was champion; empty where candidates alone were held against each other.
        whole: the window, candidates being fitted on what happened before it.
        newest: its newest days, candidates being fitted on what happened before those, or in turns; None where they
            could not be judged.
        daily: of each day: its date, its rows, and the champion's loss on them.
        changed: the day on which that loss was found to have risen (`judged_window.changed_on`); None: on none.
        costs: the cost table of what is told in profit.
        labelled: labelled rows of the window, of which a sample may have been judged; None where it was not noted.
        blocks: what one observation is: `day`, or the name of a column.
    """

    window: str
    end: datetime
    at: datetime
    champion: str
    whole: Part
    newest: Part | None
    daily: tuple[tuple[str, float, float], ...] = ()
    costs: Mapping[str, float] = field(default_factory=dict)
    labelled: int | None = None
    blocks: str = DAY
    changed: date | None = None


@dataclass(frozen=True)
class ProfitGain:
    """What acting would have gained in money.

    Attributes:
        lower: one-sided lower bound at the probe's level, in profit per row.
        mean: the estimate.
        rows_per_day: labelled rows a day in the windows it was measured on.
    """

    lower: float
    mean: float
    rows_per_day: float


@dataclass(frozen=True)
class Gain:
    """What acting would have gained, as a share of the champion's loss.

    Attributes:
        candidate: what to act by: `refit:<window>` or `revert:<version>`.
        lower: one-sided lower bound at the probe's level.
        mean: the estimate.
        windows: over how many windows it was pooled; 0: on the newest days alone, by a refit on what happened before.
        rows: judged rows.
        days: days they fall on, or other blocks.
        profit: the same in money, where there is a cost table.
        blocks: what those are: `day`, or the name of a column.
        since: from when on the judged rows are, as ISO text.
        eased: the bound holds at a larger level than the probe's, since refits have kept paying (`track_record`).
        in_turns: whether the newest days were judged in turns, since things changed among them (`folds`).
        p: the level of a look at which the bound would touch the price, never eased; only where many models are looked
            at together (`fleet.false_discoveries`).
    """

    candidate: str
    lower: float
    mean: float
    windows: int
    rows: int
    days: int
    profit: ProfitGain | None = None
    blocks: str = DAY
    since: str | None = None
    eased: bool = False
    in_turns: bool = False
    p: float | UnsetType = UNSET

    @property
    def in_words(self) -> str:
        """In words."""
        over = {0: "the newest days", 1: "the newest window"}.get(self.windows, f"the newest {self.windows} windows")
        judged = f"{self.rows:,} rows on {told_blocks(self.days, self.blocks)}"
        candidate = Candidate.parse(self.candidate).in_words
        # Shown with one decimal: 0.0 % is neither less nor more.
        if abs(self.mean) < 0.0005:
            return f"{candidate} would have had the champion's loss in {over} ({judged})"
        change = f"{'reduced' if self.mean >= 0 else 'raised'} the champion's loss by {abs(self.mean):.1%}"
        sure = f"surely by at least {self.lower:.1%}" if self.lower > 0 else "which may be chance"
        if self.eased and self.lower > 0:
            sure = f"by {self.lower:.1%} at least, most likely, as refits have kept paying"
        if self.in_turns:
            judged += "; things changed among them, so each third was judged by a fit on all else"
        return f"{candidate} would have {change} in {over} ({sure}; {judged})"


@dataclass(frozen=True)
class Probed:
    """All looks of a champion's life, added up.

    Attributes:
        refit: the gain of refitting by the leader; None when it cannot be judged.
        revert: the gain of the best version to go back to; None when there is none.
        leader: the candidate that a refit should follow now.
        looks: how often the champion has been looked at.
        alpha_spent: false alarms to be expected from these looks.
        sentence: what was found.
        lag_one: how alike the gains of neighbouring days were in all looks (`memory.measured`); None where blocks are
            not days, or there were too few.
        looked_at: when the newest look was made, by the model's clock; only where many models are looked at together.
        rows_per_day: labelled rows a day in its window; as `looked_at`, where they were counted.
    """

    refit: Gain | None
    revert: Gain | None
    leader: str
    looks: int
    alpha_spent: float
    sentence: str
    lag_one: float | None = None
    looked_at: datetime | UnsetType = UNSET
    rows_per_day: float | UnsetType = UNSET
