"""The search behind `training.tune`: batches of trials, pruning, and the tables of what was tried.

Here: the settings, asking Optuna, running a batch in parallel, telling it. Not here: the split by time and
the binned matrices (`training`), how a recipe becomes a model (`model`).

Trials are asked and told in batches of a fixed size and run in parallel inside a batch. A trial sees finished
batches only (also for pruning), has one thread, and its sampling is seeded; so the result depends on rows and
settings, and not on the number of cores. All trials share one binned matrix, which they only read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.matrix import MIN_ROWS
from mlops_assets.core.metrics import Metric
from mlops_assets.core.model import Recipe, booster_params

DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "max_depth": 6,
    "min_child_weight": 10.0,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "reg_lambda": 1.0,
}
"""The first trial, so that a short search is never worse than none."""

_EVAL_METRIC = {
    ("roc_auc", "binary"): "auc",
    ("pr_auc", "binary"): "aucpr",
    # On probabilities, the root of the mean squared error is the root of the Brier score.
    ("brier", "binary"): "rmse",
    ("mae", "regression"): "mae",
}
_EVAL_DEFAULT = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}
_GREATER = {"auc", "aucpr"}

_PRUNE_AFTER = 4
"""Complete trials of earlier batches that must exist before any trial is pruned."""
_PRUNE_FROM = 3
"""No trial is pruned before this much learning (rounds x learning rate): 30 rounds of the defaults."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a recipe is searched for.

    Attributes:
        family: kind of model; only `xgboost`.
        trials: Optuna trials; the first one is the defaults.
        batch: trials that are asked and told together, and run in parallel. It changes the path of
            the search, so the result; at least the number of cores is fastest.
        seed: seeds search and fits; equal rows and settings give equal bytes.
        validation_share: the newest whole days (UTC) that hold at least this share of the rows score trials.
        early_stopping_rounds: a trial ends after so many rounds without a better value on those days.
        max_rounds: upper bound of boosting rounds.
        min_rows: fewer labelled rows than this are not trained on.
        trial_rows: with more rows, trials see a seeded sample of this size (both sides of the split alike);
            the recipe is fitted on all rows later. None: all.
        threads: trials at work at a time; None: the cores this process may use. Never changes the result.
    """

    family: str = "xgboost"
    trials: int = 20
    batch: int = 4
    seed: int = 13
    validation_share: float = 0.2
    early_stopping_rounds: int = 20
    max_rounds: int = 400
    min_rows: int = MIN_ROWS
    trial_rows: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("trials", "batch", "early_stopping_rounds", "max_rounds"):
            if getattr(self, name) < 1:
                raise ValueError(f"training.{name} is {getattr(self, name)}: set it to 1 or more")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"training.validation_share is {self.validation_share}: set it between 0 and 1")
        if self.family != "xgboost":
            raise ValueError(f"there is no family {self.family!r}: set training.family to xgboost")

    @property
    def workers(self) -> int:
        """Trials at work at a time on this machine."""
        return max(1, min(self.batch, self.threads or len(os.sched_getaffinity(0))))


@dataclass(frozen=True)
class Problem:
    """What all trials share: both sides of the split, binned once, and what is asked of them.

    Attributes:
        template: the recipe without the parameters that are searched.
        judge: the metric that ranks trials.
        fit_side: `xgboost.QuantileDMatrix` that trials are fitted on.
        validation: the one they are scored on, binned like `fit_side`.
        y: labels of `validation`.
    """

    template: Recipe
    judge: Metric
    fit_side: Any
    validation: Any
    y: np.ndarray


@dataclass(frozen=True)
class Found:
    """The best trial and the record of all; the fields are those of `training.Tuned`."""

    recipe: Recipe
    score: float
    best_trial: int
    trials: pd.DataFrame
    curve: pd.DataFrame
    curve_metric: str


def search(problem: Problem, settings: TrainingSettings) -> Found:
    """Run all trials and give the best; equal scores: the earlier trial."""
    return _Search(problem, settings).run()


@dataclass
class _Run:
    """One trial on its way."""

    number: int
    batch: int
    params: dict[str, Any]
    trial: Any
    values: list[float] = field(default_factory=list)
    state: str = "complete"
    best: int = 0
    score: float = float("nan")
    seconds: float = 0.0


class _Search:
    """Ask a batch, run it in parallel, tell it in order; again until the trials are used up."""

    def __init__(self, problem: Problem, settings: TrainingSettings) -> None:
        self.problem = problem
        self.judge = problem.judge
        self.settings = settings
        task = problem.template.task
        self.eval_metric = _EVAL_METRIC.get((self.judge.name, task), _EVAL_DEFAULT[task])
        self.greater = self.eval_metric in _GREATER

    def run(self) -> Found:
        done = self._all_batches()
        sign = 1.0 if self.judge.greater_is_better else -1.0
        complete = [run for run in done if run.state == "complete"]
        best = max(complete, key=lambda run: (sign * run.score, -run.number))
        template = self.problem.template
        return Found(
            recipe=replace(template, params={**template.params, **best.params}, rounds=best.best + 1),
            score=best.score,
            best_trial=best.number,
            trials=_table(done),
            curve=_curve(done),
            curve_metric=self.eval_metric,
        )

    def _all_batches(self) -> list[_Run]:
        study = self._study()
        done: list[_Run] = []
        with ThreadPoolExecutor(max_workers=self.settings.workers) as pool:
            while len(done) < self.settings.trials:
                size = min(self.settings.batch, self.settings.trials - len(done))
                batch = done[-1].batch + 1 if done else 0
                bar = self._bar(done)
                asked = [self._ask(study, len(done) + place, batch) for place in range(size)]
                for run in list(pool.map(lambda run, bar=bar: self._run_trial(run, bar), asked)):
                    self._tell(study, run)
                    done.append(run)
        return done

    def _study(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            direction="maximize" if self.judge.greater_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self.settings.seed, n_startup_trials=8),
            pruner=optuna.pruners.NopPruner(),
        )
        study.enqueue_trial(dict(DEFAULTS))
        return study

    def _ask(self, study: Any, number: int, batch: int) -> _Run:
        trial = study.ask()
        params = {
            "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
            "max_depth": trial.suggest_int("max_depth", 3, 10),
            "min_child_weight": trial.suggest_float("min_child_weight", 1.0, 200.0, log=True),
            "subsample": trial.suggest_float("subsample", 0.5, 1.0),
            "colsample_bytree": trial.suggest_float("colsample_bytree", 0.4, 1.0),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 50.0, log=True),
        }
        return _Run(number=number, batch=batch, params=params, trial=trial)

    def _tell(self, study: Any, run: _Run) -> None:
        import optuna

        if run.state == "complete":
            study.tell(run.trial, run.score)
            return
        # TPE ranks pruned trials by how far they came and their last value, in the study's direction.
        aligned = self.greater == self.judge.greater_is_better
        run.trial.report(run.values[-1] if aligned else -run.values[-1], step=len(run.values))
        study.tell(run.trial, state=optuna.trial.TrialState.PRUNED)

    def _run_trial(self, run: _Run, bar: np.ndarray | None) -> _Run:
        """Fit one trial with one thread; the binned matrices are shared with other trials and only read."""
        import xgboost

        started = time.perf_counter()
        recipe = replace(self.problem.template, params={**self.problem.template.params, **run.params})
        watch = _watch(run, bar, patience=self.settings.early_stopping_rounds, greater=self.greater)
        booster = xgboost.train(
            {**booster_params(recipe, threads=1), "eval_metric": self.eval_metric},
            self.problem.fit_side,
            num_boost_round=recipe.rounds,
            evals=[(self.problem.validation, "validation")],
            callbacks=[watch],
            verbose_eval=False,
        )
        if run.state == "complete":
            scores = booster.predict(self.problem.validation, iteration_range=(0, run.best + 1))
            run.score = self.judge.score(self.problem.y, scores)
        run.seconds = time.perf_counter() - started
        return run

    def _bar(self, done: Sequence[_Run]) -> np.ndarray | None:
        """What a trial must reach: the median of the finished trials' best values by amount of learning."""
        paths = [_by_learning(run, greater=self.greater) for run in done if run.state == "complete"]
        if len(paths) < _PRUNE_AFTER:
            return None
        length = max(len(path) for path in paths)
        return np.median([np.pad(path, (0, length - len(path)), mode="edge") for path in paths], axis=0)


