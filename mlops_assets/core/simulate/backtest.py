"""Policies compared on the same history: what each would have cost, what it would have been worth, which one to take.

Here: the rivals every policy is held against, one life under each, the comparison by windows, the frontier and the
recommendation. Not here: a life (`life`), the rules of thumb (`rules_of_thumb`), reading history (`simulate.backtest`),
the page (`pages.backtest`).

Policies are compared on the same rows, window by window, and a window is one observation: what a policy is worth
depends on what happens, and what happens, happens to windows. Rows would say how sure it is that one series of models
was better on this history; that says little about the next change. Windows that resemble the one before widen the
interval, as days do in the gate (`stats.autocorrelation`). As many policies are held against the present one,
their intervals hold together (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.simulate.life import live
from mlops_assets.core.simulate.life_settings import Life, LifePolicy
from mlops_assets.core.simulate.rules_of_thumb import KS_LEVEL, PSI_LIMIT, every, ks_under, monthly, never, psi_over
from mlops_assets.core.simulate.shared_fits import Fits, Rows
from mlops_assets.core.stats.intervals import MIN_BLOCKS, CannotJudge, sums_interval
from mlops_assets.core.stats.metrics import Metric
from mlops_assets.core.time.windows import Window

PRESENT = "present policy"
"""The model's own, as its YAML has it."""
TWO_PERCENT = GatePolicy(rule="relative", min_gain=0.02, significant=False)
LEVEL = 0.05
"""Chance that any of the intervals of one backtest misses, where no policy differs from the present one."""


@dataclass(frozen=True)
class Against:
    """A policy against the present one: its mean gain in the metric's unit, positive is better, with its interval."""

    gain: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Tried:
    """What one policy would have brought.

    Attributes:
        name: the policy's.
        trainings: how many it would have started, in all windows.
        updates: how often another model would have come into production, going back included.
        seconds: CPU of all its fits, those of its looks included; what lives share is charged to each.
        metric: mean over windows, weighted by rows.
        loss: the same as the distance from a faultless model.
        money: mean per row by the cost table; None without one.
        by_window: the metric in each window; None where it could not be computed.
        against: the present policy; None for that itself, and where it cannot be judged.
        on_frontier: no other policy is at least as good and trains less.
    """

    name: str
    trainings: int
    updates: int
    seconds: float
    metric: float
    loss: float
    money: float | None
    by_window: tuple[float | None, ...]
    against: Against | None = None
    on_frontier: bool = False


@dataclass(frozen=True)
class Recommendation:
    """Which policy to take (`name`), and why in one sentence."""

    name: str
    sentence: str


@dataclass(frozen=True)
class Backtest:
    """History under several policies.

    Attributes:
        metric: what the model is judged by.
        windows: labels of those lived through.
        rows: rows that were scored in them.
        tried: the present policy first.
        recommendation: what follows.
    """

    metric: str
    windows: tuple[str, ...]
    rows: int
    tried: tuple[Tried, ...]
    recommendation: Recommendation

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def rivals(rows: Rows, windows: Sequence[Window], own: LifePolicy, *, first: int) -> dict[str, LifePolicy]:
    """Rules of thumb that are always tried, by name; those that come to the same as another are left out."""
    rules = {
        "never": never(),
        "every window": every(1, first=first),
        "every window, newest alone": every(1, first=first, of="1"),
        "every second window": every(2, first=first),
        "PSI > 0.2": psi_over(PSI_LIMIT, rows),
        "KS p < 0.05": ks_under(KS_LEVEL, rows),
    }
    by_month = monthly(windows, own.timezone)
    nothing = np.zeros(0, dtype=np.int64)
    if not all(by_month.due(number, nothing, nothing) for number in range(first, len(windows))):
        rules["monthly"] = by_month
    # Their gate has one part: a challenger fitted before the window, as is commonly done.
    bare = ProbePolicy(folds=1)
    policies = {
        name: LifePolicy(own.metric, probe=bare, gate=None, rule=rule, timezone=own.timezone)
        for name, rule in rules.items()
    }
    gated = replace(policies["every window"], gate=TWO_PERCENT, gate_window=own.gate_window)
    return {**policies, "+2 % gate": gated}


def backtest(
    fits: Callable[[LifePolicy], Fits],
    windows: Sequence[Window],
    policies: Mapping[str, LifePolicy],
    *,
    first: int,
    judge: Metric,
    money: Metric | None,
    progress: Callable[[str], None] = lambda _: None,
) -> Backtest:
    """Live through history once under each policy.

    Args:
        fits: the fits that a policy's life uses; policies of one recipe share them.
        windows: adjacent monitoring windows.
        policies: by name, the present one among them.
        first: how many windows the first model is fitted on.
        judge: what the model is judged by.
        money: profit by the cost table; None without one.
        progress: told the policy at the end of each of its windows.

    Raises:
        CannotJudge: no window after the first can be scored.
        CannotTrain: the first windows allow no model.
    """
    rows = fits(policies[PRESENT]).rows
    inside = [np.flatnonzero(window.contains(rows.times)) for window in windows[first:]]
    tried = []
    for name, policy in policies.items():
        its = fits(policy)
        life = live(rows, windows, its, policy, first=first, progress=lambda name=name: progress(name))  # type: ignore[misc]
        tried.append(_tried(name, life, its, inside, judge=judge, money=money))
    counts = np.array([len(where) for where in inside], dtype=np.float64)
    outcomes = [_held_against(outcome, tried[0], counts, judge, len(tried) - 1) for outcome in tried]
    outcomes = [replace(outcome, on_frontier=_on_frontier(outcome, outcomes)) for outcome in outcomes]
    own = policies[PRESENT]
    zone = own.timezone
    return Backtest(
        metric=judge.name,
        windows=tuple(window.label(zone) for window in windows[first:]),
        rows=int(counts.sum()),
        tried=tuple(outcomes),
        recommendation=recommend(outcomes, judge, price=own.retrain.min_gain),
    )


