"""Each bar that decisions are held against, as one row: what is asked, what was measured, whether it is met.

What lives here: from the figures of many runs (`tests.scenarios.figures.facts`) to one row a bar. What does not:
running (`decisions`), the bar on equal models in the gate (`aa_gate`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.core.stats.intervals import MIN_BLOCKS, sums_interval
from tests.scenarios.figures import best_rival, regret, regret_interval
from tests.scenarios.lives import ALWAYS, NEVER, PEERS, PLATFORM, RIVALS
from tests.scenarios.worlds import CHANGE, COUNT, FIRST

WINDOWS = COUNT - FIRST
SHOCK, GROWTH, GRADUAL = "one-window shock", "steady growth", "gradual over 6 windows"
FAULTS = ("fault: a tenth missing", "fault: unit changed")
SOUND = "no drift"
"""The same world without a fault."""
STEPS = ("sudden +20 %", "sudden +50 %", "label-rate shift", "price step", "labels two windows late, +20 %")
"""Changes that come in one window and stay."""
LOUD = 0.195
"""A step counts as one of 20 % where the first model's mean loss rises by so much."""
PAYS = 0.1
CALENDAR = ("every fourth window", ALWAYS)
"""Train by the calendar, which promises no gain, as age does."""


@dataclass(frozen=True)
class Run:
    """One world's figures: the scenario, its seed, and by strategy what `facts` has."""

    scenario: str
    seed: int
    facts: Mapping[str, Mapping[str, Any]]

    @property
    def losses(self) -> dict[str, np.ndarray]:
        """True loss by strategy and window."""
        return {name: np.asarray(one["losses"]) for name, one in self.facts.items()}


Runs = Mapping[str, Sequence[Run]]
"""By scenario."""


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        what: is measured.
        asked: in words.
        measure: runs and a strategy -> the figure in words, and whether it is met; None where nothing can be said.
    """

    what: str
    asked: str
    measure: Callable[[Runs, str], tuple[str, bool] | None]


def rows(runs: Runs) -> list[tuple[str, ...]]:
    """The bars as rows of a table: what, asked, measured, met, and each peer's figure."""
    found = []
    for bar in BARS:
        mine = bar.measure(runs, PLATFORM)
        if mine is None:
            continue
        others = (bar.measure(runs, name) for name in PEERS)
        found.append(
            (bar.what, bar.asked, mine[0], "yes" if mine[1] else "**no**", *(one[0] if one else "" for one in others))
        )
    return found


HEADER = ("bar", "asked", "measured", "met", *PEERS)


def mean_losses(runs: Sequence[Run]) -> dict[str, float]:
    """Loss of each strategy over all windows and seeds."""
    return {name: float(np.mean([run.losses[name].mean() for run in runs])) for name in runs[0].facts}


def never_loses(runs: Sequence[Run]) -> float:
    """How much more than the best rival the first model loses, as a share."""
    losses = mean_losses(runs)
    return losses[NEVER] / min(losses[name] for name in RIVALS) - 1


def closed(runs: Sequence[Run], name: str = PLATFORM) -> float:
    """Share of the gap between never and the best rival that a strategy closes."""
    losses = mean_losses(runs)
    best = min(losses[rival] for rival in RIVALS)
    return 1 - (losses[name] - best) / (losses[NEVER] - best)


def of(runs: Sequence[Run], name: str, figure: str) -> np.ndarray:
    """One figure of a strategy, by seed; what never came is infinite."""
    return np.array(
        [np.inf if run.facts[name][figure] is None else run.facts[name][figure] for run in runs], dtype=float
    )


def update_share(runs: Sequence[Run], name: str = PLATFORM) -> float:
    """Models brought into production, beside always retraining."""
    return float(of(runs, name, "updates").sum() / of(runs, ALWAYS, "updates").sum())


def loud(runs: Sequence[Run]) -> bool:
    """Whether the first model loses a fifth more from the change on."""
    by_window = np.mean([run.losses[NEVER] for run in runs], axis=0)
    return bool(by_window[CHANGE - FIRST :].mean() >= (1 + LOUD) * by_window[: CHANGE - FIRST].mean())


# ---------------------------------------- the bars


