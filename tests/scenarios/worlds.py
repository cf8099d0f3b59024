"""Worlds with a known truth: labelled events, window by window, whose relation changes as a scenario says.

What lives here: the generator and its scenarios. What does not: models (`learners`), the loss by the truth (`oracle`),
lives and rivals (`lives`), bars (the tests, benchmarks/decisions.py).

A label is linear in eight features plus an effect of the day and noise; days are autocorrelated (AR(1), 0.6). In a
regression the noise has standard deviation 1; in a binary world the same sum is a log-odds; in a multiclass one there
are three such sums, one of each class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from mlops_assets.core.simulate.shared_fits import Rows
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window
from tests.scenarios.learners import logistic, ridge, softmax

FEATURES = 8
DAYS = 28
START = datetime(2024, 1, 1, tzinfo=UTC)
DAY_EFFECT = 0.15
"""Standard deviation of what all labels of a day share; the features' days have twice as much."""
PERSISTENCE = 0.6
CLASSES = 3
LATE = timedelta(hours=2)
"""When a label is known, after its event."""


@dataclass(frozen=True)
class Truth:
    """What holds in one window.

    Attributes:
        beta: coefficients, shape (8,); of each class, (8, 3).
        intercept: of the label; of the first class.
        shift: of the features' means, shape (8,).
        label_scale: factor on the whole label (a price step).
    """

    beta: np.ndarray
    intercept: float = 0.0
    shift: np.ndarray = field(default_factory=lambda: np.zeros(FEATURES))
    label_scale: float = 1.0


