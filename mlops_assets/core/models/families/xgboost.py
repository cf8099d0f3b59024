"""Boosted trees by XGBoost.

Here: parameters, the search space, a trial, the fit, the file (UBJSON with the recipe among the booster's attributes).
Not here: the loop over trials (`tuning`), which rows are used (`training`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import numpy as np

from mlops_assets.core.limits.ranges import LARGEST, Allowed, Range
from mlops_assets.core.models.families import Attempt, Rows
from mlops_assets.core.models.families.one_row import FewRows
from mlops_assets.core.models.matrix import FloatMatrix, types_of
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.stats.metrics import Metric, Task

LARGE_FIT = 4_000_000
"""Cells (rows x columns) from which several threads pay for a single fit: 20,000 x 15 is slower with two
threads than with one (1.6 s against 0.6 s on a busy machine), 240,000 x 45 is faster (1.7 s, not 3.1 s)."""
LARGE_FIT_THREADS = 2
"""Not more: on a machine with fewer cores than threads they wait for each other, spinning."""
MAX_BIN = 256
"""Bins of a numeric feature: one byte each."""
PROBE_BINS = 64
"""Of a fit that nobody will serve: 50,000 synthetic rows x 50 take two thirds of the time and rank as well (AUC 0.7846,
not 0.7839); on a million rows the AUC is 0.0006 lower."""
_DEEPEST = 30
"""Levels of a tree: a leaf for each of a billion rows. XGBoost would ask for memory without end."""
FOREST_TREES = 100
"""Trees of a random forest, per class."""

ATTRIBUTE = "mlops_recipe"
"""Attribute of a booster: its recipe."""
EARLIER = "mlops_earlier_recipes"
"""Attribute of a booster that goes on from another: the recipes of that one and of those before it, JSON."""
_EVAL_METRIC = {
    ("roc_auc", "binary"): "auc",
    ("pr_auc", "binary"): "aucpr",
    # On probabilities, the root of the mean squared error is the root of the Brier score.
    ("brier", "binary"): "rmse",
    ("mae", "regression"): "mae",
}
_EVAL_DEFAULT = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}
_GREATER = {"auc", "aucpr"}


class NoGpu(RuntimeError):
    """A recipe asks for a GPU, and there is none. No fault of the data: nothing else is tried in its place."""


class Boosting:
    """Gradient boosted trees."""

    defaults: Mapping[str, Any] = {
        "learning_rate": 0.1,
        "max_depth": 6,
        "min_child_weight": 10.0,
        "subsample": 0.8,
        "colsample_bytree": 0.8,
        "reg_lambda": 1.0,
    }
    ranges: Mapping[str, Allowed] = {
        "learning_rate": Range(0, 1, 0.1, above=True),
        "max_depth": Range(1, _DEEPEST, 6, whole=True),
        "min_child_weight": Range(0, LARGEST, 10),
        "subsample": Range(0, 1, 0.8, above=True),
        "colsample_bytree": Range(0, 1, 0.8, above=True),
        "reg_lambda": Range(0, LARGEST, 1),
    }
    most_trials = 1_000_000
    ending = "ubj"
    on_gpu = True
    libraries: tuple[str, ...] = ("xgboost",)

    def suggest(self, trial: Any) -> dict[str, Any]:
        """See `Family`."""
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 3, 10),
            "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 200.0, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.4, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 50.0, log=True),
        }

    def most_rounds(self, settings_rounds: int) -> int:
        """See `Family`."""
        return settings_rounds

    def fixed(self, task: Task, metric: str, labels: np.ndarray) -> dict[str, Any]:
        """See `Family`."""
        if task == "binary":
            return {"objective": "binary:logistic"}
        if task == "multiclass":
            return {"objective": "multi:softprob", "num_class": int(labels.max()) + 1}
        # The mean absolute error is least at the median, which squared error does not estimate.
        return {"objective": "reg:absoluteerror" if metric == "mae" else "reg:squarederror"}

    def cheaper(self, recipe: Recipe) -> Recipe:
        """See `Family`: with fewer bins."""
        return replace(recipe.on_cpu, params={**recipe.params, "max_bin": PROBE_BINS})

    def problem(self, template: Recipe, judge: Metric, fit_side: Rows, validation: Rows) -> _Binned:
        """Both sides binned, once for all trials."""
        require_device(template.device)
        threads = fit_threads(fit_side.matrix.size + validation.matrix.size)
        fitted = binned(template, fit_side, threads)
        watched = _EVAL_METRIC.get((judge.name, template.task), _EVAL_DEFAULT[template.task])
        return _Binned(watched, watched in _GREATER, fitted, binned(template, validation, threads, ref=fitted))

    def fit(self, recipe: Recipe, rows: Rows, base: bytes | None) -> bytes:
        """See `Family`."""
        import xgboost

        require_device(recipe.device)
        threads = fit_threads(rows.matrix.size)
        data = binned(recipe, rows, threads)
        booster = xgboost.train(booster_params(recipe, threads=threads), data, num_boost_round=recipe.rounds)
        booster.set_attr(**{ATTRIBUTE: recipe.to_json()})
        return bytes(booster.save_raw("ubj"))

    def kept(self, content: bytes) -> bytes:
        """See `Family`: all of it, as its first rounds."""
        return content

    def read(self, content: bytes) -> Trees:
        """See `Family`."""
        import xgboost

        try:
            booster = xgboost.Booster(model_file=bytearray(content))
        except xgboost.core.XGBoostError as error:
            raise ValueError(
                "these bytes are no XGBoost model in UBJSON; the file is damaged or another one. "
                "Restore it from a backup, or promote the previous version."
            ) from error
        recipe = booster.attr(ATTRIBUTE)
        if recipe is None:
            raise ValueError(
                "this XGBoost model carries no recipe, so its columns are unknown. Only models written by "
                "Model.to_bytes() can be read; train it again here."
            )
        return Trees(Recipe.from_json(recipe), booster)


class Forest(Boosting):
    """A random forest (Breiman 2001) grown by XGBoost: one round of many trees, each on a sample of rows and columns.

    Its file, TreeSHAP and speed are those of boosting.
    """

    defaults: Mapping[str, Any] = {
        "max_depth": 12,
        "min_child_weight": 5.0,
        "subsample": 0.63,
        "colsample_bynode": 0.4,
    }
    ranges: Mapping[str, Allowed] = {
        **{name: Boosting.ranges[name] for name in ("max_depth", "min_child_weight", "subsample")},
        "colsample_bynode": Range(0, 1, 0.4, above=True),
    }
    most_trials = 8

    def suggest(self, trial: Any) -> dict[str, Any]:
        """See `Family`."""
        return {
            "max_depth": trial.suggest_int("max_depth", 4, 16),
            "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 200.0, log=True),
            "subsample": trial.suggest_float("subsample", 0.4, 0.9),
            "colsample_bynode": trial.suggest_float("colsample_bynode", 0.1, 1.0),
        }

    def most_rounds(self, settings_rounds: int) -> int:
        """A forest is one round."""
        return 1

    def fixed(self, task: Task, metric: str, labels: np.ndarray) -> dict[str, Any]:
        """See `Family`."""
        # Splits by the sign of the error, as one round of the absolute error makes them, tell little.
        objective = {"objective": "reg:squarederror"} if task == "regression" else {}
        own = {**objective, "num_parallel_tree": FOREST_TREES, "learning_rate": 1.0, "reg_lambda": 0.0}
        return {**super().fixed(task, metric, labels), **own}


@dataclass(frozen=True, eq=False)
class _Binned:
    """Both sides of the split as `xgboost.QuantileDMatrix`, the validation rows binned like the others."""

    watched: str
    greater: bool
    fit_side: Any
    validation: Any

    def attempt(self, recipe: Recipe, trial: Attempt) -> np.ndarray | None:
        """See `Problem`."""
        import xgboost

        booster = xgboost.train(
            {**booster_params(recipe, threads=1), "eval_metric": self.watched},
            self.fit_side,
            num_boost_round=recipe.rounds,
            evals=[(self.validation, "validation")],
            callbacks=[_listener(trial)],
            verbose_eval=False,
        )
        if trial.state == "pruned":
            return None
        return booster.predict(self.validation, iteration_range=(0, trial.best + 1))


def _listener(trial: Attempt) -> Any:
    """The callback that tells a trial the value of each round."""
    import xgboost

    class Listener(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            ((values,),) = (log.values() for log in evals_log.values())
            return not trial.goes_on(float(values[-1]))

    return Listener()


@dataclass(frozen=True, eq=False)
class Trees:
    """A booster and its recipe."""

    recipe: Recipe
    native: Any

    @property
    def earlier(self) -> list[str]:
        """The recipes of the models that it goes on from, the newest first."""
        recipes = self.native.attr(EARLIER)
        return json.loads(recipes) if recipes else []

    @property
    def rounds(self) -> int:
        """See `Fitted`."""
        return int(self.native.num_boosted_rounds())

    @property
    def base(self) -> bytes | None:
        """Its first rounds, as the booster that they were."""
        if self.recipe.base is None:
            return None
        first, *others = self.earlier
        booster = self.native[: self.recipe.base.rounds]
        booster.set_attr(**{ATTRIBUTE: first, EARLIER: json.dumps(others) if others else None})
        return bytes(booster.save_raw("ubj"))

    def predict(self, matrix: FloatMatrix) -> np.ndarray:
        """See `Fitted`."""
        return cast(np.ndarray, self.native.inplace_predict(matrix, validate_features=False))

    def for_few_rows(self) -> Callable[[FloatMatrix], np.ndarray]:
        """See `Fitted`."""
        return FewRows(bytes(self.native.save_raw("ubj")))

    def importance(self) -> Mapping[str, float]:
        """Total gain of all splits, and not XGBoost's `gain`, their mean, which flatters features used once."""
        return cast(Mapping[str, float], self.native.get_score(importance_type="total_gain"))

    def contributions(self, matrix: FloatMatrix) -> np.ndarray:
        """TreeSHAP (Lundberg et al. 2020)."""
        import xgboost

        names, types = list(self.recipe.names), types_of(self.recipe.columns)
        rows = xgboost.DMatrix(matrix, feature_names=names, feature_types=types)
        return cast(np.ndarray, self.native.predict(rows, pred_contribs=True))


