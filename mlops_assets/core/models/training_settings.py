"""How a recipe is searched for: every field of `training`, its default and its meaning.

Here: the settings, their ranges, the grid that they list. Not here: the search (`tuning`), on which rows
(`training_window`), as YAML has them (`core.settings`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import product
from typing import Annotated, Any, Literal

from mlops_assets.core.limits.ranges import LARGEST, Allowed, Length, Range, WrongSetting, refuse_outside
from mlops_assets.core.limits.scientific_notation import as_number
from mlops_assets.core.models.cores import cores
from mlops_assets.core.models.families import FAMILIES, family_called
from mlops_assets.core.models.matrix import MIN_ROWS
from mlops_assets.core.models.probabilities import Method
from mlops_assets.core.stats.metric_limits import limits_of
from mlops_assets.core.stats.metrics import Task
from mlops_assets.core.stats.metrics import metric as metric_called

_FLOOR = Range(-LARGEST, LARGEST, 0.85, words=("preset",), note=", both of roc_auc; 20 of rmse")
_ROUNDS = Range(1, 100_000, 400, whole=True)
_ROWS = Range(1, 1e9, 500, whole=True)
MOST_COMBINATIONS = 1_000
"""Of a grid."""


class _Parameters(Allowed):
    """What any family can be given under `params`; each knows the ranges of its own."""

    def read(self, value: Any) -> Any:
        """See `Allowed`. No family has a text that could be taken for a number."""
        if not isinstance(value, Mapping):
            return value
        return {
            name: [as_number(each) for each in given] if isinstance(given, list) else as_number(given)
            for name, given in value.items()
        }

    def fault(self, value: Any) -> str:
        """See `Allowed`."""
        if not isinstance(value, Mapping):
            return f"is {value!r}: write parameters by name, for example {{max_depth: 4}}"
        for name, given in value.items():
            for each in given if isinstance(given, list) else [given]:
                if isinstance(each, bool) or (not isinstance(each, str) and _FLOOR.fault(each)):
                    return f"has {each!r} for {name}: write a number or a text, for example {{max_depth: 4}}"
        return ""


FLOORS: Mapping[str, float] = {"roc_auc": 0.85}
"""What `training.floor: preset` stands for, by metric."""


_OTHER_NAMES: Mapping[str, str] = {
    "n_estimators": "max_rounds",
    "num_boost_round": "max_rounds",
    "eta": "learning_rate",
    "gamma": "min_child_weight",
    "min_split_loss": "min_child_weight",
    "reg_alpha": "reg_lambda",
    "lambda": "reg_lambda",
    "colsample_bylevel": "colsample_bytree",
}
"""What XGBoost and scikit-learn call it -> the nearest that can be set."""


def _nearest(name: str, known: Collection[str]) -> str:
    """The parameter, or field of `training`, that comes nearest to an unknown one, to begin the remedy with."""
    other = _OTHER_NAMES.get(name, name)
    # A forest is one round of a fixed number of trees: only boosting, which has a learning rate, has more or fewer.
    if other == "max_rounds" and "learning_rate" not in known:
        return ""
    if other in TrainingSettings.__dataclass_fields__:
        return f"the nearest is training.{other}, beside params; or "
    close = [other] if other in known else get_close_matches(name, known, n=1, cutoff=0.75)
    return f"the nearest is {close[0]}; " if close else ""


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
    floor: Annotated[float | Literal["preset"] | None, _FLOOR] = None
    search: Literal["optuna", "grid"] = "optuna"
    cv: Annotated[int, Range(1, 50, 3, whole=True)] = 1
    trials: Annotated[int, Range(1, 10_000, 20, whole=True)] = 20
    budget: Annotated[str | None, Length("0s", "30d", "10min")] = None
    batch: Annotated[int, Range(1, 1_000, 4, whole=True)] = 4
    seed: Annotated[int, Range(0, 2**31 - 1, 13, whole=True)] = 13
    validation_share: Annotated[float, Range(0, 1, 0.2, above=True, below=True)] = 0.2
    early_stopping_rounds: Annotated[int, _ROUNDS] = 20
    max_rounds: Annotated[int, _ROUNDS] = 400
    min_rows: Annotated[int, _ROWS] = MIN_ROWS
    trial_rows: Annotated[int | None, _ROWS] = 100_000
    imbalance: Literal["none", "weights", "auto"] = "none"
    calibration: Method = "none"
    threads: Annotated[int | None, Range(1, 1_024, 4, whole=True)] = None
    params: Annotated[Mapping[str, float | int | str | list[float | int | str]] | None, _Parameters()] = None
    device: Literal["cpu", "cuda"] = "cpu"
    retries: Annotated[int, Range(0, 100, 1, whole=True)] = 0
    retry_delay: Annotated[str, Length("0s", "30d", "5m")] = "1m"

    def __post_init__(self) -> None:
        refuse_outside(TrainingSettings, vars(self), "training")
        unknown = [name for name in self.families if name not in FAMILIES]
        if unknown or not self.families or len(set(self.families)) < len(self.families):
            raise WrongSetting(
                f"training.families has {unknown or list(self.families)}: name some of {', '.join(FAMILIES)}, each once"
            )
        self._check_search()

    def _check_search(self) -> None:
        listed = [name for name, value in (self.params or {}).items() if isinstance(value, list)]
        if self.search == "optuna" and listed:
            raise WrongSetting(
                f"training.params lists values of {', '.join(listed)}: set search: grid to try each, or give one value"
            )
        if self.search == "grid" and not listed:
            raise WrongSetting(
                "training.search: grid tries what training.params lists, such as max_depth: [4, 6]: list some"
            )
        if empty := [name for name in listed if not (self.params or {})[name]]:
            raise WrongSetting(f"training.params.{empty[0]} lists no value: give some, or leave it out")
        if len(grid := self.grid(listed)) > MOST_COMBINATIONS:
            raise WrongSetting(
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

    def _check_params(self, family: str) -> None:
        """Hold each value against what the family can be fitted with: its library would say so at the first trial."""
        for name, allowed in family_called(family).ranges.items():
            given = (self.params or {}).get(name, family_called(family).defaults[name])
            for value in given if isinstance(given, list) else [given]:
                allowed.refuse(f"training.params.{name}", value)
                if isinstance(allowed, Range) and allowed.whole and not isinstance(value, int):
                    raise WrongSetting(f"training.params.{name} is {value}: write it as {value:.0f}, a whole number")

    def check_task(self, task: Task, metric: str) -> None:
        """Whether these settings make sense for a model.

        Raises:
            WrongSetting: they don't; the message says what to change.
        """
        if task == "regression" and (self.imbalance, self.calibration) != ("none", "none"):
            raise WrongSetting(
                "training.imbalance and training.calibration are for classes: leave them out of a regression"
            )
        # Families are modules of their own: they are asked only where somebody has set a parameter.
        known = {name for family in self.families if self.params for name in family_called(family).defaults}
        if unknown := sorted((self.params or {}).keys() - known):
            families = " and ".join(self.families)
            raise WrongSetting(
                f"training.params has {unknown[0]!r}, for which {families} has no search: "
                f"{_nearest(unknown[0], known)}set some of {', '.join(sorted(known))}"
            )
        for family in self.families if self.params else ():
            self._check_params(family)
        if self.device == "cuda" and not any(family_called(family).on_gpu for family in self.families):
            raise WrongSetting(
                f"training.device: cuda is for XGBoost, and training.families has {', '.join(self.families)}: leave "
                "device out, or name xgboost"
            )
        if isinstance(self.floor, int | float):
            limits_of(metric_called(metric), task).refuse("training.floor", self.floor)
        if self.floor == "preset" and metric not in FLOORS:
            raise WrongSetting(f"training.floor: preset is for {', '.join(FLOORS)}: give a value of {metric}")
