"""Worlds whose relation breaks: it turns round for all or for some, in mid-window, step by step, there and back.

What lives here: the generator, its scenarios, and what each life truly loses. What does not: worlds whose relation
moves a little (`worlds`), the small policy that is lived beside the platform's (`small_policy`).

A label is linear in six features, plus what its day shares and noise; days remember the day before (AR(1), 0.5). A
seventh feature tells a segment; learners get its products with the others, so that they can know what holds in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pandas as pd

from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.simulate.shared_fits import Rows
from mlops_assets.core.time.windows import Window
from tests.scenarios.learners import logistic, ridge, softmax
from tests.scenarios.worlds import _drawn

FEATURES, CLASSES = 6, 3
DAYS, FIRST, CHANGE, COUNT = 28, 4, 8, 20
"""Days of a window; windows of the first fit, the window in which things change, windows in all."""
START = datetime(2024, 1, 1, tzinfo=UTC)
DAY_EFFECT, PERSISTENCE = 0.2, 0.5
FRESH = 4_000
"""Rows that a window's true loss is measured on."""

Share = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Time in windows, and whether a row is of the segment, both (n,) -> how far the relation has turned, from 0 to 1."""


@dataclass(frozen=True)
class BreakWorld:
    """A scenario with a seed.

    Attributes:
        task: `regression` (judged by RMSE), `binary` or `multiclass` (both by log loss).
        labels: rows of a window.
        seed: of everything.
        turned: how far the relation has turned round at a time.
        intercept: of a binary label's log-odds.
        growth: of a regression's label: its factor at the end of the last window.
        absent: in windows, from when to when the last of three classes does not occur.
        delay: when a label is known, after its event.
    """

    task: str
    labels: int
    seed: int
    turned: Share = lambda time, segment: np.zeros(len(time))
    intercept: float = 0.0
    growth: float = 1.0
    absent: tuple[float, float] = (0.0, 0.0)
    delay: timedelta = timedelta(hours=2)

    @property
    def metric(self) -> str:
        """What models are judged by."""
        return "rmse" if self.task == "regression" else "log_loss"

    @property
    def windows(self) -> list[Window]:
        """Adjacent windows of 28 days."""
        step = timedelta(days=DAYS)
        return [Window(START + k * step, START + (k + 1) * step) for k in range(COUNT)]

    @cached_property
    def beta(self) -> np.ndarray:
        """Coefficients before any change, shape (6, sums)."""
        rng = np.random.default_rng([self.seed, 3])
        found = rng.normal(size=(FEATURES, CLASSES if self.task == "multiclass" else 1))
        return found * ((1.0 if self.task == "regression" else 1.5) / np.linalg.norm(found, axis=0))

    @cached_property
    def rows(self) -> Rows:
        """All labelled events."""
        rng = np.random.default_rng([self.seed, 1])
        time = np.sort(rng.uniform(0, COUNT, COUNT * self.labels))
        days = (time * DAYS).astype(int)
        effect = _remembering(rng, COUNT * DAYS, self.beta.shape[1]) * DAY_EFFECT
        x, expected = self._expected(rng, time, effect[days])
        at = pd.to_timedelta(time * DAYS, unit="D").round("us")
        times = pd.DatetimeIndex(pd.Timestamp(START) + at)
        y = expected + rng.normal(size=len(time)) * self._scale(time) if self.task == "regression" else None
        labels = y if y is not None else _drawn(rng.random(len(time)), expected)
        return Rows(x, labels, times, times + self.delay, days)

    def learner(self, x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Ridge, or logistic regression of the classes up to the highest that occurs."""
        if self.task == "regression":
            return ridge(x, y)
        codes, place = np.unique(y, return_inverse=True)
        if len(codes) < 2:
            raise CannotTrain("all labels are of one class", "Wait for another.")
        model = logistic(x, place, len(codes))
        if self.task == "binary":
            return model

        def known(values: np.ndarray) -> np.ndarray:
            said, chances = model(values), np.zeros((len(values), int(codes[-1]) + 1))
            chances[:, codes.astype(int)] = said if said.ndim == 2 else np.column_stack([1.0 - said, said])
            return chances

        return known

    def loss(self, model: Callable[[np.ndarray], np.ndarray], window: int) -> float:
        """What a model truly loses in a window, on fresh rows."""
        x, expected, scale = self._fresh[window]
        said = model(x)
        if self.task == "regression":
            return float(np.sqrt(np.mean((said - expected) ** 2 + scale**2 * (1.0 + DAY_EFFECT**2))))
        if said.ndim == 1:
            said = np.column_stack([1.0 - said, said])
        said = np.pad(said, ((0, 0), (0, expected.shape[1] - said.shape[1])))
        return float(-np.mean((expected * np.log(np.clip(said, 1e-15, 1.0))).sum(axis=1)))

    @cached_property
    def _fresh(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        rng, found = np.random.default_rng([self.seed, 2]), []
        for window in range(COUNT):
            time = window + rng.random(FRESH)
            day = rng.normal(size=(FRESH, self.beta.shape[1])) * (0.0 if self.task == "regression" else DAY_EFFECT)
            found.append((*self._expected(rng, time, day), self._scale(time)))
        return found

    def _scale(self, time: np.ndarray) -> np.ndarray:
        return np.asarray(self.growth ** (time / COUNT))

    def _expected(self, rng: np.random.Generator, time: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = rng.normal(size=(len(time), FEATURES))
        segment = (rng.random(len(time)) < 0.4).astype(float)
        way = 1.0 - 2.0 * self.turned(time, segment > 0)
        sums = (own @ self.beta) * way[:, None] + day
        sums[:, 0] += self.intercept if self.task != "regression" else 3.0
        x = np.column_stack([own, segment, own * segment[:, None]])
        if self.task == "regression":
            return x, self._scale(time) * sums[:, 0]
        chances = softmax(sums if self.task == "multiclass" else np.column_stack([np.zeros(len(x)), sums]))
        chances[(time >= self.absent[0]) & (time < self.absent[1]), -1] = 0.0
        return x, chances / chances.sum(axis=1, keepdims=True)


def _remembering(rng: np.random.Generator, days: int, columns: int) -> np.ndarray:
    values = rng.normal(size=(days, columns))
    for day in range(1, days):
        values[day] = PERSISTENCE * values[day - 1] + np.sqrt(1 - PERSISTENCE**2) * values[day]
    return values


def _after(start: float, end: float = np.inf, *, segment: bool = False, over: float = 0.0) -> Share:
    def share(time: np.ndarray, inside: np.ndarray) -> np.ndarray:
        far = np.clip((time - start) / over, 0.0, 1.0) if over else (time >= start).astype(float)
        far = np.where(time < end, far, 0.0)
        return np.where(inside, far, 0.0) if segment else far

    return share


BREAKS: dict[str, tuple[Share, dict[str, object]]] = {
    "flip of all": (_after(CHANGE), {}),
    "flip of a segment of 40 %": (_after(CHANGE, segment=True), {}),
    "flip in mid-window": (_after(CHANGE + 0.5), {}),
    "flip over two windows": (_after(CHANGE, over=2.0), {}),
    "there and back": (_after(CHANGE, CHANGE + 3), {}),
    "steady growth": (_after(np.inf), {"growth": 8.0}),
    "rare positives": (_after(CHANGE), {"intercept": -6.0}),
    "a new class": (_after(np.inf), {"absent": (0.0, CHANGE)}),
    "a class that vanishes": (_after(np.inf), {"absent": (CHANGE, np.inf)}),
    "nothing changes": (_after(np.inf), {}),
    "one-window shock": (_after(CHANGE, CHANGE + 1), {}),
}
"""How far the relation has turned, and what else holds."""


def break_world(name: str, *, task: str, labels: int, seed: int, delay: timedelta = timedelta(hours=2)) -> BreakWorld:
    """A world by its scenario's name.

    Args:
        name: one of `BREAKS`.
        task: steady growth is a regression's, rare positives are binary, classes come and go among three.
        labels: of a window.
        seed: of everything.
        delay: of the labels.
    """
    turned, more = BREAKS[name]
    return replace(BreakWorld(task, labels, seed, turned, delay=delay), **more)  # type: ignore[arg-type]
