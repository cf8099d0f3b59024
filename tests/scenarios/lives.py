"""The platform's life in a world, its rivals' and those by rules of thumb, and what each lost by the truth.

What lives here: running lives. What does not: worlds (`worlds`), the truth (`oracle`), figures of a run (`figures`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.simulate.backtest import TWO_PERCENT
from mlops_assets.core.simulate.life import live
from mlops_assets.core.simulate.life_settings import Life, LifePolicy
from mlops_assets.core.simulate.rules_of_thumb import Rule, every, never
from mlops_assets.core.simulate.shared_fits import Fits
from mlops_assets.onboarding.ranges import SHARE, TAIL, widened
from tests.scenarios.oracle import Oracle
from tests.scenarios.peers import ks_on_any_feature, psi_on_any_feature
from tests.scenarios.worlds import COUNT, DAYS, FIRST, World

PLATFORM, NEVER, ALWAYS = "platform", "never", "expanding"
RIVALS: dict[str, Rule] = {
    NEVER: never(),
    ALWAYS: every(1, first=FIRST),
    "expanding, every second": every(2, first=FIRST),
    "rolling": every(1, first=FIRST, of="4"),
    "rolling, every second": every(2, first=FIRST, of="4"),
}
"""What the platform is held against: never, and by the calendar, on all history and on the newest four windows."""
PEERS = ("PSI over 0.2", "KS p < 0.05", "every fourth window", "+2 % gate")


@dataclass(frozen=True, eq=False)
class Outcome:
    """One world lived through.

    Attributes:
        world: the world.
        oracle: its truth.
        fits: what was fitted.
        lives: by strategy, `platform` first, then rivals, then peers.
        losses: strategy -> true loss in each lived window.
    """

    world: World
    oracle: Oracle
    fits: Fits
    lives: dict[str, Life]
    losses: dict[str, np.ndarray]

    @property
    def life(self) -> Life:
        """The platform's."""
        return self.lives[PLATFORM]


def health(world: World) -> Any:
    """The contract that `mlops new-model` proposes from the first windows: usual ranges, and no missing value."""
    known = world.rows.x[: FIRST * world.labels]
    low, high = np.transpose([widened(*np.quantile(column, [TAIL, 1 - TAIL])) for column in known.T])

    def check(number: int) -> str:
        x = world.rows.x[number * world.labels : (number + 1) * world.labels]
        missing = np.isnan(x).mean(axis=0).max()
        outside = ((x < low) | (x > high)).mean(axis=0).max()
        if missing > 0.0:
            return f"{missing:.0%} of a column are missing, and none was before."
        return f"{outside:.1%} of a column's values are out of range." if outside > SHARE else ""

    return check


def lived(
    world: World, policy: LifePolicy | None = None, *, oracle_rows: int = 10_000, all_peers: bool = True
) -> Outcome:
    """Run the platform's life, its rivals' and its peers', and score all by the truth."""
    policy = policy or LifePolicy(metric=world.metric, retrain=RetrainPolicy(window=timedelta(days=DAYS)))
    fits, oracle = Fits(world.rows, world.learner), Oracle(world, oracle_rows)
    agreed = {name: replace(policy, rule=rule, gate=None) for name, rule in RIVALS.items()}
    if all_peers:
        agreed |= peers(world, policy)
    lives = {PLATFORM: live(world.rows, world.windows, fits, policy, first=FIRST, healthy=health(world))}
    for name, other in agreed.items():
        lives[name] = live(world.rows, world.windows, fits, other, first=FIRST)
    losses = {name: served(oracle, life) for name, life in lives.items()}
    return Outcome(world, oracle, fits, lives, losses)


def served(oracle: Oracle, life: Life) -> np.ndarray:
    """True loss of whoever served, by window."""
    by = [life.versions[period.served_by].model for period in life.periods]
    return np.array([oracle.loss(model, k) for k, model in zip(range(FIRST, COUNT), by, strict=True)])


def peers(world: World, policy: LifePolicy) -> dict[str, LifePolicy]:
    """Rules of thumb, all on all history.

    Two ring when an input of the window before has drifted, one goes by the calendar (a month, were a window a week),
    one trains at every window behind a gate of two percent by the point estimate, on a challenger fitted before the
    window that is judged.
    """
    rules = (psi_on_any_feature(world.rows), ks_on_any_feature(world.rows), every(4, first=FIRST))
    found = {name: replace(policy, rule=rule, gate=None) for name, rule in zip(PEERS, rules, strict=False)}
    gated = replace(policy, rule=RIVALS[ALWAYS], gate=TWO_PERCENT, probe=replace(policy.probe, folds=1))
    return {**found, PEERS[-1]: gated}