def _tried(name: str, life: Life, fits: Fits, inside: Sequence[Any], *, judge: Metric, money: Metric | None) -> Tried:
    values: list[float | None] = []
    earned: list[float | None] = []
    for period, where in zip(life.periods, inside, strict=True):
        if not len(where):
            values.append(None)
            earned.append(None)
            continue
        ((scores, _),) = fits.scores([(life.versions[period.served_by].rows, where)])
        values.append(_value(judge, fits.rows.y[where], scores))
        earned.append(None if money is None else _value(money, fits.rows.y[where], scores))
    counts = [len(where) for where in inside]
    mean = _mean(values, counts)
    if mean is None:
        raise CannotJudge(
            f"{judge.name} cannot be computed in any window after the first model's",
            "Land more history, or start the backtest later (--first)",
        )
    return Tried(
        name=name,
        trainings=life.trainings,
        updates=life.updates,
        seconds=sum(life.seconds),
        metric=mean,
        loss=judge.loss(mean),
        money=_mean(earned, counts),
        by_window=tuple(values),
    )


def _value(judge: Metric, y: Any, scores: Any) -> float | None:
    try:
        return float(judge.score(y, scores))
    except CannotJudge:
        # A window of one class, say.
        return None


def _mean(values: Sequence[float | None], counts: Sequence[int]) -> float | None:
    known = [(value, count) for value, count in zip(values, counts, strict=True) if value is not None]
    if not known:
        return None
    return float(np.average([value for value, _ in known], weights=[count for _, count in known]))


def _held_against(outcome: Tried, present: Tried, counts: Any, judge: Metric, rivals: int) -> Tried:
    if outcome is present:
        return outcome
    pairs = list(zip(present.by_window, outcome.by_window, counts, strict=True))
    known = [place for place, (a, b, _) in enumerate(pairs) if a is not None and b is not None]
    gains = np.array([judge.gain(a, b) for a, b, _ in pairs if a is not None and b is not None])
    weights = np.array([pairs[place][2] for place in known])
    if not len(gains):
        return outcome
    mean = float(np.average(gains, weights=weights))
    try:
        confidence, at = 1.0 - LEVEL / rivals, np.array(known, dtype=np.float64)
        span = sums_interval(mean, weights * (gains - mean), weights, confidence=confidence, at=at)
    except CannotJudge:
        # Fewer than eight windows; the recommendation says so.
        return outcome
    return replace(outcome, against=Against(mean, span.lower, span.upper))


def _on_frontier(outcome: Tried, all_tried: Sequence[Tried]) -> bool:
    return not any(
        other.trainings <= outcome.trainings
        and other.loss <= outcome.loss
        and (other.trainings, other.loss) != (outcome.trainings, outcome.loss)
        for other in all_tried
    )


def recommend(tried: Sequence[Tried], judge: Metric, *, price: float) -> Recommendation:
    """What follows from the comparison, in this order.

    A policy that is surely better than the present one: the one with the highest lower bound. Else one that trains
    less and is surely not worse by more than the price of a training: the one that trains least. Else the present one.

    Args:
        tried: the present policy first.
        judge: what the model is judged by.
        price: `retrain.min_gain`, a share of the loss.
    """
    present = tried[0]
    others = [(outcome, outcome.against) for outcome in tried[1:] if outcome.against is not None]
    if not others:
        count = sum(value is not None for value in present.by_window)
        return Recommendation(
            present.name,
            f"Cannot judge: {count} windows were lived through and {MIN_BLOCKS} are needed to hold one policy against "
            "another. Keep the present one; shorten monitoring.window, or wait for more history.",
        )
    nearest, against = max(others, key=lambda pair: pair[1].lower)
    if against.lower > 0.0:
        return Recommendation(
            nearest.name,
            f"Take “{nearest.name}”: it would surely have been better than the present policy, "
            f"{_gain_in_words(nearest, against, present, judge)}.",
        )
    allowed = price * abs(present.loss)
    cheaper = [pair for pair in others if pair[0].trainings < present.trainings and pair[1].lower > -allowed]
    if cheaper:
        least, against = min(cheaper, key=lambda pair: (pair[0].trainings, pair[0].loss))
        return Recommendation(
            least.name,
            f"No policy is surely better than the present one, and “{least.name}” is surely not worse by more than the "
            f"price of a training ({price:.1%} of the loss): {_gain_in_words(least, against, present, judge)}.",
        )
    return Recommendation(
        present.name,
        f"Keep the present policy: no other is surely better. Nearest comes “{nearest.name}”, "
        f"{_gain_in_words(nearest, against, present, judge)}.",
    )


def _gain_in_words(outcome: Tried, against: Against, present: Tried, judge: Metric) -> str:
    trainings = f"{outcome.trainings} training{'' if outcome.trainings == 1 else 's'} against {present.trainings}"
    return (
        f"a gain in {judge.name} of {against.gain:+.4f} (interval {against.lower:+.4f} to {against.upper:+.4f}) with "
        f"{trainings}"
    )