def binned(recipe: Recipe, rows: Rows, threads: int, *, ref: Any = None) -> Any:
    """The rows as a `xgboost.QuantileDMatrix`, with the bins of `ref` where it is given."""
    import xgboost

    return xgboost.QuantileDMatrix(
        rows.matrix,
        rows.y,
        weight=rows.weights,
        ref=ref,
        feature_names=list(recipe.names),
        feature_types=types_of(recipe.columns),
        enable_categorical=True,
        max_bin=recipe.params.get("max_bin", MAX_BIN),
        nthread=threads,
    )


def fit_threads(cells: int) -> int:
    """Threads of a single fit: by the size of the data and not by the machine.

    A histogram is a sum of floats, and the order of adding must not depend on the number of cores.
    """
    return LARGE_FIT_THREADS if cells >= LARGE_FIT else 1


def booster_params(recipe: Recipe, *, threads: int) -> dict[str, Any]:
    """What `xgboost.train` is given for a recipe."""
    fixed = {
        "tree_method": "hist",
        "max_bin": recipe.params.get("max_bin", MAX_BIN),
        "seed": recipe.seed,
        "nthread": threads,
        "verbosity": 1,
    }
    # Left out for `cpu`, XGBoost's own default.
    return {**recipe.params, **fixed, **({"device": recipe.device} if recipe.device != "cpu" else {})}


