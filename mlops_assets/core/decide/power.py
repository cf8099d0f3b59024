"""Power: the smallest decay that would be seen, so that "no alarm" means something.

Here: the noise of one window's value, from days of recent ones, and the smallest true drop at which a rule fires with
95 % probability. Not here: the rules themselves (`performance.window_metrics`, `probe`), reading recent windows
(`steps.decide.power`).

Both rules hold an estimate against a limit and ask for an interval besides. With d the true drop, se its standard error
by days and df the degrees of freedom, the estimate is d + se z, its estimated standard error se s with
s^2 ~ chi^2_df / df, and the rule fires when

    d + se z > floor    and    d + se z > bar + t se s,

t being Student's quantile at the rule's level. So P(fires | d) = E_s Phi((d - max(floor, bar + t se s)) / se), the mean
over s taken at equally likely values of s; without a floor this is the noncentral t distribution (Cohen 1988). The
smallest decay seen is the d at which it is 0.95. `performance_holds` has floor = max_drop times the reference,
bar = 0 and t at 0.975; the probe has bar = the price of a training and t at each span's level (`stats.nested_tests`),
times the factor by which the memory of days widens the interval at present (`stats.autocorrelation`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mlops_assets.core.decide.judged_window import KEEP
from mlops_assets.core.decide.looks.pooled_gains import SPANS
from mlops_assets.core.decide.probe import CHOSEN, SHARES, memory_of_days
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Look
from mlops_assets.core.decide.promised_gains import leading
from mlops_assets.core.performance.policy import PerformancePolicy
from mlops_assets.core.stats.autocorrelation import remembered
from mlops_assets.core.stats.intervals import MIN_BLOCKS, Array, CannotJudge, sums_interval, t_quantile
from mlops_assets.core.stats.metrics import Metric
from mlops_assets.core.stats.nested_tests import level_of_each

POWER = 0.95
"""With which probability a decay must be seen."""
STEPS = 512
"""Equally likely values that the mean over the estimated standard error is taken at."""
CHECK_CONFIDENCE = 0.95
"""Of the two-sided interval that the performance check asks for."""


@dataclass(frozen=True)
class Part:
    """One recent window: a value, and influence values summed by day with the days' rows, both of shape (days,)."""

    value: float
    sums: Array
    sizes: Array


@dataclass(frozen=True)
class Noise:
    """What a value of one window varies by.

    Attributes:
        value: mean over the windows, weighted by rows.
        se: standard error in one window.
        rows: of one window.
        days: of one window.
        equal_days: the number of equally large days that would vary as much (Satterthwaite).
    """

    value: float
    se: float
    rows: float
    days: float
    equal_days: float

    @classmethod
    def of(cls, parts: Sequence[Part]) -> Noise:
        """From the days of recent windows, taken about the mean of all: a window's own value has followed its days.

        Raises:
            CannotJudge: fewer than eight days.
        """
        if not parts:
            raise CannotJudge("no window with labels has matured", "Wait until labels arrive")
        rows = [float(part.sizes.sum()) for part in parts]
        value = float(np.average([part.value for part in parts], weights=rows))
        sums = np.concatenate([part.sums + part.sizes * (part.value - value) for part in parts])
        sizes = np.concatenate([part.sizes for part in parts])
        span = sums_interval(value, sums, sizes)
        count = len(parts)
        return cls(value, span.se * math.sqrt(count), sum(rows) / count, len(sums) / count, (span.df + 1.0) / count)

    def over(self, windows: int) -> tuple[float, float | None]:
        """Standard error and degrees of freedom of so many windows judged as one; None under eight days."""
        df = None if round(self.days * windows) < MIN_BLOCKS else max(1.0, self.equal_days * windows - 1.0)
        return self.se / math.sqrt(windows), df


@dataclass(frozen=True)
class Seen:
    """What one rule would see.

    Attributes:
        what: `performance_holds`, `probe`, or a slice as `column=value`.
        windows: how many windows are judged as one.
        labels: how many labels that is, at the present rate.
        days: and days.
        drop: the smallest decay that would be seen with 95 % probability, in the metric's unit; None where it cannot
            be said.
        share: the same as a share of the reference (the probe: of the champion's loss).
        why: why it cannot be said, and what to do.
    """

    what: str
    windows: int
    labels: int
    days: int
    drop: float | None
    share: float | None
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def smallest_seen(
    se: float,
    df: float | None,
    *,
    floor: float = -math.inf,
    bar: float = -math.inf,
    level: float = 0.025,
    widened: float = 1.0,
) -> float:
    """The true drop at which the estimate is over `floor` and surely over `bar` with 95 % probability.

    Args:
        se: standard error of the drop.
        df: degrees of freedom behind it; None where the rule has no interval and the floor alone decides.
        floor: what the estimate must be over.
        bar: what the estimate's lower bound must be over.
        level: one-sided level of that bound.
        widened: factor by which the memory of days widens the interval.
    """
    from scipy.optimize import brentq
    from scipy.special import gammaincinv, ndtr

    if df is None or bar == -math.inf:
        limits = np.array([floor])
    else:
        ranks = (np.arange(STEPS) + 0.5) / STEPS
        spread = widened * np.sqrt(2.0 * gammaincinv(df / 2.0, ranks) / df)
        limits = np.maximum(floor, bar + t_quantile(1.0 - level, df) * se * spread)
    if se == 0.0:
        return float(limits.max())
    least, most = float(limits.min()), float(limits.max())

    def missing(drop: float) -> float:
        return float(np.mean(ndtr((drop - limits) / se))) - POWER

    return float(brentq(missing, least, most + 5.0 * se))


