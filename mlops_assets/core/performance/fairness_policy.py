"""Which groups are compared, by which measure, and how far they may differ.

Here: the policy and the measures of each task. Not here: measuring (`fairness`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from mlops_assets.core.limits.ranges import CONFIDENCE, LARGEST, PART, ROW_COUNT, Length, Range, refuse_outside
from mlops_assets.core.stats.metric_limits import differences_of
from mlops_assets.core.stats.metrics import METRICS, Task, metrics_for

DEFAULT_SHARE = 0.1
"""The limit where none is set and the measure is a share."""
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
"""Parts of measures that are shares of rows."""
_DIFFERENCE = Range(0, LARGEST, DEFAULT_SHARE)
"""Of any measure; that of the measure which is set is held against it when the task is known."""
_PARTS: Mapping[str, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalized_odds": ("true_positive_rate", "false_positive_rate"),
}
"""What a measure is the largest difference of; any other measure is the difference of that one number."""


def parts_of(measure: str) -> tuple[str, ...]:
    """The numbers of which a measure is the largest difference."""
    return _PARTS.get(measure, (measure,))


def measures_for(task: Task) -> tuple[str, ...]:
    """The measures that `monitoring.fairness.measure` may name; the first is what `auto` means."""
    if task == "binary":
        return ("equalized_odds", "demographic_parity", "equal_opportunity", *metrics_for(task))
    return ("accuracy",) if task == "multiclass" else ("mean_error", "mae", "rmse", "r2")


@dataclass(frozen=True)
class FairnessPolicy:
    """How far groups may differ. Off until `by` names a column.

    Attributes:
        by: columns of the label model, or features, whose values are the groups; none by default. Each column is
            judged by itself; for their combinations make a column of both.
        measure: `auto` (default): `equalized_odds` for a binary task (the larger of the differences of true and of
            false positive rate), `accuracy` for classes, `mean_error` for a regression (prediction less label, in its
            unit). Binary may also have `demographic_parity` (difference of the share that is called, labels or not)
            or `equal_opportunity` (true positive rate only), and any task a metric of its own.
        max_difference: largest difference between two groups, in the measure's unit. By default 0.1 where the measure
            is a share; else it must be set.
        min_rows: smaller groups are named and not judged, 200 by default.
        window: the performance report compares groups on the rows of so many days up to a window's end, `28d` by
            default, whichever versions have scored them; eight days at least are needed.
        confidence: two-sided, of the interval, 0.95 by default. The limit is broken when the lower bound is above it.
    """

    by: tuple[str, ...] = ()
    measure: str = "auto"
    max_difference: Annotated[float | None, _DIFFERENCE] = None
    min_rows: Annotated[int, ROW_COUNT] = 200
    window: Annotated[str, Length("8d", "3650d", "28d")] = "28d"
    confidence: Annotated[float, CONFIDENCE] = 0.95

    def __post_init__(self) -> None:
        refuse_outside(FairnessPolicy, vars(self), "monitoring.fairness")

    def check(self, task: Task) -> None:
        """Refuse a measure that the task does not have, or a limit that nobody has set.

        Raises:
            ValueError: with the field to change.
        """
        if self.by and self.measure_of(task) not in measures_for(task):
            msg = f"monitoring.fairness.measure is {self.measure!r}: set one of {', '.join(measures_for(task))}"
            raise ValueError(msg)
        if self.by:
            measure, limit = self.measure_of(task), self.limit(task)
            if measure in METRICS:
                differences_of(METRICS[measure], task).refuse("monitoring.fairness.max_difference", limit)
            elif set(parts_of(measure)) <= set(RATES):
                PART.refuse("monitoring.fairness.max_difference", limit)

    def measure_of(self, task: Task) -> str:
        """The measure in force."""
        return measures_for(task)[0] if self.measure == "auto" else self.measure

    def limit(self, task: Task) -> float:
        """The limit in force.

        Raises:
            ValueError: none is set and the measure is no share.
        """
        if self.max_difference is not None:
            return self.max_difference
        if not set(parts_of(self.measure_of(task))) <= set(RATES):
            msg = f"monitoring.fairness.max_difference has no default for {self.measure_of(task)}: set it in its unit"
            raise ValueError(msg)
        return DEFAULT_SHARE
