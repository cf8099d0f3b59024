"""A life on paper: history run under a policy with the platform's own probe, decisions and gate, in memory.

Here: what would have been served in each window, what would have been decided and promoted, for any learner that fits
on arrays; and the same by a rule of thumb. Not here: the same with real assets, runs and registry (`simulate`), which
policies are compared (`backtest`), which rows may be used at a moment (`known_labels`), what a life leaves
(`life_settings`), the rules (`rules_of_thumb`), the scenarios with a known truth (`tests.scenarios`).

A window's rows are scored by whoever is champion when it begins; at its end, when the clock stands there, labels known
by then are used, the probe looks at windows that have matured since, and the policy decides. Nothing is tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime

import numpy as np

from mlops_assets.core.decide.folds import MIN_FIT, Fold, fold_windows, newest_folds
from mlops_assets.core.decide.judged_window import (
    JudgedRows,
    Scores,
    Stretch,
    changed_on,
    changes,
    daily_losses,
    fitted_since,
    hedged,
    is_news,
    look,
)
from mlops_assets.core.decide.policy import Decision, Evidence, History, decide
from mlops_assets.core.decide.probe import RECORD, add_up, by_window, gate_confidence, judged_windows
from mlops_assets.core.decide.probe_result import Candidate, Look, Probed
from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.promote.gate import verdict
from mlops_assets.core.simulate.agreed_on_paper import PaperTriggers
from mlops_assets.core.simulate.known_labels import KnownLabels
from mlops_assets.core.simulate.life_settings import Life, LifePolicy, Period, Version
from mlops_assets.core.simulate.rules_of_thumb import Rule
from mlops_assets.core.simulate.shared_fits import Fits, Learner, Positions, Rows
from mlops_assets.core.stats.classes import stacked
from mlops_assets.core.stats.comparison import Paired, paired
from mlops_assets.core.stats.intervals import DAY, Array, CannotJudge
from mlops_assets.core.stats.observations import finer_where_few
from mlops_assets.core.time.windows import Window, local_stretches, microseconds

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
        self.faults = ["" if policy.rule else healthy(number) for number in range(len(windows))]
        self.labels = KnownLabels(fits.rows, windows, policy, [not fault for fault in self.faults])
        self.length = self.labels.length
        self.versions: dict[int, Version] = {}
        self.kept: list[int] = []
        self.looks: list[Look] = []
        self.decisions: list[Decision] = []
        self.fitted, self.seconds = [0, 0], [0.0, 0.0]
        self.since = windows[0].start
        self.agreed = PaperTriggers(self.labels, policy.retrain.on)

    def run(self, first: int, progress: Callable[[], None]) -> Life:
        self.since = self.windows[first - 1].end
        champion = self._ship(self.policy.rule.of if self.policy.rule else "expanding", self.since)
        if self.policy.rule is None:
            for number in range(max(1, first - RECORD), first):
                self._look(self.windows[number], None, self.since)
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
        window = self.windows[number]
        decision, probed = self._decide(number, champion)
        promoted, gain, candidate = None, None, decision.candidate
        if decision.action == "retrain":
            of = Candidate.parse(candidate).of if candidate else "expanding"
            count = judged_windows(probed, self.policy.retrain.min_gain) if probed else 1
            judged = self._gate_parts(number, count)
            promoted, gain = self._challenge(champion, of, window.end, judged=judged, probed=probed)
        elif decision.action == "revert":
            promoted = self._back(Candidate.parse(candidate or "").of)
        trained = decision.action == "retrain"
        return Period(window, champion.number, decision, trained, promoted.number if promoted else None, gain)

    def _by_rule(self, rule: Rule, number: int, champion: Version) -> Period:
        window = self.windows[number]
        due = rule.due(number, champion.rows, self.labels.of_window(number))
        promoted, gain = None, None
        if due:
            judged = self._gate_parts(number, 1)
            promoted, gain = self._challenge(champion, rule.of, window.end, judged=judged)
        return Period(window, champion.number, None, due, promoted.number if promoted else None, gain)

    def _decide(self, number: int, champion: Version) -> tuple[Decision, Probed | None]:
        now = self.windows[number].end
        stretch = self.labels.stretch(number)
        if stretch is not None and not self.faults[number] and self._is_fresh(stretch, champion):
            self._look(stretch, champion, now)
        try:
            probed = add_up(
                self.looks, self.policy.probe, champion=str(champion.number), since=self.since, length=self.length
            )
        except CannotJudge:
            probed = None
        at_fit, past = self.labels.count(champion.fitted_until), History.of(self.decisions)
        evidence = Evidence(
            model="life",
            window=self.windows[number].label(self.policy.timezone) if probed else None,
            matured_labels=self.labels.count(now) - at_fit,
            labels_at_fit=at_fit,
            champion_version=str(champion.number),
            champion_since=champion.fitted_until,
            data_ok=not self.faults[number],
            data_sentence=self.faults[number],
            probe=probed,
            triggers=self.agreed.at(number, champion, past, now) if self.policy.retrain.on else (),
        )
        decision = decide(evidence, self.policy.retrain, past, now, explained=False)
        self.decisions.append(decision)
        return decision, probed

    def _is_fresh(self, stretch: Window, champion: Version) -> bool:
        """Whether a stretch was not looked at yet, and most of its labels were not known when the champion was fitted.

        Half a window is new enough: labels do not come equally late all the time.
        """
        if any(old.champion == str(champion.number) and old.end > stretch.end - self.length / 2 for old in self.looks):
            return False
        known = self.labels.known[self.labels.inside(stretch)]
        return bool(len(known)) and (known >= microseconds(champion.fitted_until)).mean() >= self.policy.mature_share

    def _look(self, window: Window, champion: Version | None, now: datetime) -> None:
        """Look at a window; without a champion, candidates are held against each other, to know their record."""
        stretch = Stretch.of(window, self.policy.timezone)
        newest = stretch.newest
        fitted_until = champion.fitted_until if champion else None
        judged = self.labels.judged(Window(min(window.start, newest.start), window.end), now, fitted_until)
        if not len(judged):
            return
        y, refits = self.rows.y[judged], self.policy.probe.refits
        kept: Array | None = None
        daily: tuple[tuple[str, float, float], ...] = ()
        changed: date | None = None
        try:
            if champion is not None:
                kept = champion.model(self.rows.take(judged))
                daily = daily_losses(y, kept, self.labels.days[judged], self.policy.metric)
                level = self.policy.probe.change_level
                changed = changed_on(by_window(self.looks), daily, level) if level else None
                refits = (*refits, *fitted_since(changes(self.looks, changed), newest))
            # What cannot be trained is not held against the champion either.
            refits = tuple(of for of in refits if len(self.labels.fit_rows(of, now)) >= self.policy.min_rows)
            whole = self._scored(refits, judged, [Fold(window, window.start)], now)
            if changed is not None and is_news(changed, newest, self.policy.timezone):
                stretch = replace(stretch, in_turns=True)
                refits = hedged(refits, changed, end=window.end, at=now)
            fresh = self._scored(refits, judged, self._newest(stretch), now)
            back = self._kept_scores(judged, champion) if champion is not None else {}
            new_look = look(
                stretch,
                JudgedRows(y, self.rows.times[judged], self.rows.blocks[judged], self.rows.by),
                Scores(kept, whole | back, fresh | back, daily=daily, changed=changed),
                at=now,
                champion=str(champion.number) if champion else "",
                metric_name=self.policy.metric,
            )
        except CannotJudge:
            # A window of one class, say; the next one adds up without it.
            return
        self.looks.append(new_look)

    def _kept_scores(self, judged: Positions, champion: Version) -> dict[str, Array]:
        """Scores by kept versions that cannot have seen a judged label."""
        unseen = self.labels.known[judged].min()
        return {
            f"revert:{version}": self.versions[version].model(self.rows.take(judged))
            for version in self.kept
            if version != champion.number and unseen >= microseconds(self.versions[version].fitted_until)
        }

    def _newest(self, stretch: Stretch) -> list[Fold]:
        return newest_folds(stretch.newest, in_turns=stretch.in_turns, timezone=self.policy.timezone)

    def _scored(
        self, refits: Sequence[str], judged: Positions, folds: Sequence[Fold], now: datetime
    ) -> dict[str, Array]:
        """By calendar: scores of the rows of some folds, each by the refit that it is judged by; else NaN."""
        gap = self.policy.probe.gap
        tasks = []
        for fold in folds:
            inside = np.flatnonzero(fold.judged.contains(self.rows.times[judged]))
            for of in refits:
                fit = self.labels.fit_rows(of, now, before=fold.before(gap), end=fold.end)
                fit = fit[fold.outside(self.labels.times[fit], gap)]
                if len(inside) and len(fit) >= MIN_FIT:
                    tasks.append((of, fit, inside))
        scores: dict[str, Array] = {}
        timed_scores = self.fits.scores([(fit, judged[inside]) for _, fit, inside in tasks])
        for (of, fit, inside), (values, seconds) in zip(tasks, timed_scores, strict=True):
            self.fitted[0] += len(fit)
            self.seconds[0] += seconds
            if values is not None:
                mine = scores.setdefault(f"refit:{of}", np.full((len(judged), *values.shape[1:]), np.nan))
                mine[inside] = values
        return scores

    def _ship(self, of: str, now: datetime) -> Version:
        fit = self.labels.fit_rows(of, now)
        model, seconds = self.fits.model(fit)
        self.fitted[1] += len(fit)
        self.seconds[1] += seconds
        number = len(self.versions) + 1
        version = Version(number, model, now, of, fit)
        self.versions[number] = version
        self.kept = [*self.kept, number][-KEPT:]
        return version

    def _challenge(
        self,
        champion: Version,
        of: str,
        now: datetime,
        *,
        judged: Sequence[Fold],
        probed: Probed | None = None,
    ) -> tuple[Version | None, Paired | None]:
        """The gate on the newest labels, part by part; what is promoted is refitted on all that is known."""
        comparison, gate = None, self.policy.gate
        if gate is not None:
            confidence = gate_confidence(probed, self.policy.retrain.min_gain, gate.confidence)
            lag_one = probed.lag_one if probed else None
            compared = self._compared(champion, of, now, judged, confidence=confidence, lag_one=lag_one)
            comparison = compared if isinstance(compared, Paired) else None
            if not verdict(gate, compared).promote:
                return None, comparison
        try:
            return self._ship(of, now), comparison
        except CannotTrain:
            # One class only, say: the champion goes on.
            return None, comparison

    def _gate_parts(self, number: int, count: int) -> list[Fold]:
        """What the gate judges: so many windows, or as many as its length, in as many parts as agreed.

        With 0, the newest days as they were looked at.
        """
        stretch = self.labels.stretch(number)
        if stretch is None:
            return []
        if not count:
            newest = self.looks[-1].newest
            in_turns = newest is not None and newest.in_turns
            return self._newest(replace(Stretch.of(stretch, self.policy.timezone), in_turns=in_turns))
        start, length = stretch.start, max(self.policy.gate_window or self.length, count * self.length)
        while start > self.windows[0].start and stretch.end - (start - self.length) <= length:
            start -= self.length
        whole = Window(start, stretch.end)
        folds = max(self.policy.probe.folds, count)
        return [Fold(part, part.start) for part in fold_windows(whole, folds, self.policy.timezone)]

    def _compared(
        self,
        champion: Version,
        of: str,
        now: datetime,
        folds: Sequence[Fold],
        *,
        confidence: float,
        lag_one: float | None,
    ) -> Paired | CannotJudge:
        rows, scores = [], []
        for fold in folds:
            judged = self.labels.judged(fold.judged, now, champion.fitted_until)
            if not len(judged):
                continue
            by_refit = self._scored([of], judged, [fold], now)
            if f"refit:{of}" not in by_refit:
                return CannotJudge(f"nothing can be fitted before {fold.judged.start:%Y-%m-%d}", "Wait for labels")
            rows.append(judged)
            scores.append(by_refit[f"refit:{of}"])
        if not rows:
            return CannotJudge("no window has matured", "Wait for labels")
        judged = np.concatenate(rows)
        blocks, by = self.rows.blocks[judged], self.rows.by
        if self.policy.retrain.on:
            times, zone = self.rows.times[judged], self.policy.timezone
            blocks, by = finer_where_few(blocks, by, lambda: local_stretches(times, zone))
        try:
            return paired(
                self.rows.y[judged],
                champion.model(self.rows.take(judged)),
                stacked(scores),
                blocks,
                self.policy.metric,
                confidence=confidence,
                by=by,
                lag_one=lag_one if by == DAY else None,
            )
        except CannotJudge as why:
            return why

    def _back(self, version: str) -> Version:
        """The kept version becomes champion again; it is now the newest of those that are kept."""
        number = int(version)
        self.kept = [*(other for other in self.kept if other != number), number]
        return self.versions[number]
