"""What happens to a model next, and when.

Here: the sentence, in the order in which a tick of the retrain sensor goes. Not here: deciding (`core.decide.policy`),
what else is known of a model (`standing`). Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_assets.core.decide.agreed.triggers import OnSchedule
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.decide.rules import quiet
from mlops_assets.core.decide.triggers import age_due
from mlops_assets.core.record.entries import ACTED, CONCLUDED, Decision, Rollback, only
from mlops_assets.core.record.plain_values import days_of
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.decide.fleet.on_record import on_file
from mlops_assets.steps.land.source_alarms import newest_bad
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.landed.loaded_definitions import not_loaded
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_runs import TrainingRuns
from mlops_assets.world.runs.training_starts import TrainingStarts


def upcoming(platform: Platform, model: ModelSettings, known: Mapping[str, Any]) -> str:
    """The next thing that happens to a model, of which `known` has `standing`'s fields."""
    name, last, request = model.name, known["last_decision"], known["open_request"]
    if waits_for_its_turn(platform, name):
        return "Its training waits for its turn: mlops queue"
    if last and last["action"] in ACTED and not _concluded(platform, name, last["id"]):
        return f"Its run ends: {last['action']} by decision {last['id'][:8]}; then the gate says what becomes of it."
    if known["paused"] and not request:
        return f"Nothing, until somebody types: mlops resume {name} --reason '...'"
    if proposed := known["proposed"]:
        return f"It waits for a person: mlops approve|reject {name} {proposed['id'][:8]}"
    asked = f" The request waits for that: {request}" if request else ""
    if first := data_first(platform, model):
        return first + asked
    if known["frozen"] and not (request and platform.ledger.record.request_is_forced(name)):
        return f"No version goes into production before {_minute(known['frozen']['until'])} UTC (frozen).{asked}"
    if known["rollout"]:
        return f"{known['rollout']}{asked}"
    if request and last and last["rule"] == "cannot_judge" and request in " ".join(last["reasons"]):
        return f"The request waits until a training can be judged (see Why): {request}"
    if request or known["outdated"]:
        return f"The next tick decides {f'on the request: {request}' if request else 'anew'}"
    return _next_window(platform, model, known, platform.now(model))


def waits_for_its_turn(platform: Platform, name: str) -> bool:
    """Whether a training was decided on, and the budget of all of them has not let it start."""
    if platform.trainings_policy() is None:
        return False
    waiting, root = on_file(platform.ledger.record, name).waiting, platform.home.root
    started = {start.decision for start in TrainingStarts(root).all()} | {*TrainingRuns(root).of(name)}
    return waiting is not None and waiting.id not in started


def data_first(platform: Platform, model: ModelSettings) -> str:
    """What has to be loaded, to come or to be taken in before anything is decided; empty where nothing has."""
    if why := not_loaded_yet(platform, model):
        return why
    outlook = platform.sources.outlook([platform.group_of(model)])
    days = [day for period in outlook.periods for day in (period.first, period.last) if day]
    if outlook.periods:
        span = f" ({min(days)} to {max(days)})" if days else ""
        return f"What has landed{span} is still to be taken in; a decision on it follows."
    if bad := newest_bad(platform, model):
        (source, partition), entry = next(iter(bad.items()))
        named = ", ".join(map("/".join, bad))
        return f"Nothing is decided while {named} is in quarantine. {entry.remedy(source, partition)}"
    intakes = platform.sources.intakes()
    empty = [
        source.name for source in platform.sources_of(model) if source.required and not intakes[source.name].good()
    ]
    try:
        platform.now(model)
    except NoDataYet as why:
        return f"Its data come first. {' '.join(outlook.waiting) or why}"
    # By the wall's clock it is some time, with data or without.
    needed = outlook.waiting or [f"Put files of {name} into {platform.home.landing / name}." for name in empty]
    return f"Its data come first. {' '.join(needed)}" if empty else ""


