"""Where everything stands in a home, as plain values: clock, sources, models, open incidents.

Here: gathering what the parts say of themselves; of each model whether it is fine, why it was or was not retrained,
what it waits for. Not here: what comes next (`upcoming`), judging data or models (`core.decide.policy`, the reports),
laying it out (`commands.status`). Imports nothing heavy: no Dagster, MLflow or pandas, to answer in a second.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_assets.core.decide.requests import last_asked
from mlops_assets.core.performance.against_baseline import DOES
from mlops_assets.core.record.entries import Decision, Freeze, Snooze, only
from mlops_assets.core.record.incidents import Incident
from mlops_assets.core.record.wording import CANNOT_FIRE
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.steps.decide.proposals import proposal_of
from mlops_assets.steps.decide.upcoming import upcoming
from mlops_assets.steps.land.lags import SourceLag, lacking, source_lags, view_lags
from mlops_assets.steps.land.source_alarms import IN_QUARANTINE, STATES, lasting, newest_bad
from mlops_assets.steps.rollout.moves import rollout_in_words
from mlops_assets.steps.watch.windows.summaries import failing_of, window_checks
from mlops_assets.world.alerts.incidents import Incidents
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.home import Home
from mlops_assets.world.landed.intake import Intake
from mlops_assets.world.landed.landed_files import unclaimed
from mlops_assets.world.platform import POOLED, Platform, fitted_until

FORGET_AFTER = timedelta(days=7)
"""An incident of which nothing says that it is over counts as open for a week."""
HURTS = ("performance", "classes")
"""Kinds of checks whose failure means that a model is not fine; drift alone has no consequence."""


@looked_at_once()
def standing(home: Home, names: Collection[str] | None = None) -> dict[str, Any]:
    """The state of a home.

    Args:
        home: where to look.
        names: of the models that are looked at; None: all.
    """
    home.prepare()
    platform = Platform.of(home)
    lags = source_lags(platform)
    incidents, unread_alerts = _incidents(platform)
    damaged, unread = platform.sources.damaged(), platform.sources.settings().unread
    models = {
        name: _model(platform, model, incidents, damaged)
        for name, model in platform.models().items()
        if names is None or name in names
    }
    now = datetime.now(UTC) if home.settings.clock == "wall" else None
    return {
        "home": str(home.root),
        "clock": {
            "kind": home.settings.clock,
            "now": now or max((m["now"] for m in models.values() if m["now"]), default=None),
            "until": home.settings.until,
        },
        "sources": {
            name: {**_source(intake), **_lag(name, lags.get(name))}
            for name, intake in platform.sources.intakes().items()
            if name not in damaged
        },
        "views": {
            view: {"lag_hours": _hours(lacking(span)), "lacks_from": span.start if span else None}
            for view, span in view_lags(platform).items()
        },
        "damaged_sources": {name: why for name, why in damaged.items() if name not in unread},
        "broken_files": {str(file.path): file.sentence for file in platform.broken_files()},
        "broken_models": {
            name: why for name, why in _broken_models(platform) if names is None or {*name.split(", ")} & {*names}
        },
        "models": models,
        "alerts": [_alert(incident) for incident in incidents],
        "unread_alerts": unread_alerts,
    }


def _broken_models(platform: Platform) -> Iterator[tuple[str, str]]:
    """Models whose file is broken, each with what is wrong; the record knows names that the file may not tell."""
    recorded = set(platform.ledger.record.models())
    for file in platform.broken_files():
        if file.below:
            yield from ((name, file.sentence) for name in sorted(file.names))
        elif names := file.names & recorded or (file.names if file.has_model else set()):
            yield ", ".join(sorted(names)), file.sentence


def _source(intake: Intake) -> dict[str, Any]:
    state = intake.state()
    quarantined = {key: entry.reason for key, entry in sorted(state.taken.items()) if entry.status == "quarantined"}
    return {
        "grain": intake.source.grain,
        "newest_good": max(state.good, default=None),
        "good": len(state.good),
        "pending": list(state.pending),
        "quarantined": quarantined,
        "notes": {key: entry.notes for key, entry in sorted(state.good.items())[-1:] if entry.notes},
        "unmatched_files": list(state.unmatched),
        "unclaimed": [
            f"{files.problem}. {files.remedy}" for files in unclaimed(intake.source, intake.folder, state.unmatched)
        ],
        "no_right": {key: file.no_right for key, file in state.no_right.items()},
    }


def _lag(name: str, lag: SourceLag | None) -> dict[str, Any]:
    """How old a source's newest data is; nothing where it is no source in use, or has no partitions."""
    age = lag.age if lag else None
    return {
        "stale": lag.sentence(name) if lag and lag.is_stale else None,
        "lag_hours": _hours(age) if age is not None else None,
        "missed_hours": _hours(lag.missed) if lag and age is not None else None,
        "fresh_for": lag.fresh_for if lag else None,
        "is_over": lag.is_over if lag else None,
    }


