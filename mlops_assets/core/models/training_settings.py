"""How a recipe is searched for: every field of `training`, its default and its meaning.

Here: the settings, their ranges, the grid that they list. Not here: the search (`tuning`), on which rows
(`training_window`), as YAML has them (`core.settings`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from mlops_assets.core.models.cores import cores
from mlops_assets.core.models.families import FAMILIES, family_called
from mlops_assets.core.models.matrix import MIN_ROWS
from mlops_assets.core.models.probabilities import Method
from mlops_assets.core.stats.metrics import Task
from mlops_assets.core.time.windows import parse_duration

MOST_COMBINATIONS = 1_000
"""Of a grid."""
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
        search: `optuna` (default), or `grid`: every combination of the values that `params` lists, the others at the
            family's defaults.
        cv: folds of the newest days that score a trial, 1 by default: each is scored by a fit on all days before it,
            and the trial's score is the mean. Days are never shuffled.
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
            all are set, there is one trial. With `search: grid` a list of values is tried one by one.
        device: `cpu` (default) or `cuda`: what XGBoost fits on, in the trials and fits of a training. Refused where
            there is no GPU. All else, scoring included, is done by the CPU.
        retries: how often the fit of a challenger is tried again when it breaks, 0 by default.
        retry_delay: how long it waits before that, as 5m; 1m by default.
    """

    families: tuple[str, ...] = ("xgboost",)
    floor: float | Literal["preset"] | None = None
    search: Literal["optuna", "grid"] = "optuna"
    cv: int = 1
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
    params: Mapping[str, float | int | str | list[float | int | str]] | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    retries: int = 0
    retry_delay: str = "1m"

    def __post_init__(self) -> None:
        counts = ("cv", "trials", "batch", "early_stopping_rounds", "max_rounds", "min_rows", "trial_rows", "threads")
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
        self._check_search()
        if self.retries < 0:
            raise ValueError(f"training.retries is {self.retries}: set it to 0 or more")
        parse_duration(self.retry_delay)

    def _check_search(self) -> None:
        listed = [name for name, value in (self.params or {}).items() if isinstance(value, list)]
        if self.search == "optuna" and listed:
            raise ValueError(
                f"training.params lists values of {', '.join(listed)}: set search: grid to try each, or give one value"
            )
        if self.search == "grid" and not listed:
            raise ValueError(
                "training.search: grid tries what training.params lists, such as max_depth: [4, 6]: list some"
            )
        if empty := [name for name in listed if not (self.params or {})[name]]:
            raise ValueError(f"training.params.{empty[0]} lists no value: give some, or leave it out")
        if len(grid := self.grid(listed)) > MOST_COMBINATIONS:
            raise ValueError(
                f"training.params lists {len(grid):,} combinations, and {MOST_COMBINATIONS:,} are tried at most: list "
                "fewer values, or leave search to optuna"
            )

    def grid(self, names: Collection[str]) -> list[dict[str, Any]]:
        """Every combination of the values that are listed for some parameters, in the order of the lists."""
        lists = {
            name: value for name, value in (self.params or {}).items() if name in names and isinstance(value, list)
        }
        return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]

    @property
    def for_choosing(self) -> TrainingSettings:
        """The same for telling families apart: one batch of trials on one split, of what is not listed."""
        single = {name: value for name, value in (self.params or {}).items() if not isinstance(value, list)}
        trials = min(self.trials, self.batch)
        return replace(self, trials=trials, budget=None, search="optuna", cv=1, params=single or None)

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
