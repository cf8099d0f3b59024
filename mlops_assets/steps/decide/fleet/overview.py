"""The queue of trainings as a person reads it: who waits, for what, when it starts; and who is held back among many.

Here: gathering it, as plain values and in words. Not here: the queue itself (`waiting`), laying it out
(`commands.queue`).
"""

from __future__ import annotations

from datetime import date
from typing import Any

from mlops_assets.core.decide.fleet.training_queue import Waiting
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.record.plain_values import counted, days_of
from mlops_assets.steps.decide.fleet.discoveries import rate_of
from mlops_assets.steps.decide.fleet.on_record import on_file
from mlops_assets.steps.decide.fleet.waiting import TrainingQueue
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_starts import TrainingStarts


@looked_at_once()
def queue_overview(platform: Platform) -> dict[str, Any]:
    """The queue of a home, in plain values.

    Raises:
        ValueError: what is agreed on cannot be read.
    """
    agreed = platform.trainings_policy()
    queue = TrainingQueue(platform, platform.models(), agreed or TrainingsPolicy())
    spent, days = queue.spent(), queue.start_days()
    started = {start.decision for start in TrainingStarts(platform.home.root).all()}
    rate, looks = rate_of(platform)
    return {
        "agreed": agreed.to_dict() if agreed else None,
        "today": queue.today,
        "started_today": spent.runs,
        "cpu_hours_today": round(spent.cpu_hours, 3),
        "fdr": rate,
        "looks_a_day": looks,
        "waiting": [
            {
                "place": place,
                "model": each.model,
                "decision": each.decision,
                "rule": each.rule,
                "since": each.since,
                "gain": each.gain,
                "rows_per_day": round(each.rows_per_day, 1),
                "money_per_day": each.money_per_day,
                "cpu_hours": round(each.cpu_hours, 4),
                "starts_on": days.get(each.model),
                "why": _why(each, days.get(each.model), queue.today, is_started=each.decision in started),
            }
            for place, each in enumerate(queue.waiting, start=1)
        ],
        "not_certain": _not_certain(platform),
    }


def budget_findings(platform: Platform, policy: TrainingsPolicy) -> tuple[str, str]:
    """What is agreed on, and how the queue stands by it; and what is wrong with that, empty if nothing is."""
    queue = TrainingQueue(platform, platform.models(), policy)
    rate, looks = rate_of(platform)
    agreed = [
        f"at most {policy.budget_in_words}" if policy.is_limited else "no budget",
        f"a false discovery rate of {rate:g} among {counted(looks, 'look')} a day"
        if rate
        else "no false discovery rate",
        f"{counted(len(queue.waiting), 'training')} in the queue",
    ]
    overdue = [each for each in queue.waiting if not each.held and queue.now - each.since > policy.max_wait]
    if not overdue:
        return "; ".join(agreed), ""
    return "; ".join([*agreed, f"{len(overdue):,} of them for more than {days_of(policy.max_wait)}"]), (
        "More trainings are asked for than the budget has room for: raise it, or each model's price "
        "(retrain.min_gain). mlops queue shows them."
    )


def _why(waiting: Waiting, day: date | None, today: date, *, is_started: bool) -> str:
    """Why it waits, or when it starts."""
    if waiting.held:
        return waiting.held
    if is_started:
        return "It was let start; its run is being asked for."
    if day is None:
        return "The queue before it is longer than ten years."
    if day <= today:
        return "It starts at the next tick."
    return f"The budget of the days before is taken. It starts on {day:%Y-%m-%d} (UTC), if nothing goes before it."


def _not_certain(platform: Platform) -> list[dict[str, Any]]:
    """Gains that are held back since they are not certain enough among the looks of their day."""
    held = []
    for name in platform.models():
        gain = on_file(platform.ledger.record, name).tested
        if gain is not None and gain.is_held and gain.among is not None:
            held.append({"model": name, "p": gain.p, "limit": gain.among.limit, "why": gain.among.refusal(gain.p)})
    return sorted(held, key=lambda each: (each["p"], each["model"]))
