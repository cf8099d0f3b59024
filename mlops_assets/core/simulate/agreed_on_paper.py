"""Agreed triggers in a life on paper: held against its rows, where production holds them against its reports.

Here: which triggers there are on paper, and their results at the end of each window. Not here: the triggers and when
they ask (`core.decide`), the life (`life`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pandas as pd

from mlops_assets.core.decide.agreed.results import (
    InWindow,
    Since,
    drift_result,
    freshness_result,
    rows_result,
    schedule_result,
)
from mlops_assets.core.decide.agreed.triggers import (
    OnData,
    OnDrift,
    OnFreshness,
    OnGain,
    OnPerformance,
    OnSchedule,
    Trigger,
)
from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.decide.history import History
from mlops_assets.core.drift.policy import as_judged
from mlops_assets.core.simulate.known_labels import KnownLabels
from mlops_assets.core.simulate.life_settings import Version
from mlops_assets.core.simulate.rules_of_thumb import comparing
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.calendar_cycles import lacks_weekdays, part_of_cycle, weekly
from mlops_assets.core.time.windows import Window

_TIME = "_time"
_SAMPLE = 5_000
"""Rows of the training that are asked which features go by the calendar; as many as a reference keeps."""


def is_on_paper(trigger: Trigger) -> bool:
    """Whether a life on paper can live it: it has no monitors, no past scores, no files, and no gate's values."""
    if isinstance(trigger, OnDrift):
        return trigger.is_checked and trigger.of == "inputs"
    if isinstance(trigger, OnPerformance):
        return trigger.floor is not None and trigger.max_drop is None
    if isinstance(trigger, OnData):
        return trigger.rows is not None
    return isinstance(trigger, OnGain | OnFreshness | OnSchedule)


class PaperTriggers:
    """What has become of a life's triggers since its champion was trained."""

    def __init__(self, labels: KnownLabels, triggers: Sequence[Trigger] | None):
        self.labels, self.triggers = labels, [trigger for trigger in triggers or () if trigger.is_checked]
        self.drifts = comparing(labels.rows)
        self.metric, self.zone = labels.policy.metric, labels.policy.timezone
        self.champion = 0
        self.results: list[CheckResult] = []

    def at(self, number: int, champion: Version, past: History, now: datetime) -> tuple[CheckResult, ...]:
        """The results at the end of a window, those of the windows before it included.

        Args:
            number: of the window.
            champion: the version that served in it.
            past: the decisions before.
            now: the end of the window.
        """
        if champion.number != self.champion:
            self.champion, self.results = champion.number, []
        since = Since.of(
            champion.fitted_until,
            past,
            labels_at_fit=self.labels.count(champion.fitted_until),
            known=self.labels.count(now),
        )
        newest = InWindow(self.labels.windows[number].label(self.zone), now)
        moments: list[CheckResult] = []
        for trigger in self.triggers:
            if isinstance(trigger, OnDrift):
                drifts = as_judged(
                    self.drifts(champion.rows, self.labels.of_window(number)), self._by_calendar(number, champion)
                )
                self.results.append(drift_result(trigger, drifts, newest))
            elif isinstance(trigger, OnPerformance):
                stretch = self.labels.stretch(number)
                if stretch is not None and self._is_new(trigger, stretch, champion):
                    self.results.append(self._performance(trigger, champion, stretch, now))
            elif isinstance(trigger, OnSchedule):
                moments.append(schedule_result(trigger, since, now, self.zone))
            elif isinstance(trigger, OnData):
                moments.append(rows_result(trigger, since, now))
            elif isinstance(trigger, OnFreshness):
                moments.append(freshness_result(trigger, since, now))
        return (*self.results, *moments)

    def _by_calendar(self, number: int, champion: Version) -> dict[str, str]:
        """Feature -> why it is left out, as in production."""
        rows, window, current = self.labels.rows, self.labels.windows[number], self.labels.of_window(number)
        cycles = dict(rows.cycles)
        lacks = lacks_weekdays(rows.times[champion.rows], rows.times[current], tz=self.zone)
        if part_of_cycle("week", window, lacks_weekdays=lacks) and isinstance(rows.x, pd.DataFrame):
            spread = np.linspace(0, len(champion.rows) - 1, min(_SAMPLE, len(champion.rows))).astype(np.int64)
            then, now = (
                rows.take(where).assign(**{_TIME: rows.times[where]}) for where in (champion.rows[spread], current)
            )
            names = [name for name in rows.x.columns if name not in cycles]
            cycles |= dict.fromkeys(weekly(then, now, names, time=_TIME, tz=self.zone), "week")
        whys = {name: part_of_cycle(cycle, window, lacks_weekdays=lacks) for name, cycle in cycles.items()}
        return {name: why for name, why in whys.items() if why}

    def _is_new(self, trigger: OnPerformance, stretch: Window, champion: Version) -> bool:
        """Whether a stretch begins after the champion's training, and is not the one that was judged before."""
        before = [result.window_end for result in self.results if result.name == trigger.name]
        return stretch.start >= champion.fitted_until and stretch.end > max(before, default=champion.fitted_until)

    def _performance(self, trigger: OnPerformance, champion: Version, stretch: Window, now: datetime) -> CheckResult:
        window, judge = InWindow(stretch.label(self.zone), stretch.end), metric(trigger.metric or self.metric)
        judged = self.labels.judged(stretch, now, champion.fitted_until)
        if trigger.floor is None or not len(judged):
            return window.said(trigger, None, None, trigger.floor, "no label is known")
        try:
            rows = self.labels.rows
            value = float(judge.score(rows.y[judged], champion.model(rows.take(judged))))
        except CannotJudge as why:
            return window.said(trigger, None, None, trigger.floor, str(why))
        passed = judge.gain(trigger.floor, value) >= 0.0
        return window.said(trigger, passed, value, trigger.floor, f"{judge.name} {value:.4f}, limit {trigger.floor:g}")
