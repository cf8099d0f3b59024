"""The probe: would another model have done better on the newest rows, and how sure is that?

Here: adding several looks up. Not here: which candidate leads (`promised_gains`), looking at one window
(`judged_window`), how to look (`probe_policy`), what a look and a gain are on record (`probe_result`), which rows a
candidate is fitted on (`models.refit_rows`), what follows from the gain (`policy`), the comparison that lets a
challenger through (`gate`).

A window is judged twice, going forward in time (prequential evaluation, Dawid 1984); no row is both fitted on and
judged. *Whole*: refits on what happened before the window, judged on all of it: what one would have had from training a
window ago. *Newest*: refits on what happened before its newest days, the window's own earlier days among it, judged on
those days: what a change that fills the window has taught already. A change that began among the newest days, which is
how late labels tell of one first, is known to no such refit: then they are judged in turns (`folds`). Whose label is
known when the look is made may be fitted on, not only whose label was known when the judged rows began: what is decided
is what to fit from now on.

The candidates are calendars: the same recipe on all history, on the newest windows, on rows that count less with age,
on what lies since the day the champion became worse (`change_point`). One of them leads, by what its promises are worth
(`promised_gains.leading`); it alone is held against the champion. Its gain is tested on the newest days, and pooled
over the newest 1, 2 and 4 windows of the champion's life: a loud change shows at once, a faint one adds up. Versions to
go back to are tested likewise. All of it together keeps one level (`SHARES`, `stats.nested_tests`). By default it is
spent at every look, so it bounds the rate of false alarms per look, as control charts do, and not their chance over a
whole life: a bound on that (`spending: whole_life`) grows deaf with age, and a change may come late. `alpha_spent` says
what a champion's life has cost so far. Where refits have kept paying, the newest days have more (`track_record`), which
is not counted there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import numpy as np
from msgspec import UNSET

from mlops_assets.core.decide.looks.p_values import p_value
from mlops_assets.core.decide.looks.pooled_gains import SPANS, champion_loss, gains_in_money, joined_series, tests_of
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Candidate, Gain, Look, Probed, ProfitGain, Series
from mlops_assets.core.decide.promised_gains import REMEMBERED, leading
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.decide.track_record import EASED, EVEN, keeps_paying
from mlops_assets.core.stats.autocorrelation import measured
from mlops_assets.core.stats.intervals import (
    MIN_BLOCKS,
    Array,
    CannotJudge,
    Interval,
    told_blocks,
)
from mlops_assets.core.stats.nested_tests import level_of_each

SHARES = {"newest": 0.4, "windows": 0.4, "back": 0.2}
"""Of the level: the leader on the newest days, the leader over windows, and all versions to go back to."""
CHOSEN = 2.0
"""What a leader's level is divided by where others than the first were chosen from."""
RECORD = 3
"""Windows before a first champion's first one in which candidates are held against each other, to know their record."""
TRIES = 4
"""Trainings in a champion's life that nothing promises a gain for: they share the gate's level."""
JOINED = 21
"""Days from which on windows are not joined to measure how long days remember."""


