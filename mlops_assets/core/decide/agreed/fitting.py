"""Whether agreed triggers fit a model: those that can never ask are refused, or named.

Here: what a model's settings alone tell (`refuse_unfit`), and what the kinds of its features do (`no_limit_applies`).
Not here: reading the list (`reading`), what only a home knows (`steps.decide.trigger_reach`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlops_assets.core.decide.agreed.triggers import OnDrift, OnPerformance, Trigger
from mlops_assets.core.drift.policy import KIND_IN_WORDS, DriftPolicy
from mlops_assets.core.stats.metric_limits import drops_of, limits_of
from mlops_assets.core.stats.metrics import PROFIT, Task, metric, metrics_for, profit

if TYPE_CHECKING:
    from mlops_assets.core.drift.grid import Kind


NEEDS_BOUNDS = (
    "{} is measured on bounds beside each prediction, and there are none: set monitoring.interval, for example 0.9."
)


@dataclass(frozen=True)
class Watched:
    """What of a model's settings decides whether a trigger can ask.

    Attributes:
        task: the model's.
        metric: what it is judged by.
        costs: the cost table that profit is measured by; empty where it is not.
        views: the feature views that it reads.
        exclude: features of these that it is not trained on, with or without their view's name in front.
        has_bounds: whether predictions have bounds beside them (`monitoring.interval`).
        drift: what `monitoring.drift` says.
        is_calibrated: whether levels that its own days set may stand in place of the limits of `monitoring.drift`.
        holds_performance: whether `monitoring.performance` or `monitoring.limits` has any limit.
        by_hours: whether monitoring windows are shorter than a day.
    """

    task: Task
    metric: str
    views: Collection[str]
    exclude: Collection[str] = ()
    costs: Mapping[str, float] = field(default_factory=dict)
    has_bounds: bool = False
    drift: DriftPolicy = field(default_factory=DriftPolicy)
    is_calibrated: bool = False
    holds_performance: bool = True
    by_hours: bool = False


def refuse_unfit(triggers: Sequence[Trigger], model: Watched) -> None:
    """Refuse triggers that a model's windows can never answer.

    Raises:
        ValueError: a metric of another task, a limit outside its range, a feature that the model
            does not have, a monitor without limits; the message ends in the remedy.
    """
    for trigger in triggers:
        if isinstance(trigger, OnPerformance):
            _refuse_performance(trigger, model)
        if isinstance(trigger, OnDrift):
            _refuse_drift(trigger, model)


def _refuse_performance(trigger: OnPerformance, model: Watched) -> None:
    known = [*metrics_for(model.task), *([PROFIT] if model.costs else [])]
    name = trigger.metric or model.metric
    if name not in known:
        raise ValueError(f"retrain.on: performance: {name} is not measured here: name one of {', '.join(known)}.")
    judge = profit(model.task, model.costs) if name == PROFIT else metric(name)
    if judge.of_bounds and not model.has_bounds:
        raise ValueError(f"retrain.on: performance: {NEEDS_BOUNDS.format(name)}")
    if trigger.floor is not None:
        limits_of(judge, model.task).refuse("retrain.on: performance.floor", trigger.floor)
    if trigger.max_drop is not None:
        drops_of(judge, model.task).refuse("retrain.on: performance.max_drop", trigger.max_drop)
    if not trigger.is_checked and not model.holds_performance:
        raise ValueError(
            "retrain.on: performance can never ask, as monitoring.performance has no limit: set its max_drop or floor, "
            "or a limit here, for example performance: {floor: 0.85}."
        )


def _refuse_drift(trigger: OnDrift, model: Watched) -> None:
    if strange := [name for name in trigger.features if name.split("__")[0] not in model.views]:
        raise ValueError(
            f"retrain.on: drift: {strange[0]} is of no view that the model reads: write it as view__feature, with one "
            f"of {', '.join(model.views)}."
        )
    left_out = [f for f in trigger.features if not {f, f.split("__", 1)[-1]}.isdisjoint(model.exclude)]
    if left_out:
        raise ValueError(
            f"retrain.on: drift: {left_out[0]} is under exclude, and its drift is not measured: remove it from one of "
            "the two."
        )
    if not trigger.is_checked and not model.drift.limits:
        raise ValueError(
            "retrain.on: drift can never ask, as monitoring.drift has every limit off: set one there, or here, for "
            "example drift: {psi: 0.2}."
        )
    if not trigger.is_checked and not model.is_calibrated and model.drift.max_share >= 1:
        raise ValueError(
            "retrain.on: drift can never ask, as monitoring.drift.max_share is 1, and no more than all features drift: "
            "set a smaller share there, or a limit here, for example drift: {psi: 0.2}."
        )
    if trigger.of == "scores":
        _refuse_scores(trigger, model)


def _refuse_scores(trigger: OnDrift, model: Watched) -> None:
    if model.by_hours:
        raise ValueError(
            "retrain.on: drift: scores are not compared in windows of hours: watch the inputs, or set "
            "monitoring.window to days."
        )
    if model.task != "multiclass" and (why := no_limit_applies(trigger.limits, ["numeric"])):
        raise ValueError(f"retrain.on: drift: scores are numbers, and {why}: set psi, ks_p or another one of numbers.")


def no_limit_applies(policy: DriftPolicy, kinds: Collection[Kind]) -> str:
    """Why no feature of these kinds can break a limit; empty where one can."""
    if any(policy.judges(kind) for kind in kinds):
        return ""
    limits = ", ".join(sorted(policy.limits))
    return f"{limits} says nothing of {' or '.join(KIND_IN_WORDS[kind] for kind in sorted(set(kinds)))}"
