"""The search behind `training.tune`: batches of trials, pruning, and the tables of what was tried.

Here: the settings, asking Optuna, running a batch in parallel, telling it. Not here: the split by time (`training`),
a trial and the rule that prunes it (`trials`), how a family fits one (`families`).

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
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlops_assets.core.models.cores import cores
from mlops_assets.core.models.families import FAMILIES, Rows, family_called
from mlops_assets.core.models.matrix import MIN_ROWS
from mlops_assets.core.models.probabilities import Method
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.models.trials import Trial, bar_of, curves, table
from mlops_assets.core.stats.metrics import Metric, Task
from mlops_assets.core.time.windows import parse_duration

if TYPE_CHECKING:
    import pandas as pd

FLOORS: Mapping[str, float] = {"roc_auc": 0.85}
"""What `training.floor: preset` stands for, by metric."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a recipe is searched for.

    Attributes:
        families: kinds of models that are tried, of `core.models.families.FAMILIES`. Of several, the challenger is of
        the one
            that did best on the newest days of the training set, judged part by part (`family_choice`).
        floor: the metric's value that the first family must reach there; if it does, no other is tried. `preset`: 0.85,
            for roc_auc. None: all are tried.
        trials: Optuna trials; the first ones are the champion's parameters and the defaults.
        budget: no batch of trials is begun after this long, as 10min; None: no limit. How many were tried is on record.
        batch: trials that are asked and told together, and run in parallel. It changes the path of
            the search, so the result; at least the number of cores is fastest.
        seed: seeds search and fits; equal rows and settings give equal bytes.
        validation_share: the newest whole days (UTC) that hold at least this share of the rows score trials.
        early_stopping_rounds: a trial ends after so many rounds without a better value on those days.
        max_rounds: upper bound of boosting rounds.
        min_rows: fewer labelled rows than this are not trained on.
        trial_rows: with more rows, trials see a seeded sample of this size (both sides of the split alike);
            the recipe is fitted on all rows later. So many tell recipes apart. None: all.
        imbalance: `none`; `weights`: every class counts the same in total; `auto`: that, where the rarest class has
            less than 5 % of the rows. Weighted models are calibrated in any case.
        calibration: `none`, `platt` or `isotonic`: fitted on the validation days, applied to every score.
        threads: trials at work at a time; None: the cores this process may use. Never changes the result.
        params: parameters that are set and not searched for, by name, as the families call them; none by default. Where
            all are set, there is one trial.
        device: `cpu` (default) or `cuda`: what XGBoost fits on, in the trials and fits of a training. Refused where
            there is no GPU. All else, scoring included, is done by the CPU.
        retries: how often the fit of a challenger is tried again when it breaks, 0 by default.
        retry_delay: how long it waits before that, as 5m; 1m by default.
    """

    families: tuple[str, ...] = ("xgboost",)
    floor: float | Literal["preset"] | None = None
    trials: int = 20
    budget: str | None = None
    batch: int = 4
    seed: int = 13
    validation_share: float = 0.2
    early_stopping_rounds: int = 20
    max_rounds: int = 400
    min_rows: int = MIN_ROWS
    trial_rows: int | None = 100_000
    imbalance: Literal["none", "weights", "auto"] = "none"
    calibration: Method = "none"
    threads: int | None = None
    params: Mapping[str, float | int | str] | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    retries: int = 0
    retry_delay: str = "1m"

    def __post_init__(self) -> None:
        counts = ("trials", "batch", "early_stopping_rounds", "max_rounds", "min_rows", "trial_rows", "threads")
        for name, count in ((name, getattr(self, name)) for name in counts):
            if count is not None and count < 1:
                raise ValueError(f"training.{name} is {count}: set it to 1 or more")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"training.validation_share is {self.validation_share}: set it between 0 and 1")
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown or not self.families or len(set(self.families)) < len(self.families):
            raise ValueError(
                f"training.families has {unknown or list(self.families)}: name some of {', '.join(FAMILIES)}, each once"
            )
        if self.budget is not None:
            parse_duration(self.budget)
        if self.retries < 0:
            raise ValueError(f"training.retries is {self.retries}: set it to 0 or more")
        parse_duration(self.retry_delay)

    @property
    def workers(self) -> int:
        """Trials at work at a time on this machine."""
        return max(1, min(self.batch, self.threads or cores()))

    def check_task(self, task: Task, metric: str) -> None:
        """Whether these settings make sense for a model.

        Raises:
            ValueError: they don't; the message says what to change.
        """
        if task == "regression" and (self.imbalance, self.calibration) != ("none", "none"):
            raise ValueError(
                "training.imbalance and training.calibration are for classes: leave them out of a regression"
            )
        # Families are modules of their own: they are asked only where somebody has set a parameter.
        known = {name for family in self.families if self.params for name in family_called(family).defaults}
        if unknown := sorted((self.params or {}).keys() - known):
            families = " and ".join(self.families)
            raise ValueError(
                f"training.params has {unknown[0]!r}, for which {families} has no search: set some of "
                f"{', '.join(sorted(known))}"
            )
        if self.device == "cuda" and not any(family_called(family).on_gpu for family in self.families):
            raise ValueError(
                f"training.device: cuda is for XGBoost, and training.families has {', '.join(self.families)}: leave "
                "device out, or name xgboost"
            )
        if self.floor == "preset" and metric not in FLOORS:
            raise ValueError(f"training.floor: preset is for {', '.join(FLOORS)}: give a value of {metric}")


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
class SearchResult:
    """The best trial and the record of all; the fields are those of `training.Tuned`, `scores` its own."""

    recipe: Recipe
    scores: np.ndarray
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
        self.template, self.judge, self.y = wanted.template, wanted.judge, wanted.validation.y
        self.settings, self.first = settings, first or {}
        self.family = family_called(wanted.template.family)
        self.set = {name: value for name, value in (settings.params or {}).items() if name in self.family.defaults}
        self.problem = self.family.problem(wanted.template, wanted.judge, wanted.fit_side, wanted.validation)

    def run(self) -> SearchResult:
        done = self._all_batches()
        sign = 1.0 if self.judge.greater_is_better else -1.0
        complete = [trial for trial in done if trial.state == "complete"]
        best = max(complete, key=lambda trial: (sign * trial.score, -trial.number))
        return SearchResult(
            scores=best.scores,
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
        is_open = self.set.keys() != self.family.defaults.keys()
        wanted = min(self.settings.trials, self.family.most_trials) if is_open else 1
        budget = parse_duration(self.settings.budget).total_seconds() if self.settings.budget else math.inf
        started = time.perf_counter()
        with ThreadPoolExecutor(max_workers=self.settings.workers) as pool:
            while len(done) < wanted and (not done or time.perf_counter() - started < budget):
                size = min(self.settings.batch, wanted - len(done))
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
        defaults = dict(self.family.defaults)
        champions = {name: self.first[name] for name in defaults if name in self.first}
        if len(champions) == len(defaults) and champions != defaults:
            study.enqueue_trial(champions)
        study.enqueue_trial(defaults)
        return study

    def _ask(self, study: Any, number: int, batch: int, bar: np.ndarray | None) -> Trial:
        asked = study.ask()
        return Trial(
            number=number,
            batch=batch,
            params={**self.family.suggest(asked), **self.set},
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
            trial.score, trial.scores = self.judge.score(self.y, scores), scores
        trial.seconds = time.perf_counter() - started
        return trial