def add_up(
    looks: Sequence[Look],
    policy: ProbePolicy,
    *,
    champion: str,
    since: datetime,
    length: timedelta,
    costs: Mapping[str, float] | None = None,
    prices: RetrainPolicy | None = None,
) -> Probed:
    """What all looks at one champion say together.

    Args:
        looks: in any order; those at another champion only help to choose the leader.
        policy: how to look.
        champion: the version in production.
        since: when it came into production: what was seen before has been answered by that.
        length: of a monitoring window.
        costs: today's cost table; with one, gains are told in money too.
        prices: what a training must be worth; with them the p-value of the leader's gain beyond them is told, too.

    Raises:
        CannotJudge: there is no look at this champion yet.
    """
    ordered = sorted(looks, key=lambda look: look.end)
    mine = [look for look in ordered if look.champion == champion and look.at > since]
    if not mine:
        raise CannotJudge("the probe has not looked at the champion yet", "Wait until a window of labels has matured")
    lead = leading(by_window(ordered), policy)
    lag_one = memory_of_days(by_window(ordered), lead, policy)
    shared: Any = {"length": length, "costs": costs or {}, "lag_one": lag_one, "change_level": policy.change_level}
    level = policy.level_of(len(mine))
    # Who leads is chosen on these looks too: where it is not the first, the choice has a price.
    own = level if lead == policy.candidates[0] else level / CHOSEN
    fresh = own * SHARES["newest"]
    eased = keeps_paying(by_window(ordered), lead, policy)
    refit = _gain(lead, mine, min(EVEN, EASED * fresh) if eased else fresh, own * SHARES["windows"], **shared)
    if eased and refit is not None and not refit.windows:
        refit = replace(refit, eased=True)
    if refit is not None and prices is not None:
        tests = {kind: own / level * share for kind, share in SHARES.items()}
        refit = replace(refit, p=p_value(lead, mine, tests, prices, **shared))
    versions = [name for name in mine[-1].whole.series if Candidate.parse(name).action == "revert"]
    back = level * SHARES["back"] / (2 * max(1, len(versions)))
    reverts = [gain for name in versions if (gain := _gain(name, mine, back, back, **shared))]
    revert = max(reverts, key=lambda gain: gain.lower, default=None)
    best = max((g for g in (refit, revert) if g is not None), key=lambda g: g.lower, default=None)
    sentence = (
        f"The probe cannot say: fewer than {told_blocks(MIN_BLOCKS, mine[-1].blocks)} of labels were judged."
        if best is None
        else f"{best.in_words}."
    )
    spent = policy.spent(len(mine))
    probed = Probed(refit, revert, lead, len(mine), spent, sentence[0].upper() + sentence[1:], lag_one)
    if prices is None:
        return probed
    newest = mine[-1]
    rows = UNSET if newest.labelled is None else newest.labelled / (length / timedelta(days=1))
    return replace(probed, looked_at=newest.at, rows_per_day=rows)


def memory_of_days(looks: Sequence[Look], name: str, policy: ProbePolicy) -> float | None:
    """How alike neighbouring days are, by what a refit gained in the whole windows of the newest looks.

    That of a few windows says more of it than the days that are judged, and not being about these alone it does not
    take a gain that begins among them for memory. Short windows are joined; where a refit was not judged in a window,
    the first one of the policy was.

    Args:
        looks: at any champion, oldest first.
        name: the refit.
        policy: which names the first one.
    """
    joined: list[list[Series]] = [[]]
    for look in looks[-REMEMBERED:]:
        series = look.whole.series.get(name) or look.whole.series.get(policy.candidates[0])
        if series is None or series.blocks:
            continue
        if sum(len(part.sums) for part in joined[-1]) >= JOINED:
            joined.append([])
        joined[-1].append(series)
    return measured([_about_their_mean(parts) for parts in joined if parts])


def _about_their_mean(parts: Sequence[Series]) -> Array:
    """Days' sums over the root of their rows, about the mean of some windows together."""
    rows = [sum(part.sizes) for part in parts]
    mean = sum(part.gain * n for part, n in zip(parts, rows, strict=True)) / sum(rows)
    sizes = np.concatenate([part.sizes for part in parts])
    sums = np.concatenate([np.asarray(part.sums) + np.asarray(part.sizes) * (part.gain - mean) for part in parts])
    return np.asarray(sums / np.sqrt(sizes))


def judged_windows(probed: Probed, price: float) -> int:
    """How many newest windows the gate judges on; 0: the newest days of one.

    Where the gain was surely found; else as many windows of the champion's life as the probe adds up, since more of
    them are surer than one.

    Args:
        probed: all looks at the champion.
        price: that the gain must surely exceed, `retrain.min_gain`.
    """
    if probed.refit is not None and probed.refit.lower > price:
        return probed.refit.windows
    return max(1, min(probed.looks, max(SPANS)))


