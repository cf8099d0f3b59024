"""What is wrong with the models right now, each with its consequence: from the reports and the record.

Here: which alarms last, and how much each hurries. Not here: sending (`alerts`), the alarms of sources and runs
(`assets.platform.sensors`), deciding (`core.decide.policy`).

An alarm is told with what the platform made of it, so it waits until a decision has seen its window. Drift by itself
has no consequence: it is a line of the digest. Performance below the agreed limit is told at once; it is a page only
where something holds the platform back that a person can take away. A champion that is worse than guessing is a page,
at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.performance.against_baseline import DOES
from mlops_assets.core.record.entries import (
    ACTED,
    PROPOSALS,
    REIGN_BEGINS,
    Decision,
    OnRecord,
    OutcomeFound,
    Promotion,
    Rejection,
    Request,
    RolloutMove,
    Wake,
    WorseThanGuessing,
    only,
)
from mlops_assets.core.record.incidents import Severity
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.proposals import proposal_of
from mlops_assets.steps.rollout.fallback import BEGAN, OVER, goes_back_to
from mlops_assets.steps.watch.classes import newest
from mlops_assets.steps.watch.windows.summaries import failing_of, window_checks
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.platform import Platform, fitted_until

HELD_BACK = ("data", "frozen", "paused", "cannot_judge", "budget")
"""Rules of a decision that a person can do something about."""

Alarm = dict[str, Any]
"""Arguments of `Alerts.send`; `asset` in place of `run`: the run that made that asset last."""
WAITS_FOR_DATA = "waits_for_data"
"""In an alarm: the model that its data hold back, so that all of a source are told as one (`waiting_for_data`)."""
FAILING_KEY = "failing/"
BROKEN_RECORD = "broken-record"
"""Section of the runbook."""
PREFIXES = (
    FAILING_KEY, "performance/", "drift/", "classes/", "worse-champion/", f"{BROKEN_RECORD}/", "approval/", "rollout/",
)  # fmt: skip
"""How the keys of these alarms begin."""


def model_of(key: str) -> str:
    """The model that the key of an alarm names; empty where it is the key of something else."""
    kind, _, subject = key.partition("/")
    return subject.partition(".")[0] if f"{kind}/" in PREFIXES else ""


def model_alarms(platform: Platform, model: ModelSettings) -> list[Alarm]:
    """The alarms that last for a model now; the same state gives the same alarms."""
    try:
        entries = platform.ledger.entries(model.name)
    except ValueError as error:
        return [_broken_record(model.name, str(error))]
    champion = platform.registry.champion(model.name)
    since = fitted_until(champion)
    checks = {c.name: c for c in window_checks(platform, model, since=since)} if since is not None else {}
    failed = [check for check in checks.values() if check.passed is False and check.kind != "failing"]
    # A day that slides by hours and the whole day have one key: the newer of the two is told.
    by_age = sorted(failed, key=lambda check: check.window_end)
    failed = list({(check.kind, check.name if check.kind == "drift" else ""): check for check in by_age}.values())
    alarms = [_failing(platform, model), *(_failed(model.name, check, entries) for check in failed)]
    alarms += [_classes(platform, model.name, champion)]
    alarms += [_worse(model.name, entries), _stopped(model.name, entries), _proposal(platform, model.name)]
    return [alarm for alarm in alarms if alarm]


def _failing(platform: Platform, model: ModelSettings) -> Alarm | None:
    """A champion that is worse than guessing; told again only where what is done about it has changed."""
    failing = failing_of(platform, model)
    if failing is None:
        return None
    name, choice = model.name, model.on_failing
    did, do = DOES[choice], "Retrain on newer rows"
    if choice == "previous":
        version, looked = goes_back_to(platform, model)
        did = f"It goes back to version {version}. {looked}" if version else f"{DOES['keep']} {looked}".strip()
    if choice in ("keep", "previous"):
        do = "Take it out of service: set `on_failing: baseline` or `refuse` in its YAML, or go back: " + (
            f"`mlops rollback {name} --reason '...'`. Or retrain"
        )
    return {
        "key": f"{FAILING_KEY}{name}",
        "incident": f"failing-{name}-{failing.version}-{failing.since:%Y-%m-%d}-{choice}-{did.partition(':')[0]}",
        "severity": "page",
        "happened": f"{failing.in_words(name, model.zone)} Version {failing.version} is champion.",
        "did": did,
        "do": f"{do}: `mlops retrain {name} --reason '...'`. Why nothing better was found: `mlops explain {name}`.",
        "runbook": "worse-than-guessing",
        "asset": (name, "performance_report"),
    }


def why_over(platform: Platform, key: str) -> str:
    """Why an alarm is over, as the record has it; empty where it says nothing of it."""
    if not key.startswith(FAILING_KEY):
        return ""
    try:
        entries = platform.ledger.entries(key.removeprefix(FAILING_KEY))
    except ValueError:
        return ""
    said = [entry for entry in only(entries, WorseThanGuessing) if entry.result in (BEGAN, OVER)]
    return said[-1].reason if said and said[-1].result == OVER else ""


def _failed(model: str, check: CheckResult, entries: Sequence[OnRecord]) -> Alarm | None:
    decision = _decision_on(check.window_end, entries)
    if decision is None:
        return None  # the retrain sensor has its say first
    did, hurry, runbook = _consequence(decision, entries)
    drift = check.kind == "drift"
    return {
        "key": f"{check.kind}/{model}" if not drift else f"drift/{model}.{check.name}",
        # Drift is told once a window, performance whenever what follows from it has changed.
        "incident": f"{model}-{check.name}-{check.window}" + ("" if drift else f"-{decision.id}-{did}"),
        "severity": "digest" if drift else hurry,
        "happened": f"{model}: {check.sentence}",
        "did": f"{did}: {decision.reason}"[:1000],
        "do": f"Read `mlops why {model}`, and `mlops decide {model} --dry-run` for what would change the answer.",
        "runbook": "drift" if drift else runbook,
        "asset": (model, f"{check.kind}_report"),
        **({WAITS_FOR_DATA: model} if decision.rule == "data" and not drift else {}),
    }


def _classes(platform: Platform, model: str, champion: ModelVersion | None) -> Alarm | None:
    """Classes that the champion cannot say, or that come no more: told at once, and again when there are others."""
    changes = newest(platform, model)
    if changes is None or champion is None or changes.version != champion.version or changes.check.passed:
        return None
    codes = [*(str(new.code) for new in changes.new), *(str(gone.code) for gone in changes.gone)]
    is_new = bool(changes.new or changes.uncoded)
    return {
        "key": f"classes/{model}",
        "incident": f"classes-{model}-{champion.version}-{'-'.join(codes)}{'-uncoded' if changes.uncoded else ''}",
        "severity": "notify" if is_new else "digest",
        "happened": f"{model}: {changes.check.sentence}"[:1000],
        "did": "It counts rows of a new class as wrong, and trains a candidate that knows it where that is better.",
        "do": f"Look at the table `classes` of {model}/performance_report; to train now: "
        f"`mlops retrain {model} --reason '...'`.",
        "runbook": "classes",
        "asset": (model, "performance_report"),
    }


def _decision_on(window_end: datetime, entries: Sequence[OnRecord]) -> Decision | None:
    """The newest decision that knew a window's answer."""
    known = [entry for entry in only(entries, Decision) if entry.window_end and entry.window_end >= window_end]
    return known[-1] if known else None


