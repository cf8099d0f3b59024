"""What a run is judged by: how soon, how needlessly, how well, at what cost.

What lives here: figures of one strategy in one world. What does not: lives (`lives`), means over seeds and the bars
(benchmarks/decisions.py).
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np

from mlops_assets.core.decide.probe_result import Candidate
from mlops_assets.core.models.refit_rows import Calendar
from mlops_assets.core.models.training_settings import TrainingSettings
from mlops_assets.core.simulate.known_labels import SEED
from mlops_assets.core.simulate.life_settings import Life, Period
from mlops_assets.core.stats.comparison import paired
from mlops_assets.core.stats.intervals import Interval, sums_interval
from mlops_assets.core.time.windows import Window, microseconds
from tests.scenarios.lives import ALWAYS, NEVER, PLATFORM, RIVALS, Outcome
from tests.scenarios.worlds import CHANGE, COUNT, FIRST, World

MIN_GAIN = 0.01
"""`retrain.min_gain` as it is by default."""
SHOWN = 0.1
"""A gradual change counts from when the first model loses so much more."""


def best_rival(losses: dict[str, np.ndarray]) -> str:
    """Who lost least of those that go by the calendar, or never train."""
    return min(RIVALS, key=lambda name: losses[name].mean())


def regret(losses: dict[str, np.ndarray], name: str = PLATFORM) -> float:
    """How much more than the best rival a strategy lost, as a share."""
    return float(losses[name].mean() / losses[best_rival(losses)].mean() - 1)


def regret_interval(losses: dict[str, np.ndarray], name: str = PLATFORM) -> Interval:
    """The paired difference to the best rival, as a share of its loss, with its 95 % interval; a block is a window."""
    best = losses[best_rival(losses)]
    share = (losses[name] - best) / best.mean()
    return sums_interval(float(share.mean()), share - share.mean(), np.ones(len(share)))


def answered(life: Life, world: World) -> float:
    """Number of the window at whose end a model that had trained on changed rows became champion."""
    change = world.windows[CHANGE].start + world.delay
    numbers = [k for k, one in enumerate(life.periods, start=FIRST) if one.promoted and _until(life, one) > change]
    return numbers[0] if numbers else math.inf


def _until(life: Life, period: Period) -> datetime:
    return life.versions[period.promoted or 0].fitted_until


def in_how_many_windows(life: Life, world: World) -> float:
    """In which matured changed window (1: the first) a model that had seen changed rows became champion."""
    length = world.windows[0].end - world.windows[0].start
    return answered(life, world) - CHANGE + 1 - round(world.delay / length)


def in_how_many_shown(outcome: Outcome, name: str = PLATFORM) -> float:
    """The same, counted from the first window in which the first model loses a tenth more than before the change."""
    losses = outcome.losses[NEVER]
    before = losses[: CHANGE - FIRST].mean()
    shown = [k for k in range(CHANGE, FIRST + len(losses)) if losses[k - FIRST] >= (1 + SHOWN) * before]
    return answered(outcome.lives[name], outcome.world) - shown[0] + 1 if shown else -math.inf


def training_rows(world: World, number: int, of: str, *, usable: np.ndarray | None = None) -> np.ndarray:
    """Rows that a training at the end of a window fits on.

    Args:
        world: the world.
        number: of the window.
        of: the calendar.
        usable: windows that may be fitted on, by number; by default all.
    """
    now: Window = world.windows[number]
    use = np.asarray(world.rows.known < now.end)
    if usable is not None:
        use &= np.repeat(usable, world.labels)
    if not use.any():
        return np.flatnonzero(use)
    end = world.rows.times[np.flatnonzero(use)[-1]].to_pydatetime() + timedelta(microseconds=1)
    calendar, length = Calendar.parse(of), now.end - now.start
    start = calendar.start(before=end, end=end, length=length, timezone="UTC")
    times = world.rows.times.as_unit("us").asi8
    use &= calendar.chosen(
        times,
        np.random.default_rng(SEED).random(len(times)),
        start=None if start is None else microseconds(start),
        before=microseconds(end),
        length=length // timedelta(microseconds=1),
    )
    return np.flatnonzero(use)


def trained_rows(outcome: Outcome, name: str, number: int, period: Period) -> np.ndarray:
    """Rows that the training which began at the end of a period fits on, let through or not."""
    if period.promoted is not None:
        return outcome.lives[name].versions[period.promoted].rows
    if period.decision is None:
        return training_rows(outcome.world, number, "expanding")
    of = Candidate.parse(period.decision.candidate or "refit:expanding").of
    good = np.ones(len(outcome.world.windows), dtype=bool)
    for k, one in enumerate(outcome.life.periods, start=FIRST):
        good[k] = one.decision is None or one.decision.action != "quarantine"
    return training_rows(outcome.world, number, of, usable=good)


def false_retrainings(outcome: Outcome, name: str = PLATFORM) -> int:
    """Trainings whose true gain, by the truth of the window in which they began, is under the price.

    The platform's by age, growth, a definition or a request apart: they start a candidate and promise no gain.
    """
    found = 0
    for number, period in enumerate(outcome.lives[name].periods, start=FIRST):
        if not period.trained or not _for_a_gain(period):
            continue
        if period.promoted is not None:
            model = outcome.lives[name].versions[period.promoted].model
        else:
            model, _ = outcome.fits.model(trained_rows(outcome, name, number, period))
        kept = outcome.lives[name].versions[period.served_by].model
        before, after = (outcome.oracle.loss(one, number) for one in (kept, model))
        found += (before - after) / before < MIN_GAIN
    return found


def promotions(outcome: Outcome, name: str = PLATFORM) -> tuple[int, int, int]:
    """Models that came into production with a window to serve, those surely worse in it by its rows, truly worse.

    Surely: the 95 % interval of the paired difference to the champion before, by days, is wholly on the worse side.
    """
    life, world = outcome.lives[name], outcome.world
    made = surely = truly = 0
    for number, period in enumerate(life.periods[:-1], start=FIRST + 1):
        if period.promoted is None:
            continue
        old, new = (life.versions[version].model for version in (period.served_by, period.promoted))
        rows = slice(number * world.labels, (number + 1) * world.labels)
        x, y, days = world.rows.x[rows], world.rows.y[rows], world.rows.blocks[rows]
        made += 1
        surely += paired(y, old(x), new(x), days, world.metric).upper < 0.0
        truly += outcome.oracle.loss(new, number) > outcome.oracle.loss(old, number)
    return made, surely, truly


def fitted_rows(outcome: Outcome, name: str) -> float:
    """Rows times fits: those of looks and gates once each, and those of trainings as often as the platform tunes.

    A training is taken to try as many recipes as by default, on the rows that validation leaves, and to fit the best.
    """
    default = TrainingSettings()
    life = outcome.lives[name]
    begun = [
        len(trained_rows(outcome, name, number, period))
        for number, period in enumerate(life.periods, start=FIRST)
        if period.trained
    ]
    tuned = default.trials * (1 - default.validation_share) + 1
    return life.fitted_rows[0] + tuned * sum(begun)


def back_after(outcome: Outcome, name: str = PLATFORM, *, equal: float = 0.01) -> float:
    """Windows from the end of a one-window change until the old model, or one as good, serves again.

    Args:
        outcome: a run of a shock.
        name: the strategy.
        equal: a model that loses at most so much more than the first one is as good.
    """
    mine, first = outcome.losses[name], outcome.losses[NEVER]
    for number in range(CHANGE + 1, COUNT):
        if mine[number - FIRST] <= (1 + equal) * first[number - FIRST]:
            return number - CHANGE - 1
    return math.inf


def trained_for_a_gain(life: Life) -> list[int]:
    """Numbers of the windows at whose end a training began for a gain, or because a check failed."""
    return [k for k, one in enumerate(life.periods, start=FIRST) if one.trained and _for_a_gain(one)]


def _for_a_gain(period: Period) -> bool:
    return period.decision is None or period.decision.rule in ("gain", "performance", "drift")


def facts(outcome: Outcome) -> dict[str, dict[str, object]]:
    """All of it in plain values, by strategy."""
    found: dict[str, dict[str, object]] = {}
    for name, life in outcome.lives.items():
        found[name] = {
            "losses": [float(f"{value:.6g}") for value in outcome.losses[name]],
            "trainings": life.trainings,
            "updates": life.updates,
        }
        if name in RIVALS and name != ALWAYS:
            continue
        made, surely, truly = promotions(outcome, name)
        found[name] |= {
            "trained_for_a_gain": trained_for_a_gain(life),
            "answered": _finite(in_how_many_windows(life, outcome.world)),
            "answered_shown": _finite(in_how_many_shown(outcome, name)),
            "false": false_retrainings(outcome, name),
            "promotions": made,
            "surely_worse": surely,
            "truly_worse": truly,
            "rows": fitted_rows(outcome, name),
            "back_after": _finite(back_after(outcome, name)),
        }
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