def _hours(length: timedelta) -> float:
    return round(length.total_seconds() / 3600, 1)


def _incidents(platform: Platform) -> tuple[list[Incident], str | None]:
    """Those that last, and why nobody knows them; that hides no model and no source."""
    try:
        return list(_open_incidents(platform)), None
    except ValueError as error:
        return [], str(error)


def _open_incidents(platform: Platform) -> Iterator[Incident]:
    """Those that last, oldest first: `mlops up` ends them every half minute, and without it states are looked at."""
    incidents = Incidents(platform.home.root).state().open
    seen = lasting(platform) if any(incident.key.startswith(STATES) for incident in incidents) else set()
    for incident in incidents:
        if incident.key.startswith(STATES):
            is_over = incident.key not in seen
        else:
            is_over = incident.report.run is None and datetime.now(UTC) - incident.updated_at > FORGET_AFTER
        if not is_over:
            yield incident


def _alert(incident: Incident) -> dict[str, Any]:
    report = incident.report
    return {
        "about": incident.key,
        "severity": incident.severity,
        "at": incident.opened_at,
        "happened": report.happened,
        "did": report.did,
        "do": report.do,
        "runbook": f"docs/runbook.md#{report.runbook}",
        "run": report.run,
    }


def _model(
    platform: Platform, model: ModelSettings, incidents: Sequence[Incident], damaged_sources: Mapping[str, str]
) -> dict[str, Any]:
    """One model; what cannot be read of it is its trouble, and hides no other model."""
    damaged = platform.ledger.record.damage(model.name)
    read = platform.catalogue.sources_of([*model.features, model.label.model])
    source = next((why for name, why in sorted(damaged_sources.items()) if name in read), "")
    unread, now = damaged or source, None if source else _now(platform, model)
    known: dict[str, Any] = {}
    try:
        known = _NOTHING | {"champion": _champion(platform, model, now)} if damaged else _known(platform, model, now)
        if not source:
            known["quarantined"] = [f"{of}/{partition}" for of, partition in newest_bad(platform, model)]
            known["outdated"] = not damaged and _is_outdated(known)
        coming = "" if unread else upcoming(platform, model, known)
    except ValueError as error:
        known, unread = known or dict(_NOTHING), unread or str(error)
    trouble = [unread] if unread else list(_trouble(model.name, known, incidents))
    state = "not fine" if trouble else "paused" if known["paused"] else "fine"
    return {
        "state": state,
        "fine": state == "fine",
        "quality": _quality(known),
        "trouble": [*trouble, *([f"It is paused: {known['paused']}"] if known["paused"] else [])],
        "now": now,
        **known,
        "damaged_record": damaged or None,
        "next": "It decides nothing until this is fixed." if unread else coming,
    }


_FIELDS = (
    "champion",
    "rollout",
    "failing",
    "newest_window",
    "last_decision",
    "outdated",
    "paused",
    "quarantined",
    "pool",
)
_NOTHING = dict.fromkeys((*_FIELDS, "frozen", "snoozed", "proposed", "open_request", "asked", "cannot_fire"))
_GROUNDS = {
    "data": "quarantined",
    "frozen": "frozen",
    "paused": "paused",
    "snoozed": "snoozed",
    "rollout_open": "rollout",
}
"""Rules that hold a model back, and the field that says whether the cause still lasts."""


def _known(platform: Platform, model: ModelSettings, now: datetime | None) -> dict[str, Any]:
    record = platform.ledger.record
    entries = record.entries(model.name)
    decisions = only(entries, Decision)
    proposed = proposal_of(record, model.name)
    return _NOTHING | {
        "pool": model.pool if isinstance(model, MemberSettings) else None,
        "champion": _champion(platform, model, now),
        "rollout": rollout_in_words(platform, model) or None,
        "failing": _failing(platform, model),
        "newest_window": _newest_window(platform, model),
        "last_decision": _said(decisions[-1]) if decisions else None,
        "cannot_fire": _cannot_fire(decisions[-1]) if decisions else None,
        "paused": record.paused(model.name),
        "frozen": _standing(platform, model, Freeze, now),
        "snoozed": _standing(platform, model, Snooze, now),
        "proposed": _said(proposed) if proposed else None,
        "open_request": record.open_request(model.name),
        "asked": asked.in_words if (asked := last_asked(entries)) else None,
    }


def _is_outdated(known: Mapping[str, Any]) -> bool:
    """Whether what the last decision waited for is over, and no tick has decided since."""
    last = known["last_decision"]
    if last is None or last["rule"] not in _GROUNDS or known[_GROUNDS[last["rule"]]]:
        return False
    # By the rule `data` a model waits for its feature code, too, which is not looked at here.
    return last["rule"] != "data" or any(IN_QUARANTINE in reason for reason in last["reasons"])


