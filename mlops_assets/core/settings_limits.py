"""Limits of a model's metrics, held against what the metrics can be.

Here: each limit of `monitoring`, `gate` and `rollout` that belongs to a metric. Not here: the ranges
(`stats.metric_limits`), those of `retrain.on` (`decide.agreed.reading`), of `monitoring.fairness` and `training`, which
are read where these sections are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mlops_assets.core.limits.ranges import Range
from mlops_assets.core.performance.policy import MetricLimit, PerformancePolicy
from mlops_assets.core.promote.gate_policy import GatePolicy
from mlops_assets.core.rollout.moves import RolloutPolicy
from mlops_assets.core.stats.metric_limits import differences_of, drops_of, limits_of
from mlops_assets.core.stats.metrics import Task, metric


@dataclass(frozen=True)
class AgreedLimits:
    """The sections of a model's YAML that hold limits of metrics.

    Attributes:
        task: of the model.
        metric: of the model: all limits but `further` are its.
        performance: under `monitoring`.
        further: the limits of other metrics, by name; that of profit brings its cost table along.
        gate: the gate.
        rollout: None where there is none.
    """

    task: Task
    metric: str
    performance: PerformancePolicy
    further: Mapping[str, MetricLimit]
    gate: GatePolicy
    rollout: RolloutPolicy | None

    def refuse_out_of_reach(self) -> None:
        """Hold every limit against its metric.

        Raises:
            WrongSetting: no value of the metric can break it, or every one does; the message names the field.
        """
        for place, limit, allowed in self._limits():
            if limit is not None:
                allowed.refuse(place, limit)

    def _limits(self) -> Iterator[tuple[str, float | None, Range]]:
        """Each limit: its field, what is set, and its range."""
        own, task = metric(self.metric), self.task
        values, drops = limits_of(own, task), drops_of(own, task)
        yield "monitoring.performance.floor", self.performance.floor, values
        yield "monitoring.performance.max_drop", self.performance.max_drop, drops
        yield "monitoring.performance.max_drop_from_previous", self.performance.max_drop_from_previous, drops
        for name, limit in self.further.items():
            yield f"monitoring.limits.{name}.floor", limit.floor, limits_of(metric(name), task)
            yield f"monitoring.limits.{name}.max_drop", limit.max_drop, drops_of(metric(name), task)
        yield "gate.min_value", self.gate.min_value, values
        if self.gate.rule == "absolute":
            yield "gate.min_gain", self.gate.min_gain, differences_of(own, task)
        if self.rollout is not None:
            yield "rollout.max_drop", self.rollout.max_drop, drops
