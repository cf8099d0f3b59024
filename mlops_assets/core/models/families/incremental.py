"""Models that go on learning: stochastic gradient descent row by row, and more trees upon a champion's.

Here: `sgd`, scikit-learn's `partial_fit` in passes over the rows; `sgd_continued`, one pass more over what became known
since the base was fitted; `xgboost_continued`, a few rounds of boosting on that. Not here: mini-batches by another
library (`river`), numbers from the matrix (`linear`), trees (`xgboost`), when a champion can be gone on from
(`family_choice`).

`sgd` takes the rows in their order, which is that of time, with a constant step: what was learnt last weighs most, and
old rows fade without having to be left out. A continued model holds its base: it can be made again, and gone on from,
without keeping another file. Trees hold it in their first rounds, and grow; a linear model holds the one before it as
that was, without what that one went on from, and stays as large as two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mlops_assets.core.limits.ranges import LARGEST, Allowed, Range
from mlops_assets.core.models.families import Attempt, Rows
from mlops_assets.core.models.families.estimator import scored
from mlops_assets.core.models.families.foreign import is_foreign
from mlops_assets.core.models.families.linear import Linear, numbers_of, one_thread, piped
from mlops_assets.core.models.families.skops_file import dumps, kept_state, loads, without_base
from mlops_assets.core.models.families.xgboost import (
    ATTRIBUTE,
    EARLIER,
    Boosting,
    binned,
    booster_params,
    fit_threads,
    require_device,
)
from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.stats.metrics import Metric, Task

MOST_PASSES = 20
"""Passes over the rows of a trial at most."""


class Learner(Protocol):
    """A linear model on its way."""

    @property
    def state(self) -> Any:
        """What it takes, beside the estimator, to go on learning, as JSON has it; None where that is nothing."""

    @property
    def estimator(self) -> Any:
        """What it has learnt so far, as a linear model of scikit-learn."""

    def learn(self, rows: Rows) -> None:
        """One pass over rows of numbers, in their order."""


class Sgd(Linear):
    """A linear model fitted by stochastic gradient descent (Bottou 2010)."""

    defaults: Mapping[str, Any] = {"eta0": 0.001, "alpha": 1e-5}
    ranges: Mapping[str, Allowed] = {
        "eta0": Range(0, 1_000, 0.001, above=True),
        "alpha": Range(0, LARGEST, 1e-5),
    }
    most_trials = 16

    def suggest(self, trial: Any) -> dict[str, Any]:
        """See `Family`."""
        return {
            "eta0": trial.suggest_float("eta0", 1e-5, 1e-2, log=True),
            "alpha": trial.suggest_float("alpha", 1e-7, 1e-2, log=True),
        }

    def most_rounds(self, settings_rounds: int) -> int:
        """A round is a pass over the rows."""
        return min(MOST_PASSES, settings_rounds)

    def fixed(self, task: Task, metric: str, labels: np.ndarray) -> dict[str, Any]:
        """See `Family`."""
        if task == "regression":
            return {"loss": "epsilon_insensitive" if metric == "mae" else "squared_error"}
        return {"loss": "log_loss", **super().fixed(task, metric, labels)}

    def problem(self, template: Recipe, judge: Metric, fit_side: Rows, validation: Rows) -> _Passes:  # type: ignore[override]
        """Both sides as numbers, once for all trials."""
        return _Passes(self.learner, judge, *numbers_of(template, fit_side, validation))

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`."""
        columns, numbers, _ = numbers_of(recipe, rows, None)
        with one_thread():
            learner = self.learner(recipe, numbers.y)
            for _ in range(recipe.rounds):
                learner.learn(numbers)
        return dumps(piped(columns, learner.estimator), recipe, state=learner.state)

    def learner(self, recipe: Recipe, labels: np.ndarray) -> Learner:
        """What learns these labels, and has not learnt anything yet."""
        return _Stochastic(_estimator(recipe))

    def resumed(self, recipe: Recipe, estimator: Any, state: Any) -> Learner:
        """What has learnt an estimator, and goes on."""
        return _Stochastic(estimator)


