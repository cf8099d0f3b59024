"""Agreed triggers that nothing can make ask in this home, and why: their sentence begins with `CANNOT_FIRE`.

Here: what features, sources and labels tell. Not here: what settings alone tell, which is refused
(`core.decide.agreed.fitting`), what has become of the others (`trigger_results`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from mlops_assets.core.decide.agreed.fitting import no_limit_applies
from mlops_assets.core.decide.agreed.results import Since
from mlops_assets.core.decide.agreed.triggers import (
    OnData,
    OnDrift,
    OnFreshness,
    OnGain,
    OnImportance,
    OnPerformance,
    Trigger,
)
from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.drift.grid import kind_of
from mlops_assets.core.record.wording import CANNOT_FIRE
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.calendar_cycles import part_of_cycle, why_silent
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.steps.watch.calendar_features import declared_cycles
from mlops_assets.world.model_data import EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform


def out_of_reach(
    platform: Platform, model: ModelSettings, triggers: Sequence[Trigger], since: Since, now: datetime
) -> list[CheckResult]:
    """A result for each trigger that cannot ask, without an answer."""
    needing = any(isinstance(trigger, OnData | OnPerformance | OnGain) for trigger in triggers)
    unlabelled = _no_labels(platform, model, since, now) if needing else ""
    return [
        trigger.result("", since.fitted, passed=None, sentence=f"{CANNOT_FIRE} {why}")
        for trigger in triggers
        if (why := _why(platform, model, trigger, unlabelled, now))
    ]


def _why(platform: Platform, model: ModelSettings, trigger: Trigger, unlabelled: str, now: datetime) -> str:
    """Why a trigger cannot ask; empty where it can."""
    if isinstance(trigger, OnDrift):
        return _no_drift(platform, model, trigger, now)
    if isinstance(trigger, OnImportance) and len(platform.data(model).columns) == 1:
        return "the order of one feature cannot change. Remove it."
    counts_rows = isinstance(trigger, OnData) and trigger.rows is not None
    if counts_rows or isinstance(trigger, OnPerformance | OnGain):
        return unlabelled
    if isinstance(trigger, OnData | OnFreshness) and not any(
        source.required and source.grain != "none" for source in platform.sources_of(model)
    ):
        return "none of the model's required sources lands by partitions. Agree on another trigger, such as a schedule."
    return ""


def _no_drift(platform: Platform, model: ModelSettings, trigger: OnDrift, now: datetime) -> str:
    kinds = {column.name: kind_of(column.kind) for column in platform.data(model).columns}
    limits = trigger.limits if trigger.is_checked else model.monitoring.drift
    if trigger.of == "scores":
        return ""
    if strange := [name for name in trigger.features if name not in kinds]:
        return f"{strange[0]} is not a feature that the model is trained on. Correct its name under retrain.on."
    chosen = {name: kind for name, kind in kinds.items() if not trigger.features or name in trigger.features}
    window, cycles = model.monitoring.rhythm.last_closed(now, model.timezone), declared_cycles(platform, model)
    left_out = {name: why for name in chosen if name in cycles and (why := part_of_cycle(cycles[name], window))}
    if len(left_out) == len(chosen):
        name, why = next(iter(left_out.items()))
        return f"{name}: {why_silent(why)}"
    judged = [kind for name, kind in chosen.items() if name not in left_out]
    if not trigger.is_checked and not model.monitoring.rhythm.parts_days:
        # The scores are watched by the same limits, and are numbers.
        judged.append("numeric")
    why = no_limit_applies(limits, judged)
    return f"{why}, and it watches no others. Set a limit that is about them, such as psi." if why else ""


def _no_labels(platform: Platform, model: ModelSettings, since: Since, now: datetime) -> str:
    """That no event after the champion's training has a label, though some have waited as long as one may take."""
    data = platform.data(model)
    first = data.day(since.fitted + timedelta(days=1) - timedelta(microseconds=1))
    events = data.events(first, data.day(now) + timedelta(days=1), as_of=now, only_times=True)
    if events.empty or events[LABEL].notna().any():
        return ""
    if events[EVENT_TIME].min() + parse_duration(model.label.max_delay) > now:
        return ""
    return (
        f"no event since {first} has a label, and the first have waited for theirs longer than label.max_delay "
        f"({model.label.max_delay}). Look at the source of {model.label.model}."
    )
