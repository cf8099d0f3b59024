"""A life on paper: history run under a policy with the platform's own probe, decisions and gate, in memory.

Here: what would have been served in each window, what would have been decided and promoted, for any learner that fits
on arrays; and the same by a rule of thumb. Not here: the same with real assets, runs and registry (`replay`), which
policies are compared (`backtest`), what a life leaves (`life_story`), the rules (`rivals`), the scenarios with a known
truth (`tests.scenarios`).

A window's rows are scored by whoever is champion when it begins; at its end, when the clock stands there, labels known
by then are used, the probe looks at windows that have matured since, and the policy decides. Nothing is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from mlops_assets.core.classes import placed
from mlops_assets.core.comparison import Paired, paired
from mlops_assets.core.fits import Fits, Learner, Positions, Rows
from mlops_assets.core.gate import verdict
from mlops_assets.core.judging import Array, CannotJudge
from mlops_assets.core.life_story import Life, LifePolicy, Period, Version
from mlops_assets.core.matrix import CannotTrain
from mlops_assets.core.policy import Decision, Evidence, History, decide
from mlops_assets.core.probe import Candidate, Look, add_up, fold_windows, look
from mlops_assets.core.rivals import Rule
from mlops_assets.core.windows import Window

KEPT = 3
"""Versions that stay loadable, the champion among them."""


def live(
    rows: Rows,
    windows: Sequence[Window],
    learner: Learner | Fits,
    policy: LifePolicy,
    *,
    first: int,
    healthy: Callable[[int], str] = lambda _: "",
    progress: Callable[[], None] = lambda: None,
) -> Life:
    """Run a life.

    Args:
        rows: all labelled events.
        windows: adjacent monitoring windows.
        learner: fits a model; or the fits on these rows that several lives share.
        policy: what was agreed.
        first: how many windows the first champion is fitted on; it serves from the next one on.
        healthy: number of a window -> what is wrong with its data, or nothing; such a window is never fitted on or
            judged. A rule of thumb does not ask.
        progress: called at the end of each window.

    Raises:
        CannotTrain: the first windows allow no model.
    """
    fits = learner if isinstance(learner, Fits) else Fits(rows, learner)
    return _Life(fits, list(windows), policy, healthy).run(first, progress)


class _Life:
    """One life on its way."""

    def __init__(self, fits: Fits, windows: list[Window], policy: LifePolicy, healthy: Callable[[int], str]):
        self.fits, self.rows, self.windows, self.policy = fits, fits.rows, windows, policy
        self.length = windows[0].end - windows[0].start
        self.faults = ["" if policy.rule else healthy(number) for number in range(len(windows))]
        self.times, self.known = (index.as_unit("us").asi8 for index in (self.rows.times, self.rows.known))
        self.window_of = np.searchsorted([_us(window.start) for window in windows], self.times, side="right") - 1
        # Rows are oldest first, so each window's are neighbours.
        edges = np.searchsorted(self.window_of, np.arange(len(windows) + 1))
        self.inside = [slice(int(start), int(end)) for start, end in pairwise(edges)]
        good = np.array([not fault for fault in self.faults])
        self.usable = good[self.window_of]
        self.versions: dict[int, Version] = {}
        self.kept: list[int] = []
        self.looks: list[Look] = []
        self.looked: set[int] = set()
        self.decisions: list[Decision] = []
        self.fitted, self.seconds = [0, 0], [0.0, 0.0]
        self.since = windows[0].start

    def run(self, first: int, progress: Callable[[], None]) -> Life:
        self.since = self.windows[first - 1].end
        champion = self._ship(self.policy.rule.of if self.policy.rule else "expanding", self.since)
        periods = []
        for number in range(first, len(self.windows)):
            rule = self.policy.rule
            period = self._by_rule(rule, number, champion) if rule else self._by_policy(number, champion)
            periods.append(period)
            if period.promoted is not None:
                champion, self.since = self.versions[period.promoted], period.window.end
            progress()
        return Life(tuple(periods), self.versions, (self.fitted[0], self.fitted[1]), (self.seconds[0], self.seconds[1]))

    def _by_policy(self, number: int, champion: Version) -> Period:
        window, decision = self.windows[number], self._decide(number, champion)
        promoted, gain, candidate = None, None, decision.candidate
        if decision.action == "retrain":
            of = Candidate.parse(candidate).of if candidate else "expanding"
            promoted, gain = self._challenge(champion, of, window.end, newest=max(self.looked, default=None))
        elif decision.action == "revert":
            promoted = self._back(Candidate.parse(candidate or "").of)
        trained = decision.action == "retrain"
        return Period(window, champion.number, decision, trained, promoted.number if promoted else None, gain)

    def _by_rule(self, rule: Rule, number: int, champion: Version) -> Period:
        window = self.windows[number]
        due = rule.due(number, champion.rows, np.arange(self.inside[number].start, self.inside[number].stop))
        promoted, gain = None, None
        if due:
            newest = next((k for k in range(number, -1, -1) if self._matured(k, window.end, champion)), None)
            promoted, gain = self._challenge(champion, rule.of, window.end, newest=newest)
        return Period(window, champion.number, None, due, promoted.number if promoted else None, gain)

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
            labels_at_fit=int(((self.known < _us(champion.fitted_until)) & self.usable).sum()),
            champion_version=str(champion.number),
            champion_since=champion.fitted_until,
            data_ok=not self.faults[number],
            data_sentence=self.faults[number],
            probe=probed,
        )
        decision = decide(evidence, self.policy.retrain, History.of(self.decisions), now, explained=False)
        self.decisions.append(decision)
        return decision

    def _matured(self, number: int, now: datetime, champion: Version) -> bool:
        """Whether enough labels are known, and enough of them were not known when the champion was fitted."""
        known = self.known[self.inside[number]]
        labelled = known < _us(now)
        fresh = labelled & (known >= _us(champion.fitted_until))
        enough = self.policy.mature_share * len(known)
        return bool(len(known) and labelled.sum() >= enough and fresh.sum() >= enough)

    def _judged(self, number: int, now: datetime, champion: Version) -> Positions:
        """A window's rows whose label is known, and was not when the champion was fitted."""
        known = self.known[self.inside[number]]
        fresh = (known < _us(now)) & (known >= _us(champion.fitted_until))
        return np.flatnonzero(fresh) + self.inside[number].start

    def _look(self, number: int, champion: Version, now: datetime) -> None:
        window, judged = self.windows[number], self._judged(number, now, champion)
        folds = fold_windows(window, self.policy.probe.folds, self.policy.timezone)
        scores = self._folded(self.policy.probe.refits, judged, folds, now)
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
                blocks=self.rows.blocks[judged],
                by=self.rows.by,
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

    def _folded(
        self, windows: Sequence[str], judged: Positions, folds: Sequence[Window], now: datetime
    ) -> dict[str, Array]:
        """By training window: scores of the judged rows, each by the refit on what happened before its fold.

        NaN in folds before which nothing can be fitted.
        """
        tasks, times = [], self.times[judged]
        for of in windows:
            for fold in folds:
                inside = np.flatnonzero((times >= _us(fold.start)) & (times < _us(fold.end)))
                fit = self._fit_rows(of, now, before=fold.start - self.policy.probe.gap)
                if len(inside) and len(fit) >= 2:
                    tasks.append((of, inside, fit))
        found = self.fits.scores([(fit, judged[inside]) for _, inside, fit in tasks])
        parts: dict[str, list[tuple[Positions, Array]]] = {f"refit:{of}": [] for of in windows}
        for (of, inside, fit), (values, seconds) in zip(tasks, found, strict=True):
            self.fitted[0] += len(fit)
            self.seconds[0] += seconds
            if values is not None:
                parts[f"refit:{of}"].append((inside, values))
        return {name: placed(len(judged), of) if of else np.full(len(judged), np.nan) for name, of in parts.items()}

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
        model, seconds = self.fits.model(fit)
        self.fitted[1] += len(fit)
        self.seconds[1] += seconds
        number = len(self.versions) + 1
        version = Version(number, model, now, of, fit)
        self.versions[number] = version
        self.kept = [*self.kept, number][-KEPT:]
        return version

    def _challenge(
        self, champion: Version, of: str, now: datetime, *, newest: int | None
    ) -> tuple[Version | None, Paired | None]:
        """The gate on the newest matured windows, fold by fold; what is promoted is refitted on all that is known."""
        found, gate = None, self.policy.gate
        if gate is not None:
            compared = self._compared(champion, of, now, newest, confidence=gate.confidence)
            found = compared if isinstance(compared, Paired) else None
            if not verdict(gate, compared).promote:
                return None, found
        try:
            return self._ship(of, now), found
        except CannotTrain:
            # One class only, say: the champion goes on.
            return None, found

    def _compared(
        self, champion: Version, of: str, now: datetime, newest: int | None, *, confidence: float
    ) -> Paired | CannotJudge:
        if newest is None:
            return CannotJudge("no window has matured", "Wait for labels")
        oldest = self._oldest_judged(newest)
        numbers = [number for number in range(oldest, newest + 1) if not self.faults[number]]
        judged = np.concatenate([self._judged(number, now, champion) for number in numbers])
        whole = Window(self.windows[oldest].start, self.windows[newest].end)
        folds = fold_windows(whole, self.policy.probe.folds, self.policy.timezone)
        try:
            return paired(
                self.rows.y[judged],
                champion.model(self.rows.take(judged)),
                self._folded([of], judged, folds, now)[f"refit:{of}"],
                self.rows.blocks[judged],
                self.policy.metric,
                confidence=confidence,
                by=self.rows.by,
            )
        except CannotJudge as why:
            return why

    def _oldest_judged(self, newest: int) -> int:
        """The oldest of the windows that the gate judges together: they are no longer than was agreed, or one."""
        length, oldest = self.policy.gate_window, newest
        while length and oldest > 0 and self.windows[newest].end - self.windows[oldest - 1].start <= length:
            oldest -= 1
        return oldest

    def _back(self, version: str) -> Version:
        """The kept version becomes champion again; it is now the newest of those that are kept."""
        number = int(version)
        self.kept = [*(one for one in self.kept if one != number), number]
        return self.versions[number]


def _us(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
