"""A yardstick: calendars as candidates, fitted on the first part of the newest known window, judged on its last third.

What lives here: that policy, lived on the same rows and fits as the platform. What does not: the platform's own
(`mlops_assets.core.simulate.life`).

A paired t over days, one-sided at 1.25 %; the best that passes ships, refitted on all that is known. Nothing else: no
price, no budget, no gate, no memory of what was tried.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from scipy import stats

from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.simulate.shared_fits import Fits, Model
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window

CALENDARS = {"expanding": 10_000, "1": 1, "2": 2, "4": 4}
LEVEL = 0.0125


def small_policy(fits: Fits, windows: list[Window], metric_name: str, *, first: int) -> tuple[list[Model], int]:
    """The model that serves each window from `first` on, and how many trainings it took."""
    rows, length, judge = fits.rows, windows[0].end - windows[0].start, metric(metric_name)

    def chosen(calendar: str, now: object, begin: object, end: object) -> np.ndarray:
        oldest = end - CALENDARS[calendar] * length if calendar != "expanding" else windows[0].start  # type: ignore[operator]
        return np.flatnonzero((rows.known < now) & (rows.times >= oldest) & (rows.times < begin))

    now = windows[first - 1].end
    champion = fits.model(np.flatnonzero(rows.known < now))[0]
    served, trainings = [], 0
    for window in windows[first:]:
        served.append(champion)
        known = np.flatnonzero(rows.known < window.end)
        end = rows.times[known[-1]].to_pydatetime() + timedelta(microseconds=1)
        cut = end - length / 3
        judged = np.flatnonzero((rows.known < window.end) & (rows.times >= cut))
        best: tuple[float, str] | None = None
        before, psi = judge.evaluate(rows.y[judged], champion(rows.take(judged)))
        for calendar in CALENDARS:
            where = chosen(calendar, window.end, cut, end)
            try:
                after, other = judge.evaluate(rows.y[judged], fits.model(where)[0](rows.take(judged)))
            except CannotTrain:
                continue
            days = np.unique(rows.blocks[judged], return_inverse=True)[1]
            gain = (before + np.bincount(days, psi) / np.bincount(days)) - (
                after + np.bincount(days, other) / np.bincount(days)
            )
            sure = gain.mean() / (gain.std(ddof=1) / np.sqrt(len(gain))) > stats.t.ppf(1 - LEVEL, len(gain) - 1)
            if sure and (best is None or gain.mean() > best[0]):
                best = (float(gain.mean()), calendar)
        if best:
            try:
                champion = fits.model(chosen(best[1], window.end, end, end))[0]
                trainings += 1
            except CannotTrain:
                pass
    return served, trainings
