"""What a performance report keeps of a window.

Here: the type, and what it says of a metric. Not here: what all summaries have, files (`windows.summaries`), judging
(`performance_report`), how it is shown (`label_report`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from mlops_assets.core.drift.labels import LabelDrift
from mlops_assets.core.performance.estimation import Estimated
from mlops_assets.core.performance.fairness import Difference
from mlops_assets.core.performance.label_maturity import EarlyLabels
from mlops_assets.core.performance.window_metrics import Estimate, PerformanceRow
from mlops_assets.core.record.entries import WindowVerdict
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.watch.windows.summaries import Guessing, PlainAnswer, WindowSummary, answer_of


class LabelAges(msgspec.Struct, frozen=True):
    """When labels come, and how early ones mislead.

    Attributes:
        sentence: for people.
        curve: hours since the event, share of the labels known; missing where there are no labels.
        early: what labels known by some ages say, against all of them.
        early_of: what of them: by default their mean, else the share of a class.
    """

    sentence: str
    curve: tuple[tuple[float, float], ...] | UnsetType = UNSET
    early: tuple[EarlyLabels, ...] | UnsetType = UNSET
    early_of: str | UnsetType = UNSET


class Restating(msgspec.Struct, frozen=True, kw_only=True):
    """That a window was judged again since its labels had changed.

    Attributes:
        at: by the model's clock.
        changed: labels that are others than before.
        withdrawn: labels that are known no more.
        judged: labels that it had been judged on.
        window: its label.
        reason: for people.
        before: the verdict before.
        after: the verdict now.
    """

    at: datetime
    changed: int
    withdrawn: int
    judged: int
    window: str
    reason: str
    before: WindowVerdict
    after: WindowVerdict


class PerformanceSummary(WindowSummary, frozen=True, kw_only=True):
    """What a performance report keeps of a window.

    Attributes:
        judged_at: by the model's clock.
        performance: the window's row of the report.
        fairness: how far groups differ; an empty mapping in a window that could not be judged.
        guessing: how its version did against guessing.
        estimated: metric -> estimate before labels; missing in summaries from before there were any.
        label_maturity: when labels come.
        label_drift: how far its labels are from those the version was trained on.
        classes: rows with a label of each class, by code; of multiclass models.
        restated: each time that it was judged again for its labels.
        restated_now: whether it was this time.
    """

    judged_at: datetime | UnsetType = UNSET
    performance: PerformanceRow
    fairness: tuple[Difference, ...] | Mapping[str, Difference] = ()
    guessing: Guessing = Guessing()
    estimated: Mapping[str, Estimated] | UnsetType = UNSET
    label_maturity: LabelAges | UnsetType = UNSET
    label_drift: PlainAnswer | UnsetType = UNSET
    classes: Mapping[str, int] | UnsetType = UNSET
    restated: tuple[Restating, ...] = ()
    restated_now: bool = False

    @property
    def verdict(self) -> WindowVerdict:
        """Whether performance holds."""
        check = self.checks[0]
        return WindowVerdict(check.passed, check.value, check.sentence)

    @property
    def label_shift(self) -> LabelDrift | CannotJudge | None:
        """How far its labels are from those the version was trained on; None in summaries that do not say."""
        return answer_of(self.label_drift, LabelDrift)

    def measured(self, name: str) -> Estimate | None:
        """A metric on the known labels."""
        return self.performance.metrics.get(name)

    def value(self, name: str) -> float | None:
        """Its value alone."""
        return estimate.value if (estimate := self.measured(name)) else None

    def estimate(self, name: str) -> Estimated:
        """A metric's estimate before labels, or why there is none."""
        if self.estimated and name in self.estimated:
            return self.estimated[name]
        why = CannotJudge("this window was judged before there were estimates", "It is made at its next judgement")
        return Estimated.none(name, self.rows, why)
