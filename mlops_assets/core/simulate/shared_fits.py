"""Fits that several lives share: the same rows are fitted on once, whoever asks.

Here: labelled rows, learners, and the memory of what was fitted and what it cost. Not here: which rows are asked for
(`life`), what a model is (`model`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.stats.intervals import DAY, Array
from mlops_assets.core.time.calendar_cycles import Cycle

Positions = NDArray[np.integer[Any]]
"""Rows by their number, shape (n,)."""
Model = Callable[[Any], Array]
"""Features of m rows -> scores, shape (m,) or (m, k)."""
Learner = Callable[[Any, Array], Model]
"""Features and labels of n rows -> a model; `CannotTrain` where they allow none."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Labelled events, oldest first.

    Attributes:
        x: features, an array or frame of n rows.
        y: labels, shape (n,).
        times: when each was predicted, shape (n,), UTC.
        known: when its label became known, shape (n,), UTC.
        blocks: its block, shape (n,): its local calendar day, or its entity, the same in all windows.
        by: what a block is: `day`, or the name of a column.
        cycles: the features that are declared to go by the calendar.
    """

    x: Any
    y: Array
    times: pd.DatetimeIndex
    known: pd.DatetimeIndex
    blocks: Any
    by: str = DAY
    cycles: Mapping[str, Cycle] = field(default_factory=dict)

    def take(self, where: Any) -> Any:
        """The features of some rows."""
        return self.x[where] if isinstance(self.x, np.ndarray) else self.x.iloc[where]


class Fits:
    """Models of one learner, by the rows they were fitted on.

    Args:
        rows: what is fitted on and scored.
        learner: fits a model.
        clock: seconds of CPU of the calling thread; nothing costs anything without one. Who gets a model that was
            fitted before is told what it cost then, so that lives can be compared.
        workers: threads that fit at the same time.
    """

    def __init__(
        self, rows: Rows, learner: Learner, *, clock: Callable[[], float] = lambda: 0.0, workers: int = 1
    ) -> None:
        self.rows, self.learner, self.clock, self.workers = rows, learner, clock, workers
        self.made = 0
        self._models: dict[bytes, tuple[Model, float]] = {}
        self._scores: dict[tuple[bytes, bytes], tuple[Array | None, float]] = {}

    def model(self, where: Positions) -> tuple[Model, float]:
        """The model fitted on the rows at these positions, and what it cost; it is kept.

        Raises:
            CannotTrain: these rows allow none.
        """
        key = _digest(where)
        if key not in self._models:
            self._models[key] = self._fit(where)
        return self._models[key]

    def scores(self, tasks: Sequence[tuple[Positions, Positions]]) -> list[tuple[Array | None, float]]:
        """For each task, rows to fit on and rows to score: the scores (None where nothing can be fitted), the cost.

        Models are not kept, only what they say.
        """
        keys = [(_digest(where), _digest(judged)) for where, judged in tasks]
        new = {key: task for key, task in zip(keys, tasks, strict=True) if key not in self._scores}
        if self.workers > 1 and len(new) > 1:
            with ThreadPoolExecutor(self.workers) as pool:
                new_scores = list(pool.map(self._score, new, new.values()))
        else:
            new_scores = [self._score(key, task) for key, task in new.items()]
        self._scores.update(zip(new, new_scores, strict=True))
        return [self._scores[key] for key in keys]

    def _score(self, key: tuple[bytes, bytes], task: tuple[Positions, Positions]) -> tuple[Array | None, float]:
        where, judged = task
        try:
            model, cost = self._models[key[0]] if key[0] in self._models else self._fit(where)
        except CannotTrain:
            return None, 0.0
        return model(self.rows.take(judged)), cost

    def _fit(self, where: Positions) -> tuple[Model, float]:
        begun = self.clock()
        model = self.learner(self.rows.take(where), self.rows.y[where])
        self.made += 1
        return model, self.clock() - begun


def _digest(where: Positions) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(where, dtype=np.int64).tobytes(), digest_size=16).digest()
