"""What has become of an agreed trigger: in a window, or at a moment.

Here: each trigger held against what is known, as a result that decisions rest on. Not here: reading reports and record
(`steps.decide.trigger_results`), the same in a life on paper (`core.simulate.agreed_on_paper`), what follows where one
asks (`decide.triggers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from mlops_assets.core.decide.agreed.triggers import OnData, OnDrift, OnFreshness, OnSchedule, Trigger
from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.decide.history import History
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.policy import drift_verdict
from mlops_assets.core.record.plain_values import days_of
from mlops_assets.core.record.wording import CANNOT_FIRE
from mlops_assets.core.time.calendar_cycles import is_never_compared, why_silent
from mlops_assets.core.time.windows import parse_duration


@dataclass(frozen=True)
class Since:
    """What a trigger counts from.

    Attributes:
        fitted: when the champion was trained.
        trained: when a model was last trained, promoted or not.
        labels: how many labels were known then.
        known: how many are known now.
    """

    fitted: datetime
    trained: datetime
    labels: int
    known: int

    @classmethod
    def of(cls, fitted: datetime, past: History, *, labels_at_fit: int, known: int) -> Since:
        """By the earlier decisions on a model."""
        trained = max([fitted, *(each.at for each in past.retrains)])
        return cls(fitted, trained, max([labels_at_fit, *(each.labels for each in past.retrains)]), known)


@dataclass(frozen=True)
class InWindow:
    """A window: its label and its end."""

    window: str
    end: datetime

    def said(
        self, trigger: Trigger, passed: bool | None, value: float | None, limit: float | None, why: str
    ) -> CheckResult:
        """What became of a trigger in it."""
        sentence = why if self.window in why else f"in window {self.window}: {why}"
        return trigger.result(self.window, self.end, passed=passed, value=value, limit=limit, sentence=sentence)


def drift_result(trigger: OnDrift, drifts: Sequence[FeatureDrift], window: InWindow) -> CheckResult:
    """Whether the features that a trigger watches have moved."""
    known = {drift.feature for drift in drifts}
    if strange := [name for name in trigger.features if name not in known]:
        why = f"{strange[0]} is no feature of the window. Correct its name under retrain.on"
        return window.said(trigger, None, None, None, why)
    chosen = [drift for drift in drifts if not trigger.features or drift.feature in trigger.features]
    if chosen and all(is_never_compared(drift.why or "") for drift in chosen):
        why = f"{CANNOT_FIRE} {chosen[0].feature}: {why_silent(chosen[0].why or '')}"
        return trigger.result(window.window, window.end, passed=None, sentence=why)
    verdict = drift_verdict(chosen, trigger.limits)
    return window.said(trigger, verdict.passed, verdict.share, verdict.limit, verdict.reason)


def rows_result(trigger: OnData, since: Since, newest: datetime) -> CheckResult:
    """Whether so many rows with a label have come."""
    return _counted(trigger, since.known - since.labels, trigger.rows or 0, "rows with a label", newest)


def files_result(trigger: OnData, since: Since, ends: Sequence[datetime]) -> CheckResult:
    """Whether so many partitions have come.

    Args:
        trigger: the trigger.
        since: what it counts from.
        ends: the ends of all that were taken in, oldest first.
    """
    return _counted(trigger, sum(end > since.trained for end in ends), trigger.files or 0, "partitions", ends[-1])


def _counted(trigger: OnData, count: int, limit: int, what: str, newest: datetime) -> CheckResult:
    sentence = f"{count:,} {what} have come since the last training (a candidate is due at {limit:,})"
    return trigger.result(
        _until(newest), newest, passed=count < limit, value=float(count), limit=float(limit), sentence=sentence
    )


def freshness_result(trigger: OnFreshness, since: Since, newest: datetime) -> CheckResult:
    """Whether the newest rows are so much newer than those of the last training; value and limit in hours."""
    lag, limit = max(newest - since.trained, timedelta(0)), parse_duration(trigger.lag)
    sentence = f"the newest rows are {days_of(lag)} newer than those of the last training (limit {trigger.lag})"
    value, most = lag / timedelta(hours=1), limit / timedelta(hours=1)
    return trigger.result(_until(newest), newest, passed=lag <= limit, value=value, limit=most, sentence=sentence)


def _until(newest: datetime) -> str:
    return f"up to {newest:%Y-%m-%d %H:%M} UTC"


def schedule_result(trigger: OnSchedule, since: Since, now: datetime, timezone: str) -> CheckResult:
    """Whether a time has come; the window is that time."""
    at, is_due = trigger.due(since.trained, now, timezone)
    local = f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M}"
    sentence = f"it was due at {local} {timezone}" if is_due else f"it is next due at {local} {timezone}"
    return trigger.result(local, at, passed=not is_due, sentence=sentence)