def _said(decision: Decision) -> dict[str, Any]:
    values = decision.to_dict()
    return {key: values[key] for key in ("id", "at", "action", "rule", "reasons")}


def _cannot_fire(decision: Decision) -> dict[str, str] | None:
    """The agreed triggers that nothing can make ask, each with why."""
    silent = {
        result["name"]: result["sentence"].removeprefix(CANNOT_FIRE).strip()
        for result in decision.evidence.get("triggers", ())
        if result["sentence"].startswith(CANNOT_FIRE)
    }
    return silent or None


def _now(platform: Platform, model: ModelSettings) -> datetime | None:
    """A model's clock; None while a required source has nothing."""
    try:
        return platform.now(model)
    except NoDataYet:
        return None


def _standing(
    platform: Platform, model: ModelSettings, kind: type[Freeze] | type[Snooze], now: datetime | None
) -> dict[str, Any] | None:
    """A freeze or a snooze that is not over by the model's clock."""
    entry: Freeze | Snooze | None = platform.ledger.record.standing(model.name, kind)
    if entry is None or (now is not None and entry.until <= now):
        return None
    return {"until": entry.until.isoformat(), "by": entry.by, "reason": entry.reason}


def _champion(platform: Platform, model: ModelSettings, now: datetime | None) -> dict[str, Any] | None:
    version = platform.registry.champion(model.name)
    if version is None:
        return None
    until = fitted_until(version)
    age = (now - until).total_seconds() / 86400 if now and until else None
    return {
        "version": version.version,
        "pooled": int(version.tags[POOLED]) if POOLED in version.tags else None,
        "fitted_until": until,
        "age_days": None if age is None else round(age, 1),
        "lag_hours": None if age is None else round(age * 24, 1),
    }


def _failing(platform: Platform, model: ModelSettings) -> dict[str, Any] | None:
    """That the champion is worse than guessing, since when, by what numbers, and what is done about it."""
    failing = failing_of(platform, model)
    if failing is None:
        return None
    return {
        "version": failing.version,
        "since": failing.since.astimezone(model.zone).date(),
        "sentence": failing.in_words(model.name, model.zone),
        "on_failing": model.on_failing,
        "did": DOES[model.on_failing],
    }


def _newest_window(platform: Platform, model: ModelSettings) -> dict[str, Any] | None:
    """The newest window that any monitor has judged, with the answers on it."""
    checks = window_checks(platform, model)
    if not checks:
        return None
    newest = [check for check in checks if check.window_end == checks[-1].window_end]
    return {
        "window": newest[0].window,
        "end": newest[0].window_end,
        "checks": {
            check.name: {"kind": check.kind, "passed": check.passed, "sentence": check.sentence} for check in newest
        },
    }


def _is_replaced(known: Mapping[str, Any]) -> bool:
    """Whether the newest judged window was over when the champion was trained: an earlier version predicted it."""
    champion, window = known["champion"], known["newest_window"]
    return bool(champion and window and champion["fitted_until"] and window["end"] <= champion["fitted_until"])


def _quality(known: Mapping[str, Any]) -> str:
    """What is known of how right its predictions are, in a sentence; what only watches its data is named apart."""
    window = known["newest_window"]
    if known["pool"] and known["champion"] is None:
        return f"Predicted and watched as part of the pool, {known['pool']}."
    if window is None:
        return "No window has been judged yet."
    if _is_replaced(known):
        return f"No window has been judged since version {known['champion']['version']} was trained."
    checks = window["checks"]
    judged = [check["passed"] for check in checks.values() if check["kind"] in HURTS and check["passed"] is not None]
    failed = [name for name, check in checks.items() if check["kind"] not in HURTS and check["passed"] is False]
    verdict = f"Its predictions {'hold' if all(judged) else 'do not hold'}" if judged else "Nobody can judge it yet"
    also = f" Watched only: {', '.join(failed)} failed; values may move while predictions stay right." if failed else ""
    return f"{verdict} in window {window['window']}.{also}"


def _trouble(name: str, known: Mapping[str, Any], incidents: Sequence[Incident]) -> Iterator[str]:
    """What is not as it should be, in sentences; nothing of a model that is fine."""
    if known["failing"]:
        yield f"{known['failing']['sentence']} {known['failing']['did']}"
    elif known["champion"] is None and not known["paused"] and not known["pool"]:
        yield "It has no champion yet: nothing is predicted."
    window = known["newest_window"] or {"checks": {}, "window": ""}
    for check in window["checks"].values():
        if check["kind"] in HURTS and check["passed"] is False and not _is_replaced(known):
            yield check["sentence"]
    covered = {"failing", *HURTS}
    for incident in incidents:
        kind, _, about = incident.key.partition("/")
        if about.split(".")[0].split("@")[0] == name and kind not in covered and incident.severity != "digest":
            yield incident.report.happened