@dataclass(frozen=True, eq=False)
class _Passes:
    """Both sides of the split, the columns that were made of them, and what learns from them."""

    learner: Callable[[Recipe, np.ndarray], Learner]
    judge: Metric
    columns: Any
    fit_side: Rows
    validation: Rows

    @property
    def watched(self) -> str:
        """See `Problem`."""
        return self.judge.name

    @property
    def greater(self) -> bool:
        """See `Problem`."""
        return self.judge.greater_is_better

    def attempt(self, recipe: Recipe, trial: Attempt) -> np.ndarray | None:
        """See `Problem`."""
        learner, best = self.learner(recipe, self.fit_side.y), None
        with one_thread():
            for round_ in range(recipe.rounds):
                learner.learn(self.fit_side)
                scores = scored(learner.estimator, self.validation.matrix, recipe)
                goes_on = trial.goes_on(self.judge.score(self.validation.y, scores))
                if trial.best == round_:
                    best = scores
                if not goes_on:
                    break
        return None if trial.state == "pruned" else best


def _estimator(recipe: Recipe) -> Any:
    from sklearn.linear_model import SGDClassifier, SGDRegressor

    params = recipe.params
    shared = {
        "loss": params["loss"],
        "eta0": params["eta0"],
        "alpha": params["alpha"],
        "learning_rate": "constant",
        # Shuffled rows would forget in no particular order.
        "shuffle": False,
        "random_state": recipe.seed,
    }
    return SGDRegressor(epsilon=0.0, **shared) if recipe.task == "regression" else SGDClassifier(**shared)


@dataclass(frozen=True, eq=False)
class _Stochastic:
    """Row by row; see `Learner`."""

    estimator: Any
    state: Any = None

    def learn(self, rows: Rows) -> None:
        """See `Learner`."""
        from sklearn.base import is_classifier

        first = is_classifier(self.estimator) and not hasattr(self.estimator, "coef_")
        known = {"classes": np.unique(rows.y)} if first else {}
        self.estimator.partial_fit(rows.matrix, rows.y, sample_weight=rows.weights, **known)


def pass_on(family: Sgd, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
    """The file of a linear model that goes on from another's, in passes over rows that are new to it.

    Numbers are scaled as they were for the base, of whatever its rows were: coefficients are of these.

    Raises:
        CannotTrain: the base is not at hand, was fitted elsewhere, or does not know a class of these rows.
    """
    if base is None:
        raise _not_at_hand(recipe)
    native, _ = loads(base)
    if is_foreign(native):
        raise _not_at_hand(recipe)
    columns, estimator = native
    known = getattr(estimator, "classes_", None)
    if known is not None and (unknown := set(np.unique(rows.y)) - set(np.asarray(known, dtype=rows.y.dtype))):
        raise CannotTrain(
            f"the champion was fitted without class {int(min(unknown))}, and cannot be given it",
            f"Name {recipe.from_nothing.family} beside {recipe.family} under training.families.",
        )
    learner = family.resumed(recipe, estimator, kept_state(base))
    if len(rows.y):
        numbers = Rows(columns.transform(rows.matrix).astype(np.float32, copy=False), rows.y, rows.weights)
        with one_thread():
            for _ in range(recipe.rounds):
                learner.learn(numbers)
    return dumps(piped(columns, learner.estimator), recipe, state=learner.state, base=without_base(base))


def _not_at_hand(recipe: Recipe) -> CannotTrain:
    return CannotTrain(
        "the recipe goes on from a model that is not at hand",
        f"Leave {recipe.family} out of training.families, and train anew.",
    )


class SgdContinued(Sgd):
    """Stochastic gradient descent that goes on from a champion: one pass over the rows that are new to it."""

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`."""
        return pass_on(self, recipe, rows, base)


class Continued(Boosting):
    """Boosted trees that go on from a model's: its rounds stay, `recipe.rounds` are added on the rows new to it."""

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`; without new rows it is the base under another recipe."""
        import xgboost

        if base is None:
            raise _not_at_hand(recipe)
        require_device(recipe.device)
        start = super().read(base)
        booster = start.native
        if len(rows.y):
            threads = fit_threads(rows.matrix.size)
            params, data = booster_params(recipe, threads=threads), binned(recipe, rows, threads)
            booster = xgboost.train(params, data, num_boost_round=recipe.rounds, xgb_model=booster)
        # A flat list of the recipes before: one inside the other would double its quotes each time.
        before = [start.recipe.to_json(), *start.earlier]
        booster.set_attr(**{ATTRIBUTE: recipe.to_json(), EARLIER: json.dumps(before)})
        return bytes(booster.save_raw("ubj"))


FAMILY = {"sgd": Sgd(), "sgd_continued": SgdContinued(), "xgboost_continued": Continued()}
