"""Judging one window: how the champion, refits of it and kept versions did on the same rows.

Here: the rows and scores that are judged, and the look that comes of them; on which day things changed. Not here: the
parts of a window (`folds`), which rows a candidate is fitted on (`core.models.refit_rows`), fitting and scoring
(`steps.decide.probe`, `core.simulate.life`), adding looks up (`probe`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import numpy as np

from mlops_assets.core.decide.folds import newest_days
from mlops_assets.core.decide.probe_result import Candidate, Look, Part, Series
from mlops_assets.core.models.refit_rows import NEWEST_WINDOW
from mlops_assets.core.stats.change_point import rise
from mlops_assets.core.stats.intervals import DAY, Array, CannotJudge, block_sums, row_noise
from mlops_assets.core.stats.metrics import Metric, metric
from mlops_assets.core.time.windows import Window

KEEP = "keep"
"""The champion's name among the losses."""
AFTER = 4
"""Newest windows in which a change of the champion's loss is looked for."""

DailyLosses = Sequence[tuple[str, float, float]]
"""Of each day: its date, its rows, and the champion's loss on them."""


@dataclass(frozen=True)
class Stretch:
    """What is looked at.

    Attributes:
        window: the window.
        newest: its newest days (`newest_days`).
        label: the window's name.
        in_turns: whether those are judged in turns (`Fold`).
    """

    window: Window
    newest: Window
    label: str
    in_turns: bool = False

    @classmethod
    def of(cls, window: Window, timezone: str) -> Stretch:
        """A window with its newest days, in local days of a zone."""
        return cls(window, newest_days(window, timezone), window.label(timezone))


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """The labelled rows of a window and of its newest days.

    Attributes:
        y: labels, shape (n,), all known.
        times: event times, shape (n,).
        blocks: the block of each row, shape (n,): its local day; or the number of its entity, the same in all windows.
        by: what a block is: `day`, or the name of a column.
    """

    y: Array
    times: Any
    blocks: Any
    by: str = DAY


@dataclass(frozen=True, eq=False)
class Scores:
    """What models said of these rows, shape (n,) or (n, k) each.

    Attributes:
        kept: the champion; None where candidates are only held against each other.
        whole: by candidate: for the rows of the window, a refit on what happened before it; the rest is not read. Where
            one could not be fitted, its scores are NaN.
        fresh: the same for the newest days, by refits on what happened before those, or in turns.
        twin: what refits are held against where they are fitted on samples: the champion's recipe fitted on an equal
            sample of its own rows. Beside the champion itself all of them would look worse than they are.
        daily: the champion's loss by day (`daily_losses`).
        changed: the day on which it rose (`changed_on`).
    """

    kept: Array | None
    whole: Mapping[str, Array]
    fresh: Mapping[str, Array]
    twin: Array | None = None
    daily: DailyLosses = ()
    changed: date | None = None


@dataclass(frozen=True)
class Money:
    """What gains are worth.

    Attributes:
        profit: the metric that gains are measured by in money too; None: they are not.
        costs: its table.
        labelled: labelled rows of the window, of which the judged ones may be a sample.
    """

    profit: Metric | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    labelled: int | None = None


def look(
    stretch: Stretch,
    rows: JudgedRows,
    scores: Scores,
    *,
    at: datetime,
    champion: str,
    metric_name: str,
    money: Money | None = None,
) -> Look:
    """Judge one window.

    Args:
        stretch: the window.
        rows: its labelled rows.
        scores: what models said of them.
        at: the model's clock.
        champion: the champion's version.
        metric_name: what the model is judged by.
        money: what gains are worth.

    Raises:
        CannotJudge: no rows, or the metric is undefined on them.
    """
    money = money or Money()
    judge = _Judge(rows, scores, metric(metric_name), money.profit)
    whole = judge.part(stretch.window, scores.whole)
    try:
        newest = replace(judge.part(stretch.newest, scores.fresh), in_turns=stretch.in_turns)
    except CannotJudge:
        # Days of one class, say: the window as a whole still counts.
        newest = None
    return Look(
        stretch.label,
        stretch.window.end,
        at,
        champion,
        whole,
        newest,
        tuple(scores.daily),
        costs=dict(money.costs),
        labelled=money.labelled,
        blocks=rows.by,
        changed=scores.changed,
    )