def not_loaded_yet(platform: Platform, model: ModelSettings) -> str:
    """What Dagster has not loaded of a model and its sources, so that nothing follows; empty where it has all."""
    sources = [source.name for source in platform.sources_of(model)]
    names = not_loaded(platform.home, sources=sources, models=[model.name])
    if not names:
        return ""
    return (
        f"Dagster has not loaded {', '.join(names)} yet, and takes nothing in and decides nothing until it has. Reload "
        "its definitions (Deployment, Reload), or stop mlops up and start it again."
    )


def _next_window(platform: Platform, model: ModelSettings, known: Mapping[str, Any], now: datetime) -> str:
    """When the next window is judged, and what holds a training back until then."""
    held = "".join(f" {each}" for each in _held(platform, model, known, now))
    if known["champion"] is None and known["pool"]:
        return f"It is watched by itself once it has enough rows; each champion of {known['pool']} is a chance."
    if known["champion"] is None:
        if known["last_decision"] is None:
            return "The next tick decides on a first champion."
        return f"A first champion is decided on anew as soon as something of what it waits for (see Why) changes.{held}"
    rhythm = model.monitoring.rhythm
    window, closed = rhythm.next_to_close(now, model.timezone), rhythm.last_closed(now, model.timezone)
    then = f"then it is judged, and a retraining is decided on.{held}"
    if _is_unjudged(platform, model, known, closed):
        return f"Window {closed.label(model.timezone)} has closed. Its last files are taken in; {then}"
    by = " by the data's clock, so once its files have landed"
    after = f"{window.end:%Y-%m-%d %H:%M} UTC" + (by if platform.home.settings.clock == "data" else "")
    return f"Window {window.label(model.timezone)} closes at {after}; {then}"


def _is_unjudged(platform: Platform, model: ModelSettings, known: Mapping[str, Any], closed: Window) -> bool:
    """Whether no monitor has judged a window through which the champion predicted, to its end."""
    reigns = platform.ledger.record.reigns(model.name)
    newest = known["newest_window"]
    return bool(reigns) and reigns[-1].since < closed.end and (newest is None or newest["end"] < closed.end)


def _held(platform: Platform, model: ModelSettings, known: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Until when nothing is trained by itself, and when age alone asks for it."""
    policy, champion = model.retrain_policy, known["champion"]
    if snoozed := known["snoozed"]:
        yield f"It is snoozed until {_minute(snoozed['until'])} UTC."
    acted = [e for e in only(platform.ledger.entries(model.name), Decision) if e.action in ACTED]
    if acted:
        until = acted[-1].at + policy.cooldown
        if until > now:
            yield f"The cooldown of {days_of(policy.cooldown)} lasts until {until:%Y-%m-%d %H:%M} UTC."
    if (sentence := quiet(policy, now)) is not None:
        yield sentence
    since = champion["fitted_until"] if champion else None
    retrained = [e.at for e in acted if e.action == "retrain" and _concluded(platform, model.name, e.id)]
    if since is not None:
        yield from _schedules(policy, max([since, *retrained]), now)
    due = age_due(since, policy, retrained) if since else None
    if due is not None and since is not None:
        # Nothing but a person's request asks before a window has closed since the training.
        asks = max(due, model.monitoring.rhythm.next_to_close(since, model.timezone).end)
        yield f"{'Since' if asks <= now else 'On'} {asks:%Y-%m-%d} its age asks for a retraining."


def _concluded(platform: Platform, name: str, decision: str) -> bool:
    entries = platform.ledger.entries(name)
    return any(isinstance(entry, (*CONCLUDED, Rollback)) and entry.decision == decision for entry in entries)


def _schedules(policy: RetrainPolicy, since: datetime, now: datetime) -> Iterator[str]:
    """When each agreed schedule asks for a training."""
    for trigger in policy.on or ():
        if isinstance(trigger, OnSchedule):
            at, is_due = trigger.due(since, now, policy.timezone)
            when = "has been due since" if is_due else "is next due at"
            yield f"Its {trigger.name} {when} {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC."


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}"