def gate_confidence(probed: Probed | None, price: float, confidence: float) -> float:
    """How sure the gate must be of a challenger that is trained now.

    A training for which the probe has found no gain (by age, by growth, because somebody asks) is a try: several of
    them in a champion's life share the level that the gate states, so that its life does not promote by luck more often
    than one challenger. Where refits have kept paying, the gate is eased as the probe is (`track_record`).

    Args:
        probed: all looks at the champion; None: there is no probe, and something else promises the gain.
        price: that a gain must surely exceed, `retrain.min_gain`.
        confidence: `gate.confidence`.
    """
    if probed is None:
        return confidence
    if probed.refit is None or probed.refit.lower <= price:
        return 1.0 - (1.0 - confidence) / TRIES
    # The interval is two-sided: half of what it leaves out is below its lower bound.
    return 1.0 - min(2.0 * EVEN, EASED * (1.0 - confidence)) if probed.refit.eased else confidence


def by_window(looks: Sequence[Look]) -> list[Look]:
    """One look at each window, the last made; a window was looked at anew when another champion came."""
    return sorted({look.end: look for look in sorted(looks, key=attrgetter("at"))}.values(), key=attrgetter("end"))


def _gain(
    name: str,
    looks: Sequence[Look],
    fresh_level: float,
    level: float,
    *,
    length: timedelta,
    costs: Mapping[str, float],
    lag_one: float | None,
    change_level: float,
) -> Gain | None:
    """The best lower bound over the newest days and the spans that there are; None where none can be judged.

    Args:
        name: the candidate.
        looks: at the champion, oldest first.
        fresh_level: of the test on the newest days.
        level: of all spans together.
        length: of a monitoring window.
        costs: today's cost table.
        lag_one: how alike neighbouring days are; None where that is to be seen on the judged ones.
        change_level: of the test for a day on which the champion's loss fell; 0: there is none.
    """
    gains = []
    spans, tests = tests_of(name, looks, change_level)
    each = level_of_each(level, spans)
    for span, parts in tests:
        pooled = _pooled([part.series[name] for part in parts], each if span else fresh_level, lag_one)
        if pooled is None:
            continue
        mean, interval = pooled
        if (loss := champion_loss(parts)) > 0.0:
            shares = (interval.lower / loss, mean / loss)
            blocks, since = looks[-1].blocks, parts[0].start.isoformat()
            gain = Gain(name, *shares, span, interval.n, interval.n_blocks, blocks=blocks, since=since)
            gains.append(replace(gain, in_turns=parts[0].in_turns))
    best = max(gains, key=lambda gain: gain.lower, default=None)
    if best is None or not costs:
        return best
    return replace(
        best, profit=_profit_gain(name, looks, fresh_level, each, spans, length=length, costs=costs, lag_one=lag_one)
    )


def _profit_gain(
    name: str,
    looks: Sequence[Look],
    fresh_level: float,
    each: float,
    spans: Sequence[int],
    *,
    length: timedelta,
    costs: Mapping[str, float],
    lag_one: float | None,
) -> ProfitGain | None:
    """The same in money; only looks that were made with this cost table count."""
    gains = []
    for span, series, rows in gains_in_money(name, looks, (0, *spans), length=length, costs=costs):
        pooled = _pooled(series, each if span else fresh_level, lag_one)
        if pooled is not None:
            gains.append(ProfitGain(pooled[1].lower, pooled[0], rows))
    return max(gains, key=lambda gain: gain.lower * gain.rows_per_day, default=None)


def _pooled(parts: Sequence[Series], level: float, lag_one: float | None = None) -> tuple[float, Interval] | None:
    """The mean gain of several windows, the oldest first, and its interval at a one-sided level."""
    joined = joined_series(parts)
    return None if joined is None else (joined.mean, joined.interval(level, lag_one))
