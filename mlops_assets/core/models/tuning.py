"""The search behind `training.tune`: batches of trials, pruning, and the tables of what was tried.

Here: asking Optuna or taking the next of a grid, running a batch in parallel, telling it. Not here: the settings
(`training_settings`), the split by time (`time_splits`), a trial and the rule that prunes it (`trials`), how a family
fits one (`families`).

Trials are asked and told in batches of a fixed size and run in parallel inside a batch. A trial sees finished
batches only (also for pruning), has one thread, and its sampling is seeded; so the result depends on rows and
settings, and not on the number of cores. All trials share what the family made of the rows, and only read it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops_assets.core.models.families import Rows, family_of
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.models.training_settings import TrainingSettings
from mlops_assets.core.models.trials import Trial, bar_of, curves, table
from mlops_assets.core.stats.metrics import Metric
from mlops_assets.core.time.windows import parse_duration

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows that a trial is fitted on, and later ones that it is scored on."""

    fit_side: Rows
    validation: Rows


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is searched for.

    Attributes:
        template: the recipe without the parameters that are searched.
        judge: the metric that ranks trials.
        folds: what trials are fitted and scored on, oldest first.
    """

    template: Recipe
    judge: Metric
    folds: tuple[Fold, ...]


@dataclass(frozen=True)
class SearchResult:
    """The best trial and the record of all, as `training.Tuned` has them; and its scores, with the rows' labels."""

    recipe: Recipe
    scores: np.ndarray
    labels: np.ndarray
    score: float
    best_trial: int
    trials: pd.DataFrame
    curve: pd.DataFrame
    curve_metric: str


def search(wanted: Wanted, settings: TrainingSettings, *, first: Mapping[str, Any] | None = None) -> SearchResult:
    """Run all trials and give the best; equal scores: the earlier trial.

    Args:
        wanted: what is searched for.
        settings: how.
        first: parameters that are tried before the defaults, e.g. the champion's.

    Raises:
        CannotTrain: no trial could be fitted.
    """
    return _Search(wanted, settings, first).run()


class _Search:
    """Ask a batch, run it in parallel, tell it in order; again until the trials are used up."""

    def __init__(self, wanted: Wanted, settings: TrainingSettings, first: Mapping[str, Any] | None) -> None:
        self.template, self.judge = wanted.template, wanted.judge
        self.labels = [fold.validation.y for fold in wanted.folds]
        self.settings, self.first = settings, first or {}
        self.family = family_of(wanted.template)
        own = {name: value for name, value in (settings.params or {}).items() if name in self.family.defaults}
        self.set = {name: value for name, value in own.items() if not isinstance(value, list)}
        self.grid = settings.grid(self.family.defaults.keys()) if settings.search == "grid" else None
        self.problems = [
            self.family.problem(wanted.template, wanted.judge, fold.fit_side, fold.validation) for fold in wanted.folds
        ]
        self.problem = self.problems[0]

    def run(self) -> SearchResult:
        done = self._all_batches()
        sign = 1.0 if self.judge.greater_is_better else -1.0
        complete = [trial for trial in done if trial.state == "complete"]
        best = max(complete, key=lambda trial: (sign * trial.score, -trial.number))
        return SearchResult(
            scores=best.scores,
            labels=np.concatenate(self.labels),
            recipe=replace(self.template, params={**self.template.params, **best.params}, rounds=best.best + 1),
            score=best.score,
            best_trial=best.number,
            trials=table(done),
            curve=curves(done),
            curve_metric=self.problem.watched,
        )

    def _all_batches(self) -> list[Trial]:
        study = self._study() if self.grid is None else None
        done: list[Trial] = []
        is_open = self.set.keys() != self.family.defaults.keys()
        wanted = min(self.settings.trials, self.family.most_trials) if is_open else 1
        wanted = wanted if self.grid is None else len(self.grid)
        budget = parse_duration(self.settings.budget).total_seconds() if self.settings.budget else math.inf
        started = time.perf_counter()
        with ThreadPoolExecutor(max_workers=self.settings.workers) as pool:
            while len(done) < wanted and (not done or time.perf_counter() - started < budget):
                size = min(self.settings.batch, wanted - len(done))
                batch = done[-1].batch + 1 if done else 0
                # Of several folds no curve is a trial's own, and of a grid a person wants to see each to its end.
                bar = bar_of(done) if self.grid is None and len(self.problems) == 1 else None
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
        defaults = dict(self.family.defaults)
        champions = {name: self.first[name] for name in defaults if name in self.first}
        if len(champions) == len(defaults) and champions != defaults:
            study.enqueue_trial(champions)
        study.enqueue_trial(defaults)
        return study

    def _ask(self, study: Any, number: int, batch: int, bar: np.ndarray | None) -> Trial:
        asked = study.ask() if study is not None else None
        tried = self.family.suggest(asked) if self.grid is None else {**self.family.defaults, **self.grid[number]}
        return Trial(
            number=number,
            batch=batch,
            params={**tried, **self.set},
            asked=asked,
            bar=bar,
            greater=self.problem.greater,
            patience=self.settings.early_stopping_rounds,
        )

    def _tell(self, study: Any, trial: Trial) -> None:
        if study is None:
            return
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
        attempts = [trial] if len(self.problems) == 1 else [trial.on_a_fold() for _ in self.problems]
        scores = [problem.attempt(recipe, attempt) for problem, attempt in zip(self.problems, attempts, strict=True)]
        complete = [values for values in scores if values is not None]
        if len(complete) == len(scores):
            trial.score = float(np.mean([self.judge.score(y, of) for y, of in zip(self.labels, complete, strict=True)]))
            trial.scores = np.concatenate(complete)
        if len(attempts) > 1:
            # As many rounds as the fold in the middle wanted; its curve is the newest fold's.
            trial.best, trial.values = int(np.median([each.best for each in attempts])), attempts[-1].values
        trial.seconds = time.perf_counter() - started
        return trial