def _by_learning(run: _Run, *, greater: bool) -> np.ndarray:
    """The best value so far when rounds x learning rate passed 1, 2, 3, ...: rounds alone don't compare."""
    values = np.asarray(run.values)
    best = np.maximum.accumulate(values) if greater else np.minimum.accumulate(values)
    learnt = _learnt(np.arange(1, len(best) + 1), run)
    steps = np.arange(1, max(int(learnt[-1]), 1) + 1)
    return best[np.minimum(np.searchsorted(learnt, steps), len(best) - 1)]


def _learnt(rounds: Any, run: _Run) -> Any:
    # Rounded, because 10 x 0.1 must pass 1 on every machine.
    return np.round(rounds * run.params["learning_rate"], 9)


def _watch(run: _Run, bar: np.ndarray | None, *, patience: int, greater: bool) -> Any:
    """The callback that records the curve, stops early, and prunes what is behind the bar."""
    import xgboost

    class Watch(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            ((values,),) = (log.values() for log in evals_log.values())
            run.values.append(float(values[-1]))
            if (run.values[-1] > run.values[run.best]) if greater else (run.values[-1] < run.values[run.best]):
                run.best = epoch
            if bar is not None and self._is_behind(epoch + 1):
                run.state = "pruned"
                return True
            return epoch - run.best >= patience

        def _is_behind(self, rounds: int) -> bool:
            step = int(_learnt(rounds, run))
            if step < _PRUNE_FROM or step == int(_learnt(rounds - 1, run)) or bar is None:
                return False
            level, best = bar[min(step, len(bar)) - 1], run.values[run.best]
            return bool(best < level if greater else best > level)

    return Watch()


def _table(runs: Sequence[_Run]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "trial": run.number,
                "batch": run.batch,
                "state": run.state,
                "score": run.score,
                "rounds": run.best + 1,
                "seconds": run.seconds,
                **run.params,
            }
            for run in runs
        ]
    )


def _curve(runs: Sequence[_Run]) -> pd.DataFrame:
    lengths = [len(run.values) for run in runs]
    return pd.DataFrame(
        {
            "trial": np.repeat([run.number for run in runs], lengths),
            "round": np.concatenate([np.arange(1, length + 1) for length in lengths]),
            "value": np.concatenate([np.asarray(run.values) for run in runs]),
        }
    )
