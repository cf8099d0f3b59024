"""A trial of the search: its learning curve, when it stops, and the tables of what was tried.

Here: the rule that stops and prunes, and the record. Not here: what is tried next (`tuning`), how a family fits a trial
(`families`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

_PRUNE_AFTER = 4
"""Complete trials of earlier batches that must exist before any trial is pruned."""
_PRUNE_FROM = 3
"""No trial is pruned before this much learning (rounds x learning rate): 30 rounds of XGBoost's defaults."""


@dataclass(eq=False)
class Trial:
    """One trial on its way.

    Attributes:
        number: from 0.
        batch: the batch it is part of, from 0.
        params: what it tries.
        asked: Optuna's own trial.
        greater: whether a greater value is a better one.
        patience: rounds without a better value after which it stops.
        bar: what it must reach by amount of learning, or be pruned; None where too few trials are known.
        values: value on the validation rows after each round.
        state: `complete` or `pruned`.
        best: the round with the best value, from 0.
        score: the metric on the validation rows; NaN when pruned.
        scores: the validation rows' scores by the best round.
        seconds: how long it took.
    """

    number: int
    batch: int
    params: dict[str, Any]
    asked: Any = None
    greater: bool = True
    patience: int = 20
    bar: np.ndarray | None = None
    values: list[float] = field(default_factory=list)
    state: str = "complete"
    best: int = 0
    score: float = float("nan")
    scores: Any = None
    seconds: float = 0.0

    def goes_on(self, value: float) -> bool:
        """Record the value of the round that has just ended; whether another round is worth it."""
        self.values.append(value)
        rounds = len(self.values)
        if (value > self.values[self.best]) if self.greater else (value < self.values[self.best]):
            self.best = rounds - 1
        if self._is_behind(rounds):
            self.state = "pruned"
            return False
        return rounds - 1 - self.best < self.patience

    def on_a_fold(self) -> Trial:
        """The same for one fold of several, which learns and stops by itself."""
        return Trial(self.number, self.batch, self.params, greater=self.greater, patience=self.patience)

    def by_learning(self) -> np.ndarray:
        """The best value so far when rounds x learning rate passed 1, 2, 3, ...: rounds alone don't compare."""
        values = np.asarray(self.values)
        best = np.maximum.accumulate(values) if self.greater else np.minimum.accumulate(values)
        learnt = self._learnt(np.arange(1, len(best) + 1))
        steps = np.arange(1, max(int(learnt[-1]), 1) + 1)
        return best[np.minimum(np.searchsorted(learnt, steps), len(best) - 1)]

    def _is_behind(self, rounds: int) -> bool:
        if self.bar is None:
            return False
        step = int(self._learnt(rounds))
        if step < _PRUNE_FROM or step == int(self._learnt(rounds - 1)):
            return False
        level, best = self.bar[min(step, len(self.bar)) - 1], self.values[self.best]
        return bool(best < level if self.greater else best > level)

    def _learnt(self, rounds: Any) -> Any:
        # Rounded, because 10 x 0.1 must pass 1 on every machine. What has no learning rate learns 1 a round.
        return np.round(rounds * self.params.get("learning_rate", 1.0), 9)


def bar_of(done: Sequence[Trial]) -> np.ndarray | None:
    """What a trial must reach: the median of the finished trials' best values by amount of learning."""
    paths = [trial.by_learning() for trial in done if trial.state == "complete"]
    if len(paths) < _PRUNE_AFTER:
        return None
    length = max(len(path) for path in paths)
    return np.asarray(np.median([np.pad(path, (0, length - len(path)), mode="edge") for path in paths], axis=0))


def table(trials: Sequence[Trial]) -> pd.DataFrame:
    """A row a trial: see `training.Tuned.trials`."""
    import pandas as pd

    return pd.DataFrame(
        [
            {
                "trial": trial.number,
                "batch": trial.batch,
                "state": trial.state,
                "score": trial.score,
                "rounds": trial.best + 1,
                "seconds": trial.seconds,
                **trial.params,
            }
            for trial in trials
        ]
    )


def curves(trials: Sequence[Trial]) -> pd.DataFrame:
    """A row per trial and round: see `training.Tuned.curve`."""
    lengths = [len(trial.values) for trial in trials]
    import pandas as pd

    return pd.DataFrame(
        {
            "trial": np.repeat([trial.number for trial in trials], lengths),
            "round": np.concatenate([np.arange(1, length + 1) for length in lengths]),
            "value": np.concatenate([np.asarray(trial.values) for trial in trials]),
        }
    )
