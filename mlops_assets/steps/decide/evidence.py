"""Gathering what is known about a model at this moment, for the policy to decide on.

Here: reading reports, quarantine and what people have said into one `Evidence`; keeping the decision. Not here:
deciding (`core.decide.policy`), starting runs (`assets.retrain_sensor`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from mlops_assets.core.decide.agreed.results import Since
from mlops_assets.core.decide.looks.pooled_gains import SPANS
from mlops_assets.core.decide.policy import CheckResult, Evidence, History, RetrainPolicy, decide, is_news
from mlops_assets.core.decide.requests import Answer
from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS
from mlops_assets.core.models.matrix import CannotTrain
from mlops_assets.core.performance.first_model import first_needs
from mlops_assets.core.performance.training_needs import Labels, TrainingNeeds
from mlops_assets.core.performance.waiting import days_missing, rows_missing
from mlops_assets.core.promote.gate_policy import SHIPS_UNJUDGED
from mlops_assets.core.record.entries import ACTED, Approval, Decision, Freeze, Refusal, Snooze
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.stats.intervals import MIN_BLOCKS, MIN_DAYS_BY_HOURS, CannotJudge
from mlops_assets.core.stats.observations import fewest_days
from mlops_assets.core.time.events import is_evidence, named
from mlops_assets.core.time.windows import Window, local_days, parse_duration
from mlops_assets.steps.decide.fleet.discoveries import GainsOfTheDay, among
from mlops_assets.steps.decide.looks import counts_since, ending_at, probed
from mlops_assets.steps.decide.model_changes import changed_definition, faults, notes, novelty
from mlops_assets.steps.decide.training_scope import Scope, scope
from mlops_assets.steps.decide.trigger_results import trigger_results
from mlops_assets.steps.land.source_alarms import IN_QUARANTINE, newest_bad
from mlops_assets.steps.rollout.fallback import goes_back_to
from mlops_assets.steps.rollout.moves import rollout_in_words
from mlops_assets.steps.watch.sliding_performance import NAME as OVER_24H
from mlops_assets.steps.watch.windows.summaries import failing_told, window_checks
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.landed.landed_files import WHOLE
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL, ModelData, TooYoung
from mlops_assets.world.platform import Platform, fitted_until, hold

PACE = timedelta(days=28)
"""How far before the judged days their pace is measured."""


def gather(
    platform: Platform,
    model: ModelSettings,
    now: datetime,
    *,
    policy: RetrainPolicy | None = None,
    past: History | None = None,
) -> Evidence:
    """The evidence on a model as of `now`.

    Checks are those of the windows that ended after the champion was fitted: earlier ones speak of another model.

    Args:
        platform: the home.
        model: the monitored model.
        now: its clock.
        policy: whose triggers are held against the reports; by default the model's own.
        past: the earlier decisions; by default they are read.
    """
    policy, past = policy or model.retrain_policy, past if past is not None else history(platform, model.name)
    champion = platform.registry.champion(model.name)
    since = fitted_until(champion)
    trained = max([since, *(each.at for each in past.retrains)]) if since else None
    windows = _counting_windows(platform, model, fitted=since, trained=trained)
    checks = tuple(c for c, window in windows if is_evidence(model.events, window, model.timezone))
    newest = list(dict.fromkeys(window for _, window in windows))[-max(SPANS) :]
    bad = [*_bad_data(platform, model), *faults(platform, model, since)]
    record = platform.ledger.record
    answer, request = record.answer(model.name), record.open_request(model.name)
    # Nothing has to be judged while nothing asks for a training.
    is_asked = bool(checks or policy.on) or champion is None or request is not None
    cannot_judge, unjudged = _prospects(platform, model, now=now) if is_asked else ((), "")
    matured = _new_labels(platform, model, now=now, since=since)
    at_fit = platform.data(model).known_labels(before=since) if since else 0
    return Evidence(
        model=model.name,
        window=checks[-1].window if checks else None,
        checks=checks,
        matured_labels=matured,
        labels_at_fit=at_fit,
        champion_version=str(champion.version) if champion else None,
        champion_since=since,
        data_ok=not bad,
        data_sentence=" ".join(bad),
        request=request,
        request_forced=record.request_is_forced(model.name),
        paused=record.paused(model.name),
        frozen=hold(platform, model.name, Freeze),
        snoozed=hold(platform, model.name, Snooze),
        answer=_answer(answer) if answer else None,
        events=named(model.events, newest, model.timezone),
        rollout=rollout_in_words(platform, model),
        definition=changed_definition(platform, model),
        novelty=novelty(platform, model, since, trained),
        notes=notes(platform, model, since),
        failing=failing_told(platform, model),
        fall_back_to=goes_back_to(platform, model)[0],
        probe=probed(platform, model, champion, prices=policy if platform.trainings_policy() else None),
        cannot_judge=cannot_judge,
        unjudged=unjudged,
        triggers=trigger_results(
            platform,
            model,
            policy.on,
            Since.of(since, past, labels_at_fit=at_fit, known=at_fit + matured),
            now,
        )
        if policy.on and since
        else (),
    )


def _counting_windows(
    platform: Platform, model: ModelSettings, *, fitted: datetime | None, trained: datetime | None
) -> list[tuple[CheckResult, Window]]:
    """The answers that speak of the champion, each with its window, in the order of their ends.

    Fairness is for people: more of the same rows seldom helps, so it asks for no training. A champion that is worse
    than guessing stands in a field of its own.
    """
    known = [
        (check, ending_at(model, check.window_end))
        for check in window_checks(platform, model, since=fitted)
        if check.kind not in ("fairness", "failing")
    ]
    return [
        (check, window)
        for check, window in known
        if not (check.kind == "drift" or check.name == OVER_24H)
        or counts_since(model, window, fitted=fitted, trained=trained)
    ]


def _answer(entry: Approval | Refusal) -> Answer:
    is_yes = isinstance(entry, Approval)
    return Answer(entry.decision, entry.question, is_yes, entry.by, entry.at, entry.reason)


def history(platform: Platform, model: str) -> History:
    """The earlier decisions on a model."""
    return History.of_record(platform.ledger.entries(model))


def consider(
    platform: Platform,
    model: ModelSettings,
    *,
    policy: RetrainPolicy | None = None,
    explained: bool = False,
    gains: GainsOfTheDay | None = None,
) -> tuple[Decision, Evidence, bool]:
    """Decide on a model as things stand: the decision, its evidence, and whether it is new. Writes nothing.

    What would have changed it is looked for where it is new, and so goes on record, or is asked for (`explained`). A
    gain that asks for a training is held against those of the same day: those on record, and `gains`.

    Raises:
        NoDataYet: there is nothing to decide on: no data by the clock, or a member of a fleet that is pooled with all.
    """
    if isinstance(model, MemberSettings) and platform.registry.champion(model.name) is None:
        raise NoDataYet(f"{model.name} is predicted as part of the pool, {model.pool}: decisions are on that.")
    now, past, agreed = platform.now(model), history(platform, model.name), policy or model.retrain_policy
    evidence = gather(platform, model, now, policy=agreed, past=past)
    decision, at = decide(evidence, agreed, past, now, explained=False), _passed(platform, model, now)
    if at > now:
        # What follows at the later moment; what starts a run is of the clock's, by which it is trained and judged.
        later = decide(evidence, agreed, past, at, explained=False)
        if later.action == decision.action not in ACTED:
            decision, now = later, at
    among_others = among(platform, evidence, decision, gains)
    if among_others is not None:
        evidence = replace(evidence, among=among_others)
        decision = decide(evidence, agreed, past, now, explained=False)
    news = is_news(decision, past)
    if news or explained:
        decision = decide(evidence, agreed, past, now)
    return decision, evidence, news


def _passed(platform: Platform, model: ModelSettings, now: datetime) -> datetime:
    """How far time has gone by while the data clock stood still.

    It stands where no good data came: at a moment whose decision was another. A replay knows the time; elsewhere it is
    at least the end of the newest partition in quarantine.
    """
    settings = platform.home.settings
    if settings.clock == "wall":
        return now
    if settings.until:
        return settings.until
    intakes = platform.sources.intakes()
    return max([now, *(intakes[source].end(key) for source, key in newest_bad(platform, model) if key != WHOLE)])


def keep(platform: Platform, decision: Decision) -> bool:
    """Put a decision on record; an equal one stands there only once."""
    return platform.ledger.append(decision.model, decision)


def _bad_data(platform: Platform, model: ModelSettings) -> list[str]:
    return [
        f"{source}/{partition} {IN_QUARANTINE}: {entry.reason} {entry.remedy(source, partition)}"
        for (source, partition), entry in newest_bad(platform, model).items()
    ]


def _new_labels(platform: Platform, model: ModelSettings, *, now: datetime, since: datetime | None) -> int:
    data = platform.data(model)
    # From earlier on: some of the events before the cut got their label after it.
    first = data.day(since - parse_duration(model.label.max_delay)) if since else None
    rows = data.events(first, as_of=now, only_times=True)
    known = rows[LABEL].notna()
    return int((known & (rows[AVAILABLE_AT] > pd.Timestamp(since))).sum() if since else known.sum())


def _prospects(platform: Platform, model: ModelSettings, *, now: datetime) -> tuple[tuple[str, ...], str]:
    """Why a retraining would have nothing to be judged on, or nothing before that to be trained on.

    Then, where it is agreed that it ships all the same, why it is not judged.
    """
    since, training_scope = fitted_until(platform.registry.champion(model.name)), None
    try:
        training_scope = scope(platform, model, as_of=now)
        training_scope.check()
    except TooYoung as young:
        if since is None:
            why = _first_needs(platform, model, now)
        elif training_scope is None:
            why = _days_missing(platform, model, since, now)
        else:
            why = _rows_missing(training_scope, young.known, now)
        return (str(why),), ""
    except (CannotJudge, CannotTrain) as error:
        return (str(error),), ""
    if training_scope.unjudged is None:
        return (), ""
    why_not = f"It cannot be judged against the champion, because {training_scope.unjudged.why}"
    return (), f"{why_not}: if all that can be checked holds, {SHIPS_UNJUDGED}."


def _days_missing(platform: Platform, model: ModelSettings, since: datetime, now: datetime) -> CannotJudge:
    """What the gate waits for since the champion was fitted."""
    data, needs = platform.data(model), _needs(model)
    first = data.day(since + timedelta(days=1) - timedelta(microseconds=1))
    before = first - timedelta(days=needs.gate_days)
    recent = data.usual(data.events(before, data.day(now), as_of=now, only_times=True))
    rows = recent[local_days(recent[EVENT_TIME], model.timezone) >= np.datetime64(first, "D")]
    return days_missing(
        _labels(rows, model),
        needs,
        recent=_labels(recent, model),
        since=first,
        today=data.day(now),
        needed=_days_needed(data, rows, first, now),
        longest=parse_duration(model.label.max_delay) / timedelta(days=1),
    )


def _days_needed(data: ModelData, rows: pd.DataFrame, first: date, now: datetime) -> int:
    """Days of labels that the gate needs, by what these hold; before there are any, by the events of the last weeks."""
    if not data.model.retrain.on:
        return MIN_BLOCKS
    known = rows[rows[LABEL].notna()]
    if known.empty:
        known = data.events(first - PACE, data.day(now), as_of=now, only_times=True).assign(**{LABEL: True})
    days = len(np.unique(local_days(known[EVENT_TIME], data.model.timezone)))
    return fewest_days(days, data.stretches(known))


def _rows_missing(training_scope: Scope, known: int, now: datetime) -> CannotJudge:
    """What a training waits for whose judged days are there."""
    data, model = training_scope.data, training_scope.data.model
    start, end = data.day(training_scope.gate.start), data.day(training_scope.gate.end)
    newest = data.events(start - PACE, end, as_of=now, only_times=True)
    # A rolling window is that of the plan, also where this training counts it back from a day.
    needs = replace(_needs(model), window=training_scope.plan.window, to_judge=0, fewest_days=0)
    return rows_missing(_labels(newest, model), needs, known=known, start=start, end=end)


def _first_needs(platform: Platform, model: ModelSettings, now: datetime) -> CannotJudge:
    """What a first model waits for."""
    rows, label = platform.data(model).events(as_of=now, only_times=True), model.label
    labels = _labels(rows, model)
    settles = labels.delay if len(labels) else 0.0
    old = rows[rows[EVENT_TIME] < pd.Timestamp(now) - pd.Timedelta(days=settles)]
    if len(old) and old[LABEL].notna().mean() < label.mature_share:
        # Too many never get a label: what is judged waits until none can come.
        settles = parse_duration(label.max_delay) / timedelta(days=1)
    return first_needs(labels, _needs(model), today=platform.data(model).day(now), settles=settles)


def _needs(model: ModelSettings) -> TrainingNeeds:
    return TrainingNeeds(
        window=model.training.window,
        to_train=model.training.min_rows,
        to_judge=max(model.retrain.min_matured_labels, MIN_REFERENCE_ROWS),
        gate_days=parse_duration(model.gate.window).days,
        fewest=MIN_REFERENCE_ROWS,
        fewest_days=MIN_DAYS_BY_HOURS if model.retrain.on else MIN_BLOCKS,
    )


def _labels(rows: pd.DataFrame, model: ModelSettings) -> Labels:
    """The labels that are known of some events."""
    rows = rows[rows[LABEL].notna()]
    delays = pd.to_timedelta(rows[AVAILABLE_AT] - rows[EVENT_TIME]).dt.total_seconds() / 86400
    return Labels(local_days(rows[EVENT_TIME], model.timezone), delays)
