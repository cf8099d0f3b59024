"""When labels come: how many are known by which age, how early ones mislead, and which were restated.

Here: the label-maturity curve, the bias of early labels, and the comparison of two states of a window's labels. Not
here: whether a window is mature enough to judge (`windows.maturity`), performance (`window_metrics`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.stats.intervals import Array, CannotJudge, block_interval
from mlops_assets.core.time.windows import utc_index

POINTS = 25
"""Ages at which a curve is told."""
NEARLY_ALL = 0.99
"""Share of the labels that will come, after which a curve is told no further."""
MILESTONES = (0.5, 0.95)
"""Shares of the labels whose ages are told."""


@dataclass(frozen=True)
class MaturityCurve:
    """The share of labels known by age of the event, by the product-limit estimator of Kaplan and Meier (1958).

    An event whose label is not known yet counts as long as it has been followed and no longer, so young events do
    not pull the curve down. It takes young events to get their labels as fast as old ones did.

    Attributes:
        ages: hours since the event, rising; the last is as old as events have been followed.
        share: of the labels known by then, shape as `ages`; the last stays under 1 if some never come.
        at_risk: events without a label just before that age, and followed until it.
        events: all events.
        unlabelled: events without a label now.
    """

    ages: tuple[float, ...]
    share: tuple[float, ...]
    at_risk: tuple[int, ...]
    events: int
    unlabelled: int

    def known_by(self, hours: float) -> float:
        """The share known at this age."""
        position = int(np.searchsorted(self.ages, hours, side="right")) - 1
        return self.share[position] if position >= 0 else 0.0

    def age_of(self, share: float) -> float | None:
        """The first age in hours by which this share is known; None if it never was."""
        return next((age for age, known in zip(self.ages, self.share, strict=True) if known >= share), None)

    def sampled(self) -> list[tuple[float, float]]:
        """(hours, share known) at even ages until hardly any label is still to come, and at the last age."""
        nearly_all = self.age_of(NEARLY_ALL * self.share[-1]) or self.ages[-1]
        ages = [*np.linspace(0.0, nearly_all, POINTS).tolist(), self.ages[-1]]
        return [(age, self.known_by(age)) for age in ages]

    @property
    def sentence(self) -> str:
        """What people read."""
        ages = {share: self.age_of(share) for share in MILESTONES}
        known = [f"{s:.0%} are {'never known' if a is None else f'known after {age_told(a)}'}" for s, a in ages.items()]
        missing = 1.0 - self.share[-1]
        return (
            f"Of the labels {', '.join(known)}, and {missing:.1%} are unknown after {age_told(self.ages[-1])}. Now "
            f"{self.unlabelled:,} of {self.events:,} events have no label."
        )


def age_told(hours: float) -> str:
    """An age as people say it: `45 min`, `6.1 h`, `122 days`."""
    if hours < 1.0:
        return f"{hours * 60:.0f} min"
    return f"{hours:.2g} h" if hours < 10.0 else f"{hours:.0f} h" if hours < 72.0 else f"{hours / 24:.0f} days"


def maturity_curve(event_times: Any, label_available_at: Any, *, now: datetime) -> MaturityCurve:
    """How many labels are known by which age.

    Args:
        event_times: shape (n,).
        label_available_at: when each label became known, NaT while unknown or for ever; shape (n,).
        now: the clock: what became known later is not known.

    Raises:
        CannotJudge: no event before `now`, no label yet, or labels that were known before their event.
    """
    events, known = utc_index(event_times), utc_index(label_available_at)
    if len(events) != len(known):
        msg = f"{len(events)} event times and {len(known)} label times: pass one of each per row"
        raise ValueError(msg)
    past = np.asarray(events <= pd.Timestamp(now))
    events, known = events[past], known[past]
    came = np.asarray(known <= pd.Timestamp(now))
    if not came.any():
        raise CannotJudge(f"of {len(events):,} events none has a label yet", "Wait for labels")
    until = known.where(came, pd.Timestamp(now))
    ages = np.asarray((until - events) / pd.Timedelta(hours=1), dtype=np.float64)
    early = int(np.sum(ages < 0.0))
    if early:
        raise CannotJudge(
            f"{early:,} labels were known before their event", "Correct label_available_at in the label model"
        )
    at, codes = np.unique(ages, return_inverse=True)
    deaths = np.bincount(codes, weights=came)
    at_risk = len(ages) - np.concatenate([[0.0], np.cumsum(np.bincount(codes))[:-1]])
    waiting = np.cumprod(1.0 - deaths / at_risk)
    keep = np.flatnonzero(deaths > 0)
    if keep[-1] != len(at) - 1:
        keep = np.append(keep, len(at) - 1)
    return MaturityCurve(
        ages=tuple(at[keep].tolist()),
        share=tuple((1.0 - waiting[keep]).tolist()),
        at_risk=tuple(at_risk[keep].astype(int).tolist()),
        events=len(ages),
        unlabelled=int(np.sum(~came)),
    )


@dataclass(frozen=True)
class EarlyLabels:
    """What the labels known by an age say, against all labels of the same closed cohort.

    `difference` is their mean less the mean of all, `lower` and `upper` its 95 % interval by days (None with fewer
    than eight days); `share` is how many of all labels they are.
    """

    hours: float
    share: float
    mean: float
    final: float
    difference: float
    lower: float | None
    upper: float | None


def early_labels(labels: Any, delays: Any, days: Any, ages: Sequence[float]) -> tuple[EarlyLabels, ...]:
    """How labels known early differ from all: by so much a young cohort misleads.

    Args:
        labels: of closed cohorts, all known, shape (n,); numbers (of classes: `early_classes`).
        delays: hours from event to label, shape (n,).
        days: the day of each event, shape (n,).
        ages: hours.

    Raises:
        CannotJudge: there are no labels, or some are not finite.
    """
    y, hours = _known(labels, delays)
    final = float(y.mean())
    by_age = []
    for age in ages:
        early = hours <= age
        if not early.any():
            continue
        mean = float(y[early].mean())
        influence = early * (y - mean) / early.mean() - (y - final)
        try:
            span = block_interval(mean - final, influence, days, ordered=True)
        except CannotJudge:
            bounds: tuple[float | None, float | None] = (None, None)
        else:
            bounds = span.lower, span.upper
        by_age.append(EarlyLabels(float(age), float(early.mean()), mean, final, mean - final, *bounds))
    return tuple(by_age)


def early_classes(labels: Any, delays: Any, days: Any, ages: Sequence[float]) -> tuple[float, tuple[EarlyLabels, ...]]:
    """The class whose share among early labels differs most from its share of all, and `early_labels` of that share.

    Args:
        labels: class codes of closed cohorts, all known, shape (n,).
        delays: as in `early_labels`.
        days: as in `early_labels`.
        ages: hours.

    Raises:
        CannotJudge: as `early_labels`.
    """
    y, hours = _known(labels, delays)
    by_class = [(code, early_labels(y == code, hours, days, ages)) for code in np.unique(y)]
    code, early = max(by_class, key=lambda pair: max((abs(each.difference) for each in pair[1]), default=0.0))
    return float(code), early


def _known(labels: Any, delays: Any) -> tuple[Array, Array]:
    y, hours = np.asarray(labels, dtype=np.float64), np.asarray(delays, dtype=np.float64)
    if not y.size or not (np.isfinite(y).all() and np.isfinite(hours).all()):
        raise CannotJudge("early labels need known labels with their delays", "Wait for labels of a closed window")
    return y, hours


@dataclass(frozen=True)
class Restated:
    """Labels of a window that are not what they were when it was last judged."""

    changed: int
    withdrawn: int
    judged: int

    def __bool__(self) -> bool:
        """Whether any label was restated."""
        return self.changed + self.withdrawn > 0

    @property
    def sentence(self) -> str:
        """What people read."""
        return f"{self.changed:,} of {self.judged:,} labels were restated and {self.withdrawn:,} withdrawn"


def restated(before: pd.DataFrame, now: pd.DataFrame, *, keys: Sequence[str], label: str) -> Restated:
    """Compare the labels a window was judged on with those known now; labels that came since do not count.

    Args:
        before: one row per label it was judged on: `keys` and `label`.
        now: one row per label known now.
        keys: the columns that identify a row.
        label: the label's column.
    """
    both = before[[*keys, label]].merge(now[[*keys, label]], on=list(keys), how="left", suffixes=("", "_now"))
    new: Array = both[f"{label}_now"].to_numpy(dtype=np.float64)
    gone = np.isnan(new)
    changed = ~gone & (new != both[label].to_numpy(dtype=np.float64))
    return Restated(int(changed.sum()), int(gone.sum()), len(before))