def performance_power(
    what: str, noise: Noise, judge: Metric, policy: PerformancePolicy, *, reference: float, spans: Sequence[int] = SPANS
) -> list[Seen]:
    """What the performance check would see of a metric that falls from its reference.

    Args:
        what: what is judged.
        noise: of one window.
        judge: the metric.
        policy: the check's limits.
        reference: the value decay is measured from.
        spans: numbers of windows judged as one.
    """
    # A floor over several windows is another rule; the previous version's limit is the wider one.
    rules = [] if policy.max_drop is None else [(policy.max_drop * abs(reference), 0.0)]
    if policy.floor is not None and policy.floor_windows == 1:
        distance = judge.gain(policy.floor, reference)
        rules.append((distance, distance))
    seen = []
    for windows in spans:
        se, df = noise.over(windows)
        labels, days = round(noise.rows * windows), round(noise.days * windows)
        if labels < policy.min_rows:
            why = f"{labels:,} labels, and {policy.min_rows:,} are needed: use longer windows"
            seen.append(Seen(what, windows, labels, days, None, None, why))
            continue
        if not rules:
            why = "neither max_drop nor a floor of one window is set: set one under monitoring.performance"
            seen.append(Seen(what, windows, labels, days, None, None, why))
            continue
        drop = min(
            smallest_seen(se, df if policy.sure else None, floor=floor, bar=bar, level=(1.0 - CHECK_CONFIDENCE) / 2.0)
            for floor, bar in rules
        )
        seen.append(Seen(what, windows, labels, days, drop, drop / abs(reference) if reference else None))
    return seen


def probe_power(looks: Sequence[Look], policy: ProbePolicy, *, price: float, made: int = 0) -> list[Seen]:
    """The smallest gain of a refit that the probe would be sure of.

    The noise is that of the present refits against the present champion. Models that differ more differ more noisily:
    a larger change needs a somewhat larger gain than is said here.

    Args:
        looks: the newest ones.
        policy: how the probe looks.
        price: `retrain.min_gain`, a share of the loss.
        made: looks at the champion so far: where a life shares the level, the next look has less of it.

    Raises:
        CannotJudge: there are no looks with a refit, or fewer than eight days in them.
    """
    lead = leading(looks, policy)
    if not any(lead in look.whole.series for look in looks):
        # One that begins with a change is judged on the newest days alone.
        lead = policy.candidates[0]
    looks = [look for look in looks if lead in look.whole.series]
    series = [look.whole.series[lead] for look in looks]
    noise = Noise.of([Part(s.gain, np.asarray(s.sums), np.asarray(s.sizes)) for s in series])
    loss = float(np.average([look.whole.loss[KEEP] for look in looks], weights=[look.whole.rows for look in looks]))
    chosen = 1.0 if lead == policy.candidates[0] else CHOSEN
    level = level_of_each(SHARES["windows"] * policy.level_of(made + 1) / chosen, SPANS)
    lag_one = memory_of_days(looks, lead, policy)
    seen = []
    for windows in SPANS:
        se, df = noise.over(windows)
        labels, days = round(noise.rows * windows), round(noise.days * windows)
        if df is None:
            why = f"{days} days, and {MIN_BLOCKS} are needed: the probe adds windows up"
            seen.append(Seen("probe", windows, labels, days, None, None, why))
            continue
        widened = 1.0 if lag_one is None else remembered(days, lag_one)
        drop = smallest_seen(se, df, bar=price * loss, level=level, widened=widened)
        seen.append(Seen("probe", windows, labels, days, drop, drop / loss if loss else None))
    return seen


def sentence(seen: Sequence[Seen], metric: str) -> str:
    """What silence of the performance check means, in one sentence."""
    decay = next((s for s in seen if s.what == "performance_holds" and s.drop is not None), None)
    if decay is None or decay.drop is None:
        why = next((s.why for s in seen if s.why), "no window has been judged")
        return f"What no alarm means cannot be said: {why}."
    over = "one window" if decay.windows == 1 else f"{decay.windows} windows taken together"
    share = "" if decay.share is None else f", {decay.share:.1%} of the reference"
    return (
        f"Smallest decay of {metric} that {over} would show with 95 % probability: {decay.drop:.4g}{share} "
        f"({decay.labels:,} labels on {decay.days} days). No alarm does not rule out a smaller one."
    )