def _consequence(decision: Decision, entries: Sequence[OnRecord]) -> tuple[str, Severity, str]:
    """What the platform did, how much that leaves to hurry, and the section of the runbook."""
    if decision.action == "revert":
        return "It goes back to a kept version", "notify", "worse-champion"
    if decision.action == "retrain":
        if any(entry.decision == decision.id for entry in only(entries, Rejection)):
            return "It trained a challenger and rejected it", "notify", "rejected-challenger"
        return "It retrains", "notify", "performance"
    if decision.action in PROPOSALS:
        return "It waits for a person's approval", "page", "approval"
    if decision.rule in HELD_BACK:
        return f"It is held back ({decision.rule.replace('_', ' ')})", "page", "not-retrained"
    return f"It waits ({decision.rule})", "notify", "not-retrained"


def _worse(model: str, entries: Sequence[OnRecord]) -> Alarm | None:
    """The last promotion's outcome, where it came out worse and that version still reigns."""
    outcomes = only(entries, OutcomeFound)
    reigns = [entry for entry in entries if isinstance(entry, REIGN_BEGINS)]
    if not outcomes or outcomes[-1].result != "worse" or reigns[-1].version != outcomes[-1].version:
        return None
    worse = outcomes[-1]
    return {
        "key": f"worse-champion/{model}",
        "incident": worse.id,
        "severity": "notify",
        "happened": f"{model}: version {worse.version} turned out worse than promised. {worse.reason}",
        "did": "It put that on record; a kept version that is better takes over with the next look.",
        "do": f"Compare the versions: `mlops explain {model}`, `mlops record show {model}`.",
        "runbook": "worse-champion",
    }


