"""The platform's life in a world, its rivals', and what they lost by the truth.

What lives here: running lives and rivals, and the figures of one run. What does not: worlds (`worlds`), bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.drift import FeatureDrift, Grid, Profile, compare
from mlops_assets.core.life import Life, LifePolicy, live
from mlops_assets.core.metrics import metric
from mlops_assets.core.policy import RetrainPolicy
from mlops_assets.core.probe import Candidate
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


RIVALS: dict[str, tuple[str, int]] = {
    "never": ("expanding", 0),
    "expanding": ("expanding", 1),
    "expanding, every second": ("expanding", 2),
    "rolling": ("4", 1),
    "rolling, every second": ("4", 2),
}
"""Training window, and how many windows pass between two retrainings (0: never)."""


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
    life = live(world.rows, world.windows, world.learner, policy, first=FIRST, healthy=health(world))
    judge = metric(world.metric)
    oracle = {k: world.oracle(k, oracle_rows) for k in range(FIRST, COUNT)}

    def loss(model: Any, k: int) -> float:
        x, y = oracle[k]
        return judge.loss(judge.score(y, model(x)))

    cache: dict[tuple[int, int], float] = {}

    def of_version(number: int, k: int) -> float:
        if (number, k) not in cache:
            cache[number, k] = loss(life.versions[number].model, k)
        return cache[number, k]

    losses = {"platform": np.array([of_version(p.served_by, FIRST + i) for i, p in enumerate(life.periods)])}
    updates = {"platform": life.updates}
    for name, (window, every) in RIVALS.items():
        due = lambda k, every=every: bool(every) and (k - FIRST) % every == 0  # noqa: E731
        losses[name], updates[name] = _rival(world, window, due, loss)
    for name, due in peers(world).items():
        losses[name], updates[name] = _rival(world, "expanding", due, loss)
    return Outcome(life, losses, updates)


def peers(world: World) -> dict[str, Callable[[int], bool]]:
    """Rules of thumb: retrain on all history, without a gate, when an input of the window before has drifted."""
    rows, windows = world.rows, world.windows
    of = np.searchsorted([w.start.timestamp() for w in windows], rows.times.as_unit("us").asi8 / 1e6, side="right") - 1
    reference = pd.DataFrame(rows.x[of < FIRST])
    grid = Grid.from_reference(reference.rename(columns=str))
    known = Profile.of(grid, reference.rename(columns=str))

    def drifted(k: int) -> list[FeatureDrift]:
        return compare(known, Profile.of(grid, pd.DataFrame(rows.x[of == k - 1]).rename(columns=str)))

    found = {k: drifted(k) for k in range(FIRST + 1, COUNT)}
    return {
        "PSI over 0.2": lambda k: any((one.psi or 0.0) > 0.2 for one in found.get(k, ())),
        "KS p < 0.05": lambda k: any((one.ks_p or 1.0) < 0.05 for one in found.get(k, ())),
    }


def _rival(
    world: World, window: str, due: Callable[[int], bool], loss: Callable[[Any, int], float]
) -> tuple[np.ndarray, int]:
    rows, windows = world.rows, world.windows
    out, model, updates = [], None, 0
    for k in range(FIRST, COUNT):
        if model is None or due(k):
            use = rows.known < windows[k].start
            if window != "expanding":
                use &= rows.times >= windows[k].start - int(window) * (windows[0].end - windows[0].start)
            fit = np.flatnonzero(use)
            if len(fit) > 50:
                updates += model is not None
                model = world.learner(rows.x[fit], rows.y[fit])
        out.append(loss(model, k))
    return np.array(out), updates


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
