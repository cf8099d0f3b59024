"""The platform's life in a world, its rivals', and what they lost by the truth.

What lives here: running lives and rivals, and the figures of one run. What does not: worlds (`worlds`), bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from mlops_assets.core.fits import Fits
from mlops_assets.core.life import Life, LifePolicy, live
from mlops_assets.core.metrics import metric
from mlops_assets.core.policy import RetrainPolicy
from mlops_assets.core.probe import Candidate
from mlops_assets.core.rivals import KS_LEVEL, PSI_LIMIT, Rule, every, ks_under, never, psi_over
from tests.scenarios.worlds import CHANGE, COUNT, DAYS, FIRST, World


@dataclass(frozen=True)
class Outcome:
    """One world lived through.

    Attributes:
        life: what the platform did.
        losses: strategy -> true loss in each lived window (`platform` among them).
        updates: strategy -> how often it brought another model into production.
    """

    life: Life
    losses: dict[str, np.ndarray]
    updates: dict[str, int]


RIVALS: dict[str, Rule] = {
    "never": never(),
    "expanding": every(1, first=FIRST),
    "expanding, every second": every(2, first=FIRST),
    "rolling": every(1, first=FIRST, of="4"),
    "rolling, every second": every(2, first=FIRST, of="4"),
}
"""What the platform is held against: never, and by the calendar, on all history and on the newest four windows."""


def health(world: World) -> Any:
    """A contract as it is proposed from the first windows: the range of each column, doubled, and its missing share."""
    rows, windows = world.rows, world.windows
    starts = np.array([window.start.timestamp() for window in windows])
    of = np.searchsorted(starts, rows.times.as_unit("us").asi8 / 1e6, side="right") - 1
    known = rows.x[of < FIRST]
    low, high = known.min(axis=0), known.max(axis=0)
    low, high = low - (high - low), high + (high - low)

    def check(number: int) -> str:
        x = rows.x[of == number]
        missing = np.isnan(x).mean(axis=0).max()
        outside = ((x < low) | (x > high)).mean(axis=0).max()
        if missing > 0.01:
            return f"{missing:.0%} of a column are missing, and none was before."
        return f"{outside:.1%} of a column's values are out of range." if outside > 0.005 else ""

    return check


def lived(world: World, policy: LifePolicy | None = None, *, oracle_rows: int = 20_000) -> Outcome:
    """Run the platform's life and its rivals', and score all by the truth."""
    policy = policy or LifePolicy(metric=world.metric, retrain=RetrainPolicy(window=timedelta(days=DAYS)))
    judge, fits = metric(world.metric), Fits(world.rows, world.learner)
    oracle = {k: world.oracle(k, oracle_rows) for k in range(FIRST, COUNT)}

    def loss(model: Any, k: int) -> float:
        x, y = oracle[k]
        return judge.loss(judge.score(y, model(x)))

    def losses(life: Life) -> np.ndarray:
        served = enumerate(life.periods, start=FIRST)
        return np.array([loss(life.versions[period.served_by].model, k) for k, period in served])

    lives = {"platform": live(world.rows, world.windows, fits, policy, first=FIRST, healthy=health(world))}
    for name, rule in (RIVALS | peers(world)).items():
        lives[name] = live(world.rows, world.windows, fits, replace(policy, rule=rule, gate=None), first=FIRST)
    return Outcome(
        lives["platform"],
        {name: losses(life) for name, life in lives.items()},
        {name: life.updates for name, life in lives.items()},
    )


def peers(world: World) -> dict[str, Rule]:
    """Rules of thumb: retrain on all history, without a gate, when an input of the window before has drifted."""
    return {"PSI over 0.2": psi_over(PSI_LIMIT, world.rows), "KS p < 0.05": ks_under(KS_LEVEL, world.rows)}


def regret(outcome: Outcome) -> tuple[str, float]:
    """The best of the rivals that retrain by the calendar or never, and how much more the platform lost, as a share."""
    best = min(RIVALS, key=lambda name: outcome.losses[name].mean())
    return best, float(outcome.losses["platform"].mean() / outcome.losses[best].mean() - 1)


def served_the_change_by(outcome: Outcome, world: World) -> float:
    """In which matured changed window (1: the first) a model that had seen changed rows became champion."""
    change = world.windows[CHANGE].start
    length = world.windows[0].end - world.windows[0].start
    for number, period in enumerate(outcome.life.periods, start=FIRST):
        if period.promoted is None:
            continue
        if outcome.life.versions[period.promoted].fitted_until > change + world.delay:
            return number - CHANGE + 1 - round(world.delay / length)
    return math.inf


def false_retrainings(outcome: Outcome, world: World, rows: int = 20_000) -> int:
    """Retrainings for a gain whose true gain, by the oracle of the window in which they began, is under the price."""
    judge, found = metric(world.metric), 0
    for number, period in enumerate(outcome.life.periods, start=FIRST):
        if period.decision.rule != "gain":
            continue
        x, y = world.oracle(number, rows)
        kept = outcome.life.versions[period.served_by].model
        now, window = world.windows[number].end, Candidate.parse(period.decision.candidate or "").of
        use = np.asarray(world.rows.known < now)
        if window != "expanding":
            newest = world.rows.times[np.flatnonzero(use)[-1]]
            use &= np.asarray(world.rows.times > newest - int(window) * (now - world.windows[number].start))
        fit = np.flatnonzero(use)
        refitted = world.learner(world.rows.x[fit], world.rows.y[fit])
        before, after = (judge.loss(judge.score(y, model(x))) for model in (kept, refitted))
        found += (before - after) / before < 0.01
    return found