def _stopped(model: str, entries: Sequence[OnRecord]) -> Alarm | None:
    """The newest rollout, where a guardrail has stopped it and neither a person nor the policy has gone on since.

    Where nobody was served by the candidate it can wait; what a person stopped, the person knows.
    """
    moves = only(entries, RolloutMove)
    if not moves or any(_goes_on(entry) for entry in entries[entries.index(moves[-1]) :]):
        return None
    last = moves[-1]
    broken = [rail["sentence"] for rail in last.guardrails if not rail["holds"]]
    if last.state not in ("rejected", "rolled_back") or not broken or last.before is None:
        return None
    version, other, was_champion = last.version, last.champion, last.before == "watch"
    did = {
        "shadow": f"It rejected it; version {other} answers everything, as before.",
        "canary": f"It took it out of service; version {other} answers everything.",
        "watch": f"It made version {other} champion again, and lets trainings wait.",
    }[last.before]
    return {
        "key": f"rollout/{model}",
        "incident": last.id,
        "severity": "digest" if last.before == "shadow" else "notify",
        "happened": f"{model}: version {version} was stopped in {last.before}. {' '.join(broken)}"[:1000],
        "did": did,
        "do": f"See what was measured: `mlops rollout {model}`. When the cause is gone: `mlops wake {model} --reason "
        f"'...'`, or `mlops retrain {model} --reason '...'`.",
        "runbook": "rollback" if was_champion else "stopped-candidate",
        "asset": (model, "rollout"),
    }


def _goes_on(entry: OnRecord) -> bool:
    """Whether an entry says that trainings go on."""
    if isinstance(entry, Decision):
        return entry.action in ACTED
    return isinstance(entry, Wake | Request | Promotion)


def _proposal(platform: Platform, model: str) -> Alarm | None:
    """What waits for a person's approval; one alert a question, however often it is decided anew."""
    proposal = proposal_of(platform.ledger.record, model)
    if proposal is None:
        return None
    return {
        "key": f"approval/{model}",
        "incident": f"approval-{model}-{proposal.question}",
        "severity": "notify",
        "happened": f"{model}: {proposal.action.replace('_', ' ')}. {proposal.reason}"[:1000],
        "did": "It put the proposal on record and does nothing until a person agrees.",
        "do": f"`mlops approve {model}`, or `mlops reject {model} --reason '...'`.",
        "runbook": "approval",
    }


def _broken_record(model: str, error: str) -> Alarm:
    return {
        "key": f"{BROKEN_RECORD}/{model}",
        "incident": f"{BROKEN_RECORD}-{model}-{error}"[:200],
        "severity": "page",
        "happened": f"The record of {model} cannot be read.",
        "did": "It makes no decision for this model until it can; the champion stays, other models go on.",
        "do": error,
        "runbook": BROKEN_RECORD,
    }