def require_device(device: str) -> None:
    """Refuse a GPU that is not there: XGBoost itself would warn and go on with the CPU.

    Raises:
        NoGpu: XGBoost has no code for GPUs, or finds none.
    """
    if device != "cpu" and (why := _lacks_gpu()):
        raise NoGpu(
            f"training.device is {device}, and {why}. Set training.device: cpu, or train where there is an NVIDIA GPU "
            f"with its driver and an XGBoost that has code for it: `pip uninstall xgboost-cpu`, then `pip install "
            f"'xgboost=={_release()}'`. Nothing was trained; the champion is as it was."
        )


def _release() -> str:
    import xgboost

    return str(xgboost.__version__)


@cache
def _lacks_gpu() -> str:
    """Why there is no GPU to fit on; empty where there is."""
    import xgboost

    if not xgboost.build_info().get("USE_CUDA"):
        return f"this XGBoost ({_release()}) has no code for GPUs"
    # It says by itself on what it has fitted, once it was asked to.
    tiny = xgboost.DMatrix(np.zeros((2, 1), dtype=np.float32), np.array([0.0, 1.0], dtype=np.float32))
    made = xgboost.train({"device": "cuda", "tree_method": "hist", "verbosity": 0}, tiny, num_boost_round=1)
    used = json.loads(made.save_config())["learner"]["generic_param"]["device"]
    return "" if str(used).startswith("cuda") else "XGBoost finds no GPU on this machine"


FAMILY = {"xgboost": Boosting(), "random_forest": Forest()}