def _in_time(runs: Runs, name: str) -> tuple[str, bool] | None:
    shares = {k: float((of(runs[k], name, "answered") <= 2).mean()) for k in STEPS if k in runs and loud(runs[k])}
    return _worst(shares, min, lambda share: share >= 0.95)


def _gradual(runs: Runs, name: str) -> tuple[str, bool] | None:
    if GRADUAL not in runs:
        return None
    share = float((of(runs[GRADUAL], name, "answered_shown") <= 3).mean())
    return f"{share:.0%}", share >= 0.95


def _false(runs: Runs, name: str) -> tuple[str, bool] | None:
    if name in CALENDAR:
        return None
    windows = WINDOWS * sum(len(some) for some in runs.values())
    rate = 100 * sum(of(some, name, "false").sum() for some in runs.values()) / windows
    worst = max(runs, key=lambda k: of(runs[k], name, "false").mean())
    most = 100 * of(runs[worst], name, "false").mean() / WINDOWS
    return f"{rate:.2f} of {windows:,} windows; most {most:.1f} ({worst})", rate <= 1.0


def _regret(runs: Runs, name: str) -> tuple[str, bool] | None:
    means = {k: float(np.mean([regret(run.losses, name) for run in some])) for k, some in runs.items()}
    surely = {k: mean for k, mean in means.items() if not _by_chance([regret(run.losses, name) for run in runs[k]])}
    worst = max(means, key=lambda k: means[k])
    told = f"{means[worst]:+.1%} ({worst}{'' if worst in surely else ', which may be chance'})"
    return told, max(surely.values(), default=0.0) <= 0.02


def _by_chance(regrets: Sequence[float]) -> bool:
    """Whether the 95 % interval of the mean over seeds reaches zero."""
    values = np.asarray(regrets)
    if len(values) < MIN_BLOCKS:
        return False
    return sums_interval(float(values.mean()), values - values.mean(), np.ones(len(values))).lower <= 0.0


def _regret_of_runs(runs: Runs, name: str) -> tuple[str, bool] | None:
    def holds(run: Run) -> bool:
        return regret(run.losses, name) <= 0.02 or regret_interval(run.losses, name).lower <= 0.0

    shares = {k: float(np.mean([holds(run) for run in some])) for k, some in runs.items()}
    return _worst(shares, min, lambda share: share >= 0.95)


def _closed(runs: Runs, name: str) -> tuple[str, bool] | None:
    shares = {k: closed(some, name) for k, some in runs.items() if never_loses(some) >= PAYS}
    return _worst(shares, min, lambda share: share >= 0.9)


def _updates_where_it_pays(runs: Runs, name: str) -> tuple[str, bool] | None:
    shares = {k: update_share(some, name) for k, some in runs.items() if k != GROWTH and never_loses(some) >= PAYS}
    return _worst(shares, max, lambda share: share <= 0.4)


def _updates_in_growth(runs: Runs, name: str) -> tuple[str, bool] | None:
    shares = {k: update_share(some, name) for k, some in runs.items() if k == GROWTH}
    return _worst(shares, max, lambda share: share <= 0.5)


def _updates_where_it_does_not_pay(runs: Runs, name: str) -> tuple[str, bool] | None:
    shares = {k: update_share(some, name) for k, some in runs.items() if never_loses(some) < PAYS}
    return _worst(shares, max, lambda share: share <= 0.1)


def _cost(runs: Runs, name: str) -> tuple[str, bool] | None:
    mine, always = ({k: of(some, who, "rows").sum() for k, some in runs.items()} for who in (name, ALWAYS))
    share = float(sum(mine.values()) / sum(always.values()))
    worst = max(runs, key=lambda k: mine[k] / always[k])
    return f"{share:.0%}; most {mine[worst] / always[worst]:.0%} ({worst})", share <= 0.5


def _shock_retrainings(runs: Runs, name: str) -> tuple[str, bool] | None:
    if SHOCK not in runs:
        return None
    begun = np.array([sum(k >= CHANGE for k in run.facts[name]["trained_for_a_gain"]) for run in runs[SHOCK]])
    share = float((begun <= 2).mean())
    return f"{share:.0%} (mean {begun.mean():.1f})", share >= 0.95


def _shock_back(runs: Runs, name: str) -> tuple[str, bool] | None:
    if SHOCK not in runs:
        return None
    share = float((of(runs[SHOCK], name, "back_after") <= 2).mean())
    return f"{share:.0%}", share >= 0.95