@dataclass(frozen=True, eq=False)
class _Judge:
    """Holds candidates against the champion on the same rows."""

    rows: JudgedRows
    scores: Scores
    metric: Metric
    profit: Metric | None

    def part(self, stretch: Window, candidates: Mapping[str, Array]) -> Part:
        """Losses and gains on the rows of a stretch."""
        inside = np.flatnonzero(stretch.contains(self.rows.times))
        if not inside.size:
            raise CannotJudge("there are no labelled rows to judge", "Wait for labelled rows, or widen the window")
        kept, y = self.scores.kept, self.rows.y[inside]
        loss = {} if kept is None else {KEEP: _loss(self.metric, y, kept[inside])}
        series: dict[str, Series] = {}
        profits: dict[str, Series] = {}
        for name, values in candidates.items():
            if not np.isfinite(values[inside]).all():
                continue
            loss[name] = _loss(self.metric, y, values[inside])
            if kept is not None:
                series[name] = self._gain(self.metric, name, values, inside, kept)
                if self.profit is not None:
                    profits[name] = self._gain(self.profit, name, values, inside, kept)
        return Part(stretch.start, int(inside.size), loss, series, profits)

    def _gain(self, judge: Metric, name: str, values: Array, inside: Any, kept: Array) -> Series:
        """The gain of one way of acting over what there is, by a metric."""
        twin = self.scores.twin
        before = twin if twin is not None and Candidate.parse(name).action == "refit" else kept
        blocks, by = np.asarray(self.rows.blocks)[inside], self.rows.by
        direction = 1.0 if judge.greater_is_better else -1.0
        mine, psi = judge.evaluate(self.rows.y[inside], before[inside])
        other, psi_other = judge.evaluate(self.rows.y[inside], values[inside])
        influence = direction * (psi_other - psi)
        sums, sizes = block_sums(influence, blocks)
        lasting = () if by == DAY else tuple(np.unique(blocks).tolist())
        noise = row_noise(influence, blocks) if by == DAY else None
        return Series(judge.gain(mine, other), tuple(sums.tolist()), tuple(sizes.tolist()), lasting, noise)


def _loss(judge: Any, y: Array, s: Array) -> float:
    try:
        return float(judge.loss(judge.score(y, s), y))
    except CannotJudge:
        return math.nan


# ---------------------------------------- when things changed


def fitted_since(changed: Sequence[date], newest: Window) -> tuple[str, ...]:
    """The calendar that begins with the newest change before which as many days lie as the newest days are.

    A refit on fewer knows what has changed and little else.

    Args:
        changed: days on which things changed.
        newest: the newest days.
    """
    known = [day for day in changed if day <= (newest.start - (newest.end - newest.start)).date()]
    return (f"since:{max(known)}",) if known else ()


def is_news(changed: date | None, newest: Window, timezone: str) -> bool:
    """Whether things changed among the newest days, so that no fit on what happened before them knows of it.

    Args:
        changed: the day on which they did; None: on none.
        newest: the newest days.
        timezone: of the days.
    """
    return changed is not None and changed >= newest.days(timezone)[0]


def hedged(refits: Sequence[str], changed: date, *, end: datetime, at: datetime) -> tuple[str, ...]:
    """The calendars that are tried where things have only just changed: those that lose little if they change back.

    Where labels are later than the change has lasted in them, it may be over by now: the newest window alone, a third
    of which has changed, would lose four times as much in the old world as two windows, and gain half as much again in
    the new one.

    Args:
        refits: the calendars.
        changed: the day on which things changed.
        end: of what is known.
        at: the clock.
    """
    if end.date() - changed > at - end:
        return tuple(refits)
    return tuple(of for of in refits if of != NEWEST_WINDOW)


def changes(looks: Sequence[Look], now: date | None = None) -> list[date]:
    """The days on which things changed, by what was looked at, and by what is now."""
    return [day for day in (*(past_look.changed for past_look in looks), now) if day is not None]


def changed_on(looks: Sequence[Look], daily: Sequence[tuple[str, float, float]], level: float) -> date | None:
    """The day on which the loss in production rose, in the newest windows; None where it surely did not.

    Args:
        looks: one at each window, oldest first, at whoever was champion.
        daily: of the window that is looked at now, as in `Look.daily`.
        level: chance of a day where nothing has changed.
    """
    all_days = [day for past_look in list(looks)[-AFTER + 1 :] for day in past_look.daily] + list(daily)
    # The newest days of a short window begin before it: a day counts once, as it was judged last.
    days = sorted({day: (day, rows, loss) for day, rows, loss in all_days}.values())
    rise_at = rise([loss for _, _, loss in days], [rows for _, rows, _ in days], level=level)
    return None if rise_at is None else date.fromisoformat(days[rise_at][0])


def fell_back(daily: DailyLosses, level: float) -> bool:
    """Whether the loss in production fell within a window: what a refit gained before that day may be over.

    Args:
        daily: of the window, as in `Look.daily`.
        level: chance of a day where nothing has changed.
    """
    return rise([-loss for _, _, loss in daily], [rows for _, rows, _ in daily], level=level) is not None


def daily_losses(y: Array, scores: Array, days: Any, metric_name: str) -> tuple[tuple[str, float, float], ...]:
    """Of each day: its date, its rows, and a model's loss on them (the metric's, carried to days by its influence).

    Args:
        y: labels, shape (n,), all known.
        scores: shape (n,) or (n, k).
        days: local day of each row, shape (n,), as datetime64[D].
        metric_name: what the model is judged by.

    Raises:
        CannotJudge: the metric is undefined on these rows.
    """
    judge = metric(metric_name)
    value, psi = judge.evaluate(y, scores)
    sign = -1.0 if judge.greater_is_better else 1.0
    sums, sizes = block_sums(sign * psi, days)
    names = np.datetime_as_string(np.unique(np.asarray(days, dtype="datetime64[D]")), unit="D")
    losses = judge.loss(value, y) + sums / sizes
    return tuple((str(day), float(n), float(loss)) for day, n, loss in zip(names, sizes, losses, strict=True))
