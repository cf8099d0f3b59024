"""Linear models that river learns in mini-batches, in the order of time.

Here: `river`, its models and optimisers, what they have learnt as numbers, and `river_continued`, which goes on from
that. Not here: passes over the rows and trials (`incremental`), numbers from the matrix and what a model says of a row
(`linear`), the file (`skops_file`).

river keeps its models as pickles only, which are never loaded here. A linear one is its weights and intercepts: they
are handed to scikit-learn's model of the same formula, so that the file, MLflow and serving know nothing of river,
which is imported to fit and for nothing else. Weights as river had them, and its optimiser's moments, are numbers in
the same file: who goes on from it begins where it stopped.

Source: https://riverml.xyz/latest/api/linear-model/LogisticRegression/ (`learn_many`: one step a mini-batch, by its
mean gradient); Adam by Kingma and Ba (2015).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd

from mlops_assets.core.limits.ranges import LARGEST, Allowed, Choice, Range
from mlops_assets.core.models.families import Rows
from mlops_assets.core.models.families.incremental import Sgd, pass_on
from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.stats.metrics import Task
from mlops_assets.core.values.extras import importing

BATCH = 64
"""Rows of a step: a step costs about the same for one row and for a hundred, and fewer steps learn less in a pass."""
_MOMENTS = ("m", "v")
"""Of Adam's steps so far."""
MOST_PASSES = 10
"""Passes over the rows of a trial at most: half of `sgd`'s, because a pass of small steps in Python takes longer."""


class River(Sgd):
    """Logistic regression (several classes: one against the rest) or linear regression, by river."""

    defaults: Mapping[str, Any] = {"optimizer": "adam", "rate": 0.01, "l2": 1e-5}
    ranges: Mapping[str, Allowed] = {
        "optimizer": Choice(("adam", "sgd")),
        "rate": Range(0, 1_000, 0.01, above=True),
        "l2": Range(0, LARGEST, 1e-5),
    }
    libraries = (*Sgd.libraries, "river")

    def suggest(self, trial: Any) -> dict[str, Any]:
        """See `Family`."""
        return {
            "optimizer": trial.suggest_categorical("optimizer", ["adam", "sgd"]),
            "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
            "l2": trial.suggest_float("l2", 1e-7, 1e-2, log=True),
        }

    def most_rounds(self, settings_rounds: int) -> int:
        """A round is a pass over the rows."""
        return min(MOST_PASSES, settings_rounds)

    def fixed(self, task: Task, metric: str, labels: np.ndarray) -> dict[str, Any]:
        """See `Family`."""
        params = super().fixed(task, metric, labels)
        return {**params, "loss": "median" if metric == "mae" else "squared"} if task == "regression" else params

    def learner(self, recipe: Recipe, labels: np.ndarray) -> _Batches:
        """See `Sgd`."""
        return _Batches.beginning(recipe, labels)

    def resumed(self, recipe: Recipe, estimator: Any, state: Any) -> _Batches:
        """See `Sgd`."""
        return _Batches.resumed(recipe, state)