@dataclass(frozen=True)
class World:
    """A scenario with a seed.

    Attributes:
        task: `regression` (judged by RMSE), `binary` or `multiclass` (both by log loss).
        labels: rows of a window.
        seed: of everything.
        truths: by window.
        spoil: number of a window and its features -> features as they arrive; for faults.
        delay: when a label is known, after its event.
    """

    task: str
    labels: int
    seed: int
    truths: tuple[Truth, ...]
    spoil: Callable[[int, np.ndarray], np.ndarray] = lambda _, x: x
    delay: timedelta = LATE

    @property
    def metric(self) -> str:
        """What models are judged by."""
        return "rmse" if self.task == "regression" else "log_loss"

    @property
    def windows(self) -> list[Window]:
        """Adjacent windows of 28 days."""
        step = timedelta(days=DAYS)
        return [Window(START + k * step, START + (k + 1) * step) for k in range(len(self.truths))]

    @cached_property
    def rows(self) -> Rows:
        """All labelled events, as they arrive."""
        rng = np.random.default_rng([self.seed, 1])
        n, count = self.labels, len(self.truths)
        total = DAYS * count
        day_x = _autocorrelated(rng, total, FEATURES) * 2 * DAY_EFFECT
        day_y = _autocorrelated(rng, total, self.sums)
        xs, ys, seconds = [], [], []
        for k, truth in enumerate(self.truths):
            at = np.sort(rng.uniform(0, DAYS * 86400, n))
            day = k * DAYS + (at // 86400).astype(int)
            x = features(rng, n, day_x[day]) + truth.shift
            ys.append(self._labels(rng, truth, x, day_y[day] * DAY_EFFECT))
            xs.append(self.spoil(k, x))
            seconds.append(at + k * DAYS * 86400)
        us = pd.to_timedelta(np.concatenate(seconds), unit="s").round("us")
        times = pd.DatetimeIndex(pd.Timestamp(START) + us)
        days = np.asarray((times - pd.Timestamp(START)).days)
        return Rows(np.concatenate(xs), np.concatenate(ys), times, times + self.delay, days)

    @property
    def sums(self) -> int:
        """Linear sums behind a label: one, or one of each class."""
        return CLASSES if self.task == "multiclass" else 1

    def expected(self, truth: Truth, x: np.ndarray, day: np.ndarray) -> np.ndarray:
        """What labels are in the mean: their value, shape (n,), or the chances of the classes, shape (n, k).

        Args:
            truth: of the window.
            x: features, shape (n, 8).
            day: what labels of a row's day share, shape (n, `sums`).
        """
        score = x @ truth.beta.reshape(FEATURES, self.sums) + day
        score[:, 0] += truth.intercept
        if self.task == "regression":
            return truth.label_scale * score[:, 0]
        return softmax(score if self.task == "multiclass" else np.column_stack([np.zeros(len(x)), score]))

    def _labels(self, rng: np.random.Generator, truth: Truth, x: np.ndarray, day: np.ndarray) -> np.ndarray:
        expected = self.expected(truth, x, day)
        if self.task == "regression":
            return expected + truth.label_scale * rng.normal(size=len(x))
        return _drawn(rng.random(len(x)), expected)

    def learner(self, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Ridge, or logistic regression of two or three classes."""
        return ridge(x, y) if self.task == "regression" else logistic(x, y, 2 if self.task == "binary" else CLASSES)


def _drawn(uniform: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Class codes with these chances."""
    return (uniform[:, None] > np.cumsum(chances, axis=1)[:, :-1]).sum(axis=1).astype(float)


def _autocorrelated(rng: np.random.Generator, days: int, columns: int) -> np.ndarray:
    steps = rng.normal(size=(days, columns)) * np.sqrt(1 - PERSISTENCE**2)
    values = np.empty_like(steps)
    values[0] = rng.normal(size=columns)
    for day in range(1, days):
        values[day] = PERSISTENCE * values[day - 1] + steps[day]
    return values


def features(rng: np.random.Generator, rows: int, day: np.ndarray) -> np.ndarray:
    """Features of mean zero and variance one: the part of their day, shape (n, 8), and their own."""
    return day + rng.normal(size=(rows, FEATURES)) * np.sqrt(1 - (2 * DAY_EFFECT) ** 2)


# ---------------------------------------- scenarios

FIRST, COUNT, CHANGE = 6, 30, 14
"""Windows of the first fit, windows in all (24 are lived through), and the window in which things change."""


def scenario(name: str, *, task: str = "regression", labels: int = 2_000, seed: int = 0) -> World:
    """A world by its scenario's name; see `SCENARIOS`."""
    rng = np.random.default_rng([seed, 3])
    beta = rng.normal(size=(FEATURES, CLASSES) if task == "multiclass" else FEATURES)
    # The last feature does not matter; the others explain as much as half of a regression's variance.
    beta[-1] = 0.0
    beta *= (1.0 if task == "regression" else 1.5) / np.linalg.norm(beta, axis=0)
    return SCENARIOS[name](World(task, labels, seed, tuple(Truth(beta) for _ in range(COUNT))), rng)


def _from(world: World, change: Callable[[int, Truth], Truth], first: int = CHANGE, last: int = COUNT) -> World:
    return replace(
        world, truths=tuple(change(k, truth) if first <= k < last else truth for k, truth in enumerate(world.truths))
    )


def turned(world: World, truth: Truth, loss: float, rng: np.random.Generator) -> np.ndarray:
    """Coefficients so far from the old ones that whoever knows only those loses `loss` more.

    A regression's are moved in a random direction, which is exact. Those of classes are turned towards one, so that
    the new relation is as hard to know as the old one; the angle is found on a large sample.
    """
    direction = rng.normal(size=truth.beta.shape)
    if world.task == "regression":
        direction /= np.linalg.norm(direction)
        return truth.beta + direction * np.sqrt((1.0 + DAY_EFFECT**2) * ((1 + loss) ** 2 - 1))
    size = np.linalg.norm(truth.beta, axis=0)
    direction -= truth.beta * ((direction * truth.beta).sum(axis=0) / size**2)
    direction *= size / np.linalg.norm(direction, axis=0)
    x, judge = rng.normal(size=(40_000, FEATURES)), metric("log_loss")
    u = rng.random(len(x))

    def chances(beta: np.ndarray) -> np.ndarray:
        return softmax(x @ beta if world.task == "multiclass" else np.outer(x @ beta, [0.0, 1.0]))

    old = chances(truth.beta)
    base, low, high = judge.score(_drawn(u, old), old), 0.0, np.pi
    for _ in range(20):
        angle = (low + high) / 2
        new = chances(np.cos(angle) * truth.beta + np.sin(angle) * direction)
        worse = judge.score(_drawn(u, new), old) / base - 1
        low, high = (angle, high) if worse < loss else (low, angle)
    return np.cos(low) * truth.beta + np.sin(low) * direction


def _sudden(loss: float) -> Callable[[World, np.random.Generator], World]:
    def make(world: World, rng: np.random.Generator) -> World:
        new = turned(world, world.truths[0], loss, rng)
        return _from(world, lambda _, truth: replace(truth, beta=new))

    return make


def _gradual(world: World, rng: np.random.Generator) -> World:
    old = world.truths[0].beta
    new = turned(world, world.truths[0], 0.5, rng)
    return _from(world, lambda k, truth: replace(truth, beta=old + (new - old) * min(1.0, (k - CHANGE + 1) / 6)))


def _covariate(world: World, rng: np.random.Generator) -> World:
    shift = rng.normal(size=FEATURES) * 0.5
    return _from(world, lambda _, truth: replace(truth, shift=shift))


def _loud(world: World, rng: np.random.Generator) -> World:
    shift = np.zeros(FEATURES)
    shift[-1] = 3.0
    return _from(world, lambda _, truth: replace(truth, shift=shift))


def _label_rate(world: World, rng: np.random.Generator) -> World:
    step = 0.8 if world.task == "regression" else 1.2
    return _from(world, lambda _, truth: replace(truth, intercept=truth.intercept + step))


def _growth(world: World, rng: np.random.Generator) -> World:
    # So far that, at the end, the first model loses at least half more.
    old, new = world.truths[0].beta, turned(world, world.truths[0], 1.5 if world.task == "regression" else 0.6, rng)
    return _from(world, lambda k, truth: replace(truth, beta=old + (new - old) * (k - FIRST) / (COUNT - FIRST)), FIRST)


def _seasons(world: World, rng: np.random.Generator) -> World:
    """A year of 12 windows, told by a feature: what holds in a season comes back, and all history knows it."""
    angle = 2 * np.pi * np.arange(COUNT) / 12

    def year(k: int, truth: Truth) -> Truth:
        shift = np.zeros(FEATURES)
        shift[:2] = 1.5 * np.cos(angle[k]), 1.5 * np.sin(angle[k])
        return replace(truth, shift=shift)

    return _from(world, year, 0)


def _price_step(world: World, rng: np.random.Generator) -> World:
    if world.task == "regression":
        return _from(world, lambda _, truth: replace(truth, label_scale=1.3, intercept=truth.intercept + 1.0))
    return _from(world, lambda _, truth: replace(truth, beta=truth.beta * 1.5, intercept=truth.intercept + 1.0))


def _shock(world: World, rng: np.random.Generator) -> World:
    new = turned(world, world.truths[0], 0.5, rng)
    return _from(world, lambda _, truth: replace(truth, beta=new), CHANGE, CHANGE + 1)


def _missing(world: World, rng: np.random.Generator) -> World:
    def spoil(window: int, x: np.ndarray) -> np.ndarray:
        if window != CHANGE:
            return x
        gone = np.random.default_rng([world.seed, 4, len(x)]).random(len(x)) < 0.1
        out = x.copy()
        out[gone, 0] = np.nan
        return out

    return replace(world, spoil=spoil)


def _unit(world: World, rng: np.random.Generator) -> World:
    return replace(
        world, spoil=lambda window, x: x * np.where(np.arange(FEATURES) == 0, 100.0, 1.0) if window == CHANGE else x
    )


def _late(world: World, rng: np.random.Generator) -> World:
    return replace(_sudden(0.2)(world, rng), delay=timedelta(days=2 * DAYS))


SCENARIOS: dict[str, Callable[[World, np.random.Generator], World]] = {
    "no drift": lambda world, rng: world,
    "harmless covariate shift": _covariate,
    "loud drift, unimportant feature": _loud,
    "sudden +5 %": _sudden(0.05),
    "sudden +20 %": _sudden(0.20),
    "sudden +50 %": _sudden(0.50),
    "gradual over 6 windows": _gradual,
    "label-rate shift": _label_rate,
    "steady growth": _growth,
    "recurring seasons": _seasons,
    "price step": _price_step,
    "one-window shock": _shock,
    "fault: a tenth missing": _missing,
    "fault: unit changed": _unit,
    "labels two windows late, +20 %": _late,
}
"""All scenarios by name."""
