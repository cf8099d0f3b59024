"""What a model truly loses in a window of a world.

What lives here: the loss by the generator's own truth. What does not: the worlds (`worlds`), who serves when (`lives`).

Features are drawn afresh, once for all windows, so that models and windows are compared on the same draws. Labels are
not drawn: their expectation is known. That leaves less chance in a loss than 100,000 drawn labels would.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.scenarios.worlds import DAY_EFFECT, FEATURES, Truth, World


class Oracle:
    """The truth of one world.

    Args:
        world: the world.
        rows: features to draw.
    """

    def __init__(self, world: World, rows: int = 10_000) -> None:
        self.world = world
        rng = np.random.default_rng([world.seed, 2])
        # Each row is of a day of its own: the same expectations, with less chance in them.
        self._x = rng.normal(size=(rows, FEATURES))
        self._day = rng.normal(size=(rows, world.sums)) * DAY_EFFECT
        self._true: dict[bytes, np.ndarray] = {}
        # With the model itself, so that its id stays its own.
        self._said: dict[tuple[int, bytes], tuple[Any, np.ndarray]] = {}

    def loss(self, model: Any, window: int) -> float:
        """RMSE of a regression, log loss of classes."""
        truth = self.world.truths[window]
        expected, said = self._expected(truth), self._scores(model, window)
        if self.world.task == "regression":
            # A day's own effect and the row's noise are no model's to know.
            noise = truth.label_scale**2 * (1.0 + DAY_EFFECT**2)
            return float(np.sqrt(np.mean((said - expected) ** 2) + noise))
        if said.ndim == 1:
            said = np.column_stack([1.0 - said, said])
        return float(-np.mean((expected * np.log(np.clip(said, 1e-15, 1.0))).sum(axis=1)))

    def _expected(self, truth: Truth) -> np.ndarray:
        """Mean of each row's label; chances of its classes."""
        key = b"".join(
            np.asarray(part).tobytes() for part in (truth.beta, truth.intercept, truth.shift, truth.label_scale)
        )
        if key not in self._true:
            days = np.zeros_like(self._day) if self.world.task == "regression" else self._day
            self._true[key] = self.world.expected(truth, self._x + truth.shift, days)
        return self._true[key]

    def _scores(self, model: Any, window: int) -> np.ndarray:
        shift = self.world.truths[window].shift
        x = self._x + shift
        arrived = self.world.spoil(window, x)
        key = (id(model), shift.tobytes() + (b"" if arrived is x else bytes([window])))
        if key not in self._said:
            self._said[key] = (model, model(arrived))
        return self._said[key][1]