class RiverContinued(River):
    """river's model that goes on from a champion: one pass over the rows that are new to it."""

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`."""
        return pass_on(self, recipe, rows, base)


class _Batches:
    """A model of river's on its way; see `incremental.Learner`."""

    def __init__(self, recipe: Recipe, classes: np.ndarray, centre: float = 0.0, scale: float = 1.0) -> None:
        self.recipe, self.classes, self.centre, self.scale = recipe, classes, centre, scale
        self.model = river_model(recipe, several=recipe.task != "regression" and len(classes) > 2)

    @classmethod
    def beginning(cls, recipe: Recipe, labels: np.ndarray) -> Self:
        """What learns these labels, and has not learnt anything yet."""
        if recipe.task != "regression":
            return cls(recipe, np.unique(labels))
        # Numbers are learnt in standard deviations from their mean: one range of rates then suits any unit.
        scale = float(np.std(labels, dtype=np.float64)) or 1.0
        return cls(recipe, np.empty(0), float(np.mean(labels, dtype=np.float64)), scale)

    @classmethod
    def resumed(cls, recipe: Recipe, state: Mapping[str, Any] | None) -> Self:
        """What has learnt what a state says.

        Raises:
            CannotTrain: there is none: the model was fitted before states were kept.
        """
        if state is None:
            raise CannotTrain(
                "the champion was fitted before what river needs to go on was kept",
                "Name river beside river_continued under training.families: the next one can be gone on from.",
            )
        made = cls(recipe, np.array(state["classes"], dtype=np.float32), state["centre"], state["scale"])
        if recipe.task != "regression" and len(made.classes) > 2:
            made.model.classifiers = {label: made.model.classifier.clone() for label in made.classes}
        for part, learnt in zip(made._parts, state["models"], strict=True):
            _resume(part, learnt)
        return made

    @property
    def state(self) -> dict[str, Any]:
        """See `incremental.Learner`."""
        return {
            "classes": self.classes.tolist(),
            "centre": self.centre,
            "scale": self.scale,
            "models": [_learnt(part) for part in self._parts],
        }

    @property
    def _parts(self) -> list[Any]:
        """River's linear models: one, or one a class."""
        if self.recipe.task == "regression" or len(self.classes) <= 2:
            return [self.model]
        return [self.model.classifiers[label] for label in self.classes]

    def learn(self, rows: Rows) -> None:
        """See `incremental.Learner`."""
        numbers = pd.DataFrame(rows.matrix, columns=names_of(rows.matrix.shape[1]), copy=False)
        labels = pd.Series(self._as_learnt(rows.y))
        weights = pd.Series(np.ones(len(labels)) if rows.weights is None else rows.weights)
        for start in range(0, len(labels), BATCH):
            part = slice(start, start + BATCH)
            self.model.learn_many(numbers.iloc[part], labels.iloc[part], w=weights.iloc[part])

    def _as_learnt(self, labels: np.ndarray) -> np.ndarray:
        if self.recipe.task == "regression":
            return (labels.astype(np.float64) - self.centre) / self.scale
        # Of two classes the second is the event, also where the task has more that these rows lack.
        return labels == self.classes[-1] if len(self.classes) <= 2 else labels

    @property
    def estimator(self) -> Any:
        """See `incremental.Learner`."""
        from sklearn.linear_model import LinearRegression, SGDClassifier

        if self.recipe.task == "regression":
            made = LinearRegression()
            made.coef_ = _weights(self.model) * self.scale
            made.intercept_ = self.model.intercept * self.scale + self.centre
        else:
            parts = self._parts
            # Its chances are those of one model a class, made to add up to 1; LogisticRegression's would be a softmax.
            made = SGDClassifier(loss="log_loss")
            made.classes_ = self.classes
            made.coef_ = np.stack([_weights(part) for part in parts])
            made.intercept_ = np.array([part.intercept for part in parts])
        made.n_features_in_ = made.coef_.shape[-1]
        return made


def river_model(recipe: Recipe, *, several: bool) -> Any:
    """The model of river's own that a recipe asks for, before it has learnt anything.

    Args:
        recipe: of this family.
        several: more than two classes.
    """
    with importing("river", "The library of the family river"):
        from river import linear_model, multiclass, optim

    params = recipe.params
    shared = {
        "optimizer": {"adam": optim.Adam, "sgd": optim.SGD}[params["optimizer"]](params["rate"]),
        "intercept_lr": params["rate"],
        "l2": params["l2"],
    }
    if recipe.task == "regression":
        loss = optim.losses.Quantile(0.5) if params["loss"] == "median" else optim.losses.Squared()
        return linear_model.LinearRegression(loss=loss, **shared)
    binary = linear_model.LogisticRegression(**shared)
    return multiclass.OneVsRestClassifier(binary) if several else binary


def names_of(columns: int) -> list[str]:
    """What river calls the columns of numbers: it knows weights by name."""
    return [str(place) for place in range(columns)]


def _weights(model: Any) -> np.ndarray:
    known = model.weights
    return np.array([known[name] for name in names_of(len(known))], dtype=np.float64)


def _learnt(model: Any) -> dict[str, Any]:
    """All that a linear model of river's has learnt, in the order of its weights."""
    known = model.weights
    names, optimizer = names_of(len(known)), model.optimizer
    moments = {
        key: [float(values[name]) for name in names] for key in _MOMENTS if (values := getattr(optimizer, key, None))
    }
    return {
        "weights": [float(known[name]) for name in names],
        "intercept": float(model.intercept),
        "steps": int(optimizer.n_iterations),
        **moments,
    }


def _resume(model: Any, learnt: Mapping[str, Any]) -> None:
    """Give a new model of river's what another had learnt."""
    from river.utils import VectorDict

    names = names_of(len(learnt["weights"]))
    model._weights = VectorDict(dict(zip(names, learnt["weights"], strict=True)))
    model.intercept = learnt["intercept"]
    model.optimizer.n_iterations = learnt["steps"]
    for key in _MOMENTS:
        if key in learnt:
            setattr(model.optimizer, key, defaultdict(float, zip(names, learnt[key], strict=True)))


FAMILY = {"river": River(), "river_continued": RiverContinued()}