def _shock_life(runs: Runs, name: str) -> tuple[str, bool] | None:
    if SHOCK not in runs:
        return None
    more = np.array([run.losses[name].mean() / run.losses[NEVER].mean() - 1 for run in runs[SHOCK]])
    return f"{more.mean():+.1%} (within in {(more <= 0.03).mean():.0%})", bool(more.mean() <= 0.03)


def _promotions(figure: str, most: float, *, without: str = "") -> Callable[[Runs, str], tuple[str, bool] | None]:
    def measure(runs: Runs, name: str) -> tuple[str, bool] | None:
        counted = [some for scenario, some in runs.items() if scenario != without]
        made = sum(of(some, name, "promotions").sum() for some in counted)
        if not made:
            return None
        worse = sum(of(some, name, figure).sum() for some in counted) / made
        return f"{worse:.1%} of {made:,.0f}", bool(worse <= most)

    return measure


def _fault(runs: Runs, name: str) -> tuple[str, bool] | None:
    some = [run for k in FAULTS for run in runs.get(k, ())]
    if not some:
        return None
    sound = {run.seed: _after_the_change(run, name) for run in runs.get(SOUND, ())}
    begun = sum(CHANGE in run.facts[name]["trained_for_a_gain"] for run in some)
    after = sum(_after_the_change(run, name) for run in some)
    anyway = sum(sound.get(run.seed, 0) for run in some)
    told = f"{begun} at the fault, {after} after it ({anyway} in the same worlds without one), in {len(some)} runs"
    return told, begun == 0 and after <= anyway


def _after_the_change(run: Run, name: str) -> int:
    """Trainings for a gain in later windows than the one in which things change."""
    return sum(k > CHANGE for k in run.facts[name]["trained_for_a_gain"])


def _worst(
    shares: Mapping[str, float], worst: Callable[..., str], met: Callable[[float], bool], *, sign: str = ".0%"
) -> tuple[str, bool] | None:
    """The least (or greatest) of some scenarios' figures, with its name."""
    if not shares:
        return None
    name = worst(shares, key=lambda k: shares[k])
    return f"{shares[name]:{sign}} ({name})", met(shares[name])


BARS = (
    Bar("sudden change of 20 % or more answered by the end of the 2nd matured window", "95 % of runs", _in_time),
    Bar("gradual change answered within 3 windows of the loss being 10 % up", "95 % of runs", _gradual),
    Bar("false retrainings per 100 windows, pooled", "at most 1", _false),
    Bar("regret against the best rival, mean of a scenario over its seeds", "at most 2 %, or chance", _regret),
    Bar("runs with regret of at most 2 %, or inside the paired interval", "95 % of runs", _regret_of_runs),
    Bar("gap closed where never loses 10 % or more", "at least 90 %", _closed),
    Bar("updates there, beside always", "at most 40 %", _updates_where_it_pays),
    Bar("updates in steady growth, beside always", "at most 50 %", _updates_in_growth),
    Bar("updates where retraining does not pay, beside always", "at most 10 %", _updates_where_it_does_not_pay),
    Bar("rows fitted in trainings and looks, beside always, pooled", "at most 50 %", _cost),
    Bar(
        "shock of one window: at most 2 retrainings after it (age and growth apart)",
        "95 % of runs",
        _shock_retrainings,
    ),
    Bar("shock: on the old or an equal model within 2 windows of its end", "95 % of runs", _shock_back),
    Bar("shock: loss of the life over never's", "at most 3 %", _shock_life),
    Bar("promotions surely worse in the next window", "at most 5 %", _promotions("surely_worse", 0.05)),
    Bar(
        "the same, without those that answer a shock of one window",
        "at most 5 %",
        _promotions("surely_worse", 0.05, without=SHOCK),
    ),
    Bar("promotions truly worse in the next window", "at most 10 %", _promotions("truly_worse", 0.10)),
    Bar("retrainings on a data fault (age and growth apart)", "none that it causes", _fault),
)
"""In the order of the brief."""

__all__ = ["BARS", "HEADER", "Run", "Runs", "best_rival", "closed", "mean_losses", "never_loses", "of", "rows"]
