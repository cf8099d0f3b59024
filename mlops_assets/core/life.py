"""A life on paper: history run under a policy with the platform's own probe, decisions and gate, in memory.

Here: what would have been served in each window, what would have been decided and promoted, for any learner that fits
on arrays. Not here: the same with real assets, runs and registry (`replay`), which policies are compared
(`resources.backtest`), the scenarios with a known truth (`tests.scenarios`).

A window's rows are scored by whoever is champion when it begins; at its end, when the clock stands there, labels known
by then are used, the probe looks at windows that have matured since, and the policy decides. Nothing is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.gate import GatePolicy, Paired, paired, verdict
from mlops_assets.core.judging import Array, CannotJudge
from mlops_assets.core.policy import Decision, Evidence, History, RetrainPolicy, decide
from mlops_assets.core.probe import Candidate, Look, ProbePolicy, add_up, fold_windows, look
from mlops_assets.core.windows import Window

Model = Callable[[Any], Array]
"""Features of m rows -> scores, shape (m,) or (m, k)."""
Learner = Callable[[Any, Array], Model]
"""Features and labels of n rows -> a model."""

KEPT = 3
"""Versions that stay loadable, the champion among them."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Labelled events, oldest first.

    Attributes:
        x: features, an array or frame of n rows.
        y: labels, shape (n,).
        times: when each was predicted, shape (n,), UTC.
        known: when its label became known, shape (n,), UTC.
        days: its local calendar day, shape (n,): the blocks.
    """

    x: Any
    y: Array
    times: pd.DatetimeIndex
    known: pd.DatetimeIndex
    days: Any

    def take(self, where: Any) -> Any:
        """The features of some rows."""
        return self.x[where] if isinstance(self.x, np.ndarray) else self.x.iloc[where]


@dataclass(frozen=True)
class LifePolicy:
    """What was agreed beforehand.

    Attributes:
        metric: what is judged by.
        retrain: when to retrain.
        probe: how to look.
        gate: what lets a challenger through.
        mature_share: a window is judged when this share of its labels is known.
        timezone: of the days.
    """

    metric: str
    retrain: RetrainPolicy = field(default_factory=RetrainPolicy)
    probe: ProbePolicy = field(default_factory=ProbePolicy)
    gate: GatePolicy = field(default_factory=GatePolicy)
    mature_share: float = 0.95
    timezone: str = "UTC"


@dataclass(frozen=True, eq=False)
class Version:
    """A model that was champion: itself, and what it was fitted on."""

    number: int
    model: Model
    fitted_until: datetime
    window: str


@dataclass(frozen=True, eq=False)
class Period:
    """One window of a life.

    Attributes:
        window: the window.
        served_by: the version that scored it.
        decision: what was decided at its end.
        promoted: the version that became champion then; None if none did.
        gain: the gate's comparison, where there was one.
    """

    window: Window
    served_by: int
    decision: Decision
    promoted: int | None
    gain: Paired | None


@dataclass(frozen=True, eq=False)
class Life:
    """What would have happened.

    Attributes:
        periods: by window.
        versions: all that were champion, by number.
        fitted_rows: rows times fits, of the probe and of what shipped: (probe, shipped).
    """

    periods: tuple[Period, ...]
    versions: dict[int, Version]
    fitted_rows: tuple[int, int]

    @property
    def updates(self) -> int:
        """How often another model came into production."""
        return sum(period.promoted is not None for period in self.periods)


def live(
    rows: Rows,
    windows: Sequence[Window],
    learner: Learner,
    policy: LifePolicy,
    *,
    first: int,
    healthy: Callable[[int], str] = lambda _: "",
) -> Life:
    """Run a life.

    Args:
        rows: all labelled events.
        windows: adjacent monitoring windows.
        learner: fits a model.
        policy: what was agreed.
        first: how many windows the first champion is fitted on; it serves from the next one on.
        healthy: number of a window -> what is wrong with its data, or nothing; such a window is never fitted on or
            judged.
    """
    return _Life(rows, list(windows), learner, policy, healthy).run(first)


class _Life:
    """One life on its way."""

    def __init__(
        self, rows: Rows, windows: list[Window], learner: Learner, policy: LifePolicy, healthy: Callable[[int], str]
    ):
        self.rows, self.windows, self.learner, self.policy = rows, windows, learner, policy
        self.length = windows[0].end - windows[0].start
        self.faults = [healthy(number) for number in range(len(windows))]
        self.times, self.known = (index.as_unit("us").asi8 for index in (rows.times, rows.known))
        self.window_of = np.searchsorted([_us(window.start) for window in windows], self.times, side="right") - 1
        good = np.array([not fault for fault in self.faults])
        self.usable = good[self.window_of]
        self.versions: dict[int, Version] = {}
        self.kept: list[int] = []
        self.looks: list[Look] = []
        self.looked: set[int] = set()
        self.decisions: list[Decision] = []
        self.fitted = [0, 0]
        self.since = windows[0].start

    def run(self, first: int) -> Life:
        self.since = self.windows[first - 1].end
        champion = self._ship("expanding", self.since)
        periods = []
        for number in range(first, len(self.windows)):
            window = self.windows[number]
            decision = self._decide(number, champion)
            served_by, gain = champion.number, None
            if decision.action == "retrain":
                promoted, gain = self._challenge(champion, decision, window.end)
            elif decision.action == "revert":
                promoted = self._back(Candidate.parse(decision.candidate or "").of)
            else:
                promoted = None
            if promoted is not None:
                champion, self.since = promoted, window.end
            periods.append(Period(window, served_by, decision, promoted.number if promoted else None, gain))
        return Life(tuple(periods), self.versions, (self.fitted[0], self.fitted[1]))

    def _decide(self, number: int, champion: Version) -> Decision:
        now = self.windows[number].end
        for earlier in range(number + 1):
            if earlier not in self.looked and not self.faults[earlier] and self._matured(earlier, now, champion):
                self.looked.add(earlier)
                self._look(earlier, champion, now)
        try:
            probed = add_up(
                self.looks, self.policy.probe, champion=str(champion.number), since=self.since, length=self.length
            )
        except CannotJudge:
            probed = None
        fresh = (self.known < _us(now)) & (self.known >= _us(champion.fitted_until))
        evidence = Evidence(
            model="life",
            window=self.windows[number].label(self.policy.timezone) if probed else None,
            matured_labels=int((fresh & self.usable).sum()),
            champion_version=str(champion.number),
            champion_since=champion.fitted_until,
            data_ok=not self.faults[number],
            data_sentence=self.faults[number],
            probe=probed,
        )
        decision = decide(evidence, self.policy.retrain, History.of(self.decisions), now)
        self.decisions.append(decision)
        return decision

    def _matured(self, number: int, now: datetime, champion: Version) -> bool:
        """Whether enough labels are known, and enough of them were not known when the champion was fitted."""
        inside = self.window_of == number
        labelled = inside & (self.known < _us(now))
        fresh = labelled & (self.known >= _us(champion.fitted_until))
        enough = self.policy.mature_share * inside.sum()
        return bool(inside.any() and labelled.sum() >= enough and fresh.sum() >= enough)

    def _look(self, number: int, champion: Version, now: datetime) -> None:
        window = self.windows[number]
        judged = np.flatnonzero(
            (self.window_of == number) & (self.known < _us(now)) & (self.known >= _us(champion.fitted_until))
        )
        folds = fold_windows(window, self.policy.probe.folds, self.policy.timezone)
        names = [f"refit:{of}" for of in self.policy.probe.refits]
        scores = {name: self._folded(name, judged, folds, now) for name in names}
        for version in self.kept:
            unseen = self.known[judged].min() >= _us(self.versions[version].fitted_until)
            if version != champion.number and unseen:
                scores[f"revert:{version}"] = self.versions[version].model(self.rows.take(judged))
        try:
            found = look(
                window,
                folds,
                label=window.label(self.policy.timezone),
                at=now,
                champion=str(champion.number),
                y=self.rows.y[judged],
                times=self.rows.times[judged],
                days=self.rows.days[judged],
                kept=champion.model(self.rows.take(judged)),
                scores=scores,
                metric_name=self.policy.metric,
                earlier=[fold for one in self.looks for fold in one.folds],
                policy=self.policy.probe,
            )
        except CannotJudge:
            # A window of one class, say; the next one adds up without it.
            return
        self.looks.append(found)

    def _folded(self, name: str, judged: Any, folds: Sequence[Window], now: datetime) -> Array:
        """Scores of the judged rows, each by the candidate fitted on what happened before its fold."""
        scores = None
        for fold in folds:
            inside = fold.contains(self.rows.times[judged])
            if not inside.any():
                continue
            fit = self._fit_rows(Candidate.parse(name).of, now, before=fold.start - self.policy.probe.gap)
            if len(fit) < 2:
                continue
            self.fitted[0] += len(fit)
            found = self.learner(self.rows.take(fit), self.rows.y[fit])(self.rows.take(judged[inside]))
            if scores is None:
                scores = np.full((len(judged), *found.shape[1:]), np.nan)
            scores[inside] = found
        return np.full(len(judged), np.nan) if scores is None else scores

    def _fit_rows(self, of: str, now: datetime, *, before: datetime | None = None) -> Any:
        """Rows whose label is known at `now`, in the training window; only events before `before`, if given."""
        use = self.usable & (self.known < _us(now))
        if before is not None:
            use &= self.times < _us(before)
        if of != "expanding" and use.any():
            # Counted from the newest usable row, so that late labels don't empty a window.
            newest = self.times[np.flatnonzero(use)[-1]]
            use &= self.times > newest - int(of) * self.length / timedelta(microseconds=1)
        return np.flatnonzero(use)

    def _ship(self, of: str, now: datetime) -> Version:
        fit = self._fit_rows(of, now)
        self.fitted[1] += len(fit)
        number = len(self.versions) + 1
        version = Version(number, self.learner(self.rows.take(fit), self.rows.y[fit]), now, of)
        self.versions[number] = version
        self.kept = [*self.kept, number][-KEPT:]
        return version

    def _challenge(self, champion: Version, decision: Decision, now: datetime) -> tuple[Version | None, Paired | None]:
        """The gate on the newest matured window, fold by fold; what is promoted is refitted on all that is known."""
        of = Candidate.parse(decision.candidate).of if decision.candidate else "expanding"
        newest = max(self.looked, default=None)
        if newest is None:
            return None, None
        judged = np.flatnonzero(
            (self.window_of == newest) & (self.known < _us(now)) & (self.known >= _us(champion.fitted_until))
        )
        folds = fold_windows(self.windows[newest], self.policy.probe.folds, self.policy.timezone)
        scores = self._folded(f"refit:{of}", judged, folds, now)
        try:
            found: Paired | CannotJudge = paired(
                self.rows.y[judged],
                champion.model(self.rows.take(judged)),
                scores,
                self.rows.days[judged],
                self.policy.metric,
                confidence=self.policy.gate.confidence,
            )
        except CannotJudge as why:
            found = why
        if not verdict(self.policy.gate, found).promote:
            return None, found if isinstance(found, Paired) else None
        return self._ship(of, now), found if isinstance(found, Paired) else None

    def _back(self, version: str) -> Version:
        """The kept version becomes champion again; it is now the newest of those that are kept."""
        number = int(version)
        self.kept = [*(one for one in self.kept if one != number), number]
        return self.versions[number]


def _us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
