"""The search behind `training.tune`: batches of trials, pruning, and the tables of what was tried.

Here: the settings, asking Optuna, running a batch in parallel, telling it. Not here: the split by time (`training`),
a trial and the rule that prunes it (`trials`), how a family fits one (`families`).

Trials are asked and told in batches of a fixed size and run in parallel inside a batch. A trial sees finished
batches only (also for pruning), has one thread, and its sampling is seeded; so the result depends on rows and
settings, and not on the number of cores. All trials share what the family made of the rows, and only read it.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.families import Rows, family_called
from mlops_assets.core.matrix import MIN_ROWS
from mlops_assets.core.metrics import Metric
from mlops_assets.core.recipe import Recipe
from mlops_assets.core.trials import Trial, bar_of, curves, table


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
        family_called(self.family)

    @property
    def workers(self) -> int:
        """Trials at work at a time on this machine."""
        return max(1, min(self.batch, self.threads or len(os.sched_getaffinity(0))))


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is searched for.

    Attributes:
        template: the recipe without the parameters that are searched.
        judge: the metric that ranks trials.
        fit_side: rows that trials are fitted on.
        validation: rows that they are scored on.
    """

    template: Recipe
    judge: Metric
    fit_side: Rows
    validation: Rows


@dataclass(frozen=True)
class Found:
    """The best trial and the record of all; the fields are those of `training.Tuned`."""

    recipe: Recipe
    score: float
    best_trial: int
    trials: pd.DataFrame
    curve: pd.DataFrame
    curve_metric: str


def search(wanted: Wanted, settings: TrainingSettings) -> Found:
    """Run all trials and give the best; equal scores: the earlier trial."""
    return _Search(wanted, settings).run()


class _Search:
    """Ask a batch, run it in parallel, tell it in order; again until the trials are used up."""

    def __init__(self, wanted: Wanted, settings: TrainingSettings) -> None:
        self.template, self.judge, self.y = wanted.template, wanted.judge, wanted.validation.y
        self.settings = settings
        self.family = family_called(wanted.template.family)
        self.problem = self.family.problem(wanted.template, wanted.judge, wanted.fit_side, wanted.validation)

    def run(self) -> Found:
        done = self._all_batches()
        sign = 1.0 if self.judge.greater_is_better else -1.0
        complete = [trial for trial in done if trial.state == "complete"]
        best = max(complete, key=lambda trial: (sign * trial.score, -trial.number))
        return Found(
            recipe=replace(self.template, params={**self.template.params, **best.params}, rounds=best.best + 1),
            score=best.score,
            best_trial=best.number,
            trials=table(done),
            curve=curves(done),
            curve_metric=self.problem.watched,
        )

    def _all_batches(self) -> list[Trial]:
        study = self._study()
        done: list[Trial] = []
        with ThreadPoolExecutor(max_workers=self.settings.workers) as pool:
            while len(done) < self.settings.trials:
                size = min(self.settings.batch, self.settings.trials - len(done))
                batch = done[-1].batch + 1 if done else 0
                bar = bar_of(done)
                asked = [self._ask(study, len(done) + place, batch, bar) for place in range(size)]
                for trial in list(pool.map(self._run_trial, asked)):
                    self._tell(study, trial)
                    done.append(trial)
        return done

    def _study(self) -> Any:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            direction="maximize" if self.judge.greater_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=self.settings.seed, n_startup_trials=8),
            pruner=optuna.pruners.NopPruner(),
        )
        study.enqueue_trial(dict(self.family.defaults))
        return study

    def _ask(self, study: Any, number: int, batch: int, bar: np.ndarray | None) -> Trial:
        asked = study.ask()
        return Trial(
            number=number,
            batch=batch,
            params=self.family.suggest(asked),
            asked=asked,
            bar=bar,
            greater=self.problem.greater,
            patience=self.settings.early_stopping_rounds,
        )

    def _tell(self, study: Any, trial: Trial) -> None:
        import optuna

        if trial.state == "complete":
            study.tell(trial.asked, trial.score)
            return
        # TPE ranks pruned trials by how far they came and their last value, in the study's direction.
        aligned = self.problem.greater == self.judge.greater_is_better
        trial.asked.report(trial.values[-1] if aligned else -trial.values[-1], step=len(trial.values))
        study.tell(trial.asked, state=optuna.trial.TrialState.PRUNED)

    def _run_trial(self, trial: Trial) -> Trial:
        """Fit one trial with one thread; what it shares with other trials is only read."""
        started = time.perf_counter()
        recipe = replace(self.template, params={**self.template.params, **trial.params})
        scores = self.problem.attempt(recipe, trial)
        if scores is not None:
            trial.score = self.judge.score(self.y, scores)
        trial.seconds = time.perf_counter() - started
        return trial
