"""Which rows a trial is fitted on and which score it: always days before and days after, never a random part.

Here: the newest days, and folds of them with a rolling origin. Not here: the trials (`tuning`), what is made of the
rows (`training`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.models.training_settings import TrainingSettings
from mlops_assets.core.stats.metrics import Task


@dataclass(frozen=True)
class Split:
    """Row positions of both sides, oldest data first in the caller's order, and the first validation day."""

    fit: np.ndarray
    validation: np.ndarray
    first_day: pd.Timestamp


def days_of(event_time: Any, rows: int) -> np.ndarray:
    """The UTC day of each row, datetime64[D] of shape (n,).

    Raises:
        CannotTrain: a row has no event time.
    """
    # Without pandas' cache of texts: to see whether it would pay, it makes an object of each time.
    times = pd.DatetimeIndex(pd.to_datetime(pd.Series(event_time), utc=True, cache=False)).tz_localize(None)
    if len(times) != rows:
        raise ValueError(f"{len(times):,} event times for {rows:,} rows: pass one a row")
    if times.hasnans:
        raise CannotTrain(
            f"{int(np.isnat(times.to_numpy()).sum()):,} rows have no event time",
            "Fill event_timestamp in the label model.",
        )
    return times.to_numpy().astype("datetime64[D]")


def newest_days(day: np.ndarray, share: float) -> np.datetime64:
    """The first of the newest whole days that hold at least this share of the rows; never the very first day.

    Raises:
        CannotTrain: all rows are of one day.
    """
    days, counts = np.unique(day, return_counts=True)
    if len(days) < 2:
        raise CannotTrain(
            "all rows are of one day, and validation needs a later day than the fit",
            "Wait for another day of labels, or widen training.window.",
        )
    newest = np.cumsum(counts[::-1])[::-1]
    enough = int(np.flatnonzero(newest >= share * len(day))[-1])
    return np.datetime64(days[max(enough, 1)])


def time_splits(event_time: Any, rows: int, settings: TrainingSettings) -> list[Split]:
    """The newest whole UTC days with at least the wanted share of rows, in as many folds as agreed, oldest first.

    Each fold is some of these days; what is fitted for it are all rows of the days before its first (a rolling origin).
    At least one day stays to fit on.

    Raises:
        CannotTrain: all rows are of one day, or there are fewer newest days than folds.
    """
    day = days_of(event_time, rows)
    first = newest_days(day, settings.validation_share)
    late = day >= first
    fit_rows, validation_rows = np.flatnonzero(~late), np.flatnonzero(late)
    if settings.trial_rows is not None and rows > settings.trial_rows:
        rng = np.random.default_rng(settings.seed)
        share = settings.trial_rows / rows
        fit_rows, validation_rows = (
            np.sort(rng.choice(side, size=max(1, round(len(side) * share)), replace=False))
            for side in (fit_rows, validation_rows)
        )
    if settings.cv == 1:
        return [Split(fit_rows, validation_rows, pd.Timestamp(first, tz="UTC"))]
    newest = np.unique(day[validation_rows])
    if len(newest) < settings.cv:
        raise CannotTrain(
            f"the newest {settings.validation_share:.0%} of the rows are of {len(newest)} days, and training.cv wants "
            f"{settings.cv} folds of whole days",
            "Set training.cv lower, or training.validation_share higher, or wait for more days of labels.",
        )
    used = np.concatenate([fit_rows, validation_rows])
    return [
        Split(
            np.sort(used[day[used] < part[0]]),
            validation_rows[np.isin(day[validation_rows], part)],
            pd.Timestamp(part[0], tz="UTC"),
        )
        for part in np.array_split(newest, settings.cv)
    ]


def check_classes(splits: Sequence[Split], labels: np.ndarray, task: Task) -> None:
    """Refuse a side with one class only.

    Raises:
        CannotTrain: saying which.
    """
    for split in splits:
        for name, rows in (("fitted on", split.fit), ("validated on", split.validation)):
            if task != "regression" and len(np.unique(labels[rows])) < 2:
                fewer = ", or set training.cv lower" if len(splits) > 1 else ""
                raise CannotTrain(
                    f"the rows to be {name} (split at {split.first_day:%Y-%m-%d}) have one class only",
                    f"Widen training.window or change training.validation_share until both sides have two{fewer}.",
                )
