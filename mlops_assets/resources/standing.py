"""Where everything stands in a home, as plain values: clock, sources, models, open incidents.

Here: gathering what the parts say of themselves; of each model whether it is fine, why it was or was not retrained,
what comes next and when. Not here: judging data or models (`core.policy`, the reports), laying it out
(`commands.status`). Imports nothing heavy: no Dagster, MLflow or pandas, so that the answer is there in a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from mlops_assets.core.failing import DOES
from mlops_assets.core.holding import quiet
from mlops_assets.core.incidents import Incident
from mlops_assets.core.plain import days_of
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.windows import window_at
from mlops_assets.resources.clock import NoDataYet
from mlops_assets.resources.home import Home
from mlops_assets.resources.incidents import Incidents
from mlops_assets.resources.intake import Intake
from mlops_assets.resources.judged_windows import failing_of, window_checks
from mlops_assets.resources.platform import Platform, fitted_until
from mlops_assets.resources.proposals import proposal_of
from mlops_assets.resources.record import ACTED
from mlops_assets.resources.rolling_out import told as rollout_told
from mlops_assets.resources.source_alarms import STATES, lasting, stale_sources

FORGET_AFTER = timedelta(days=7)
"""An incident of which nothing says that it is over counts as open for a week."""
HURTS = ("performance", "classes")
"""Kinds of checks whose failure means that a model is not fine; drift alone has no consequence."""
CONCLUDES = ("promotion", "rejection", "rollout")


def standing(home: Home) -> dict[str, Any]:
    """The state of a home."""
    home.prepare()
    platform = Platform.of(home)
    stale = stale_sources(platform)
    incidents = list(_open_incidents(platform))
    models = {name: _model(platform, model, incidents) for name, model in platform.models().items()}
    now = datetime.now(UTC) if home.settings.clock == "wall" else None
    return {
        "home": str(home.root),
        "clock": {
            "kind": home.settings.clock,
            "now": now or max((m["now"] for m in models.values() if m["now"]), default=None),
            "until": home.settings.until,
        },
        "sources": {
            name: {**_source(intake), "stale": stale[name][1] if name in stale else None}
            for name, intake in platform.sources.intakes().items()
        },
        "models": models,
        "alerts": [_alert(incident) for incident in incidents],
    }


def _source(intake: Intake) -> dict[str, Any]:
    state = intake.state()
    quarantined = {key: entry.reason for key, entry in sorted(state.taken.items()) if entry.status == "quarantined"}
    return {
        "grain": intake.source.grain,
        "newest_good": max(state.good, default=None),
        "good": len(state.good),
        "pending": list(state.pending),
        "quarantined": quarantined,
        "unmatched_files": list(state.unmatched),
    }


def _open_incidents(platform: Platform) -> Iterator[Incident]:
    """Those that last, oldest first: `mlops up` ends them every half minute, and without it states are looked at."""
    found = Incidents(platform.home.root).state().open
    seen = lasting(platform) if any(incident.key.startswith(STATES) for incident in found) else set()
    for incident in found:
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


def _model(platform: Platform, model: ModelSettings, incidents: Sequence[Incident]) -> dict[str, Any]:
    """One model; what cannot be read of it is its trouble, and hides no other model."""
    now, damaged = _now(platform, model), platform.ledger.record.damage(model.name)
    unread = damaged
    try:
        known = _NOTHING | {"champion": _champion(platform, model, now)} if damaged else _known(platform, model, now)
    except ValueError as error:
        known, unread = dict(_NOTHING), damaged or str(error)
    trouble = [unread] if unread else list(_trouble(model.name, known, incidents))
    state = "not fine" if trouble else "paused" if known["paused"] else "fine"
    return {
        "state": state,
        "fine": state == "fine",
        "trouble": [*trouble, *([f"It is paused: {known['paused']}"] if known["paused"] else [])],
        "now": now,
        **known,
        "damaged_record": damaged or None,
        "next": "It decides nothing until this is mended." if unread else _next(platform, model, known, now),
    }


_FIELDS = ("champion", "rollout", "failing", "newest_window", "last_decision", "paused")
_NOTHING = dict.fromkeys((*_FIELDS, "frozen", "snoozed", "proposed", "open_request"))


def _known(platform: Platform, model: ModelSettings, now: datetime | None) -> dict[str, Any]:
    record = platform.ledger.record
    decisions = [entry for entry in record.entries(model.name) if entry["kind"] == "decision"]
    proposed = proposal_of(record, model.name)
    return {
        "champion": _champion(platform, model, now),
        "rollout": rollout_told(platform, model) or None,
        "failing": _failing(platform, model),
        "newest_window": _newest_window(platform, model),
        "last_decision": _said(decisions[-1]) if decisions else None,
        "paused": record.paused(model.name),
        "frozen": _standing(platform, model, "freeze", now),
        "snoozed": _standing(platform, model, "snooze", now),
        "proposed": _said(proposed) if proposed else None,
        "open_request": record.open_request(model.name),
    }


def _said(decision: Mapping[str, Any]) -> dict[str, Any]:
    return {key: decision[key] for key in ("id", "at", "action", "rule", "reasons")}


def _now(platform: Platform, model: ModelSettings) -> datetime | None:
    """A model's clock; None while a required source has nothing."""
    try:
        return platform.now(model)
    except NoDataYet:
        return None


def _standing(platform: Platform, model: ModelSettings, kind: str, now: datetime | None) -> dict[str, Any] | None:
    """A freeze or a snooze that is not over by the model's clock."""
    entry = platform.ledger.record.standing(model.name, kind)
    if entry is None or (now is not None and datetime.fromisoformat(entry["until"]) <= now):
        return None
    return {name: entry[name] for name in ("until", "by", "reason")}


def _champion(platform: Platform, model: ModelSettings, now: datetime | None) -> dict[str, Any] | None:
    version = platform.registry.champion(model.name)
    if version is None:
        return None
    until = fitted_until(version)
    age = (now - until).total_seconds() / 86400 if now and until else None
    return {
        "version": version.version,
        "fitted_until": until,
        "age_days": None if age is None else round(age, 1),
    }


def _failing(platform: Platform, model: ModelSettings) -> dict[str, Any] | None:
    """That the champion is worse than guessing, since when, by what numbers, and what is done about it."""
    found = failing_of(platform, model)
    if found is None:
        return None
    return {
        "version": found.version,
        "since": found.since.astimezone(model.zone).date(),
        "sentence": found.told(model.name, model.zone),
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


def _trouble(name: str, known: Mapping[str, Any], incidents: Sequence[Incident]) -> Iterator[str]:
    """What is not as it should be, in sentences; nothing of a model that is fine."""
    if known["failing"]:
        yield f"{known['failing']['sentence']} {known['failing']['did']}"
    elif known["champion"] is None and not known["paused"]:
        yield "It has no champion yet: nothing is predicted."
    window = known["newest_window"] or {"checks": {}, "window": ""}
    for check in window["checks"].values():
        if check["kind"] in HURTS and check["passed"] is False:
            yield check["sentence"]
    told = {"failing", *HURTS}
    for incident in incidents:
        kind, _, about = incident.key.partition("/")
        if about.split(".")[0].split("@")[0] == name and kind not in told and incident.severity != "digest":
            yield incident.report.happened


def _next(platform: Platform, model: ModelSettings, known: Mapping[str, Any], now: datetime | None) -> str:
    """What happens to a model next, and when."""
    name, last = model.name, known["last_decision"]
    if known["paused"]:
        return f"Nothing, until somebody types: mlops resume {name} --reason '...'"
    if proposed := known["proposed"]:
        return f"It waits for a person: mlops approve|reject {name} {proposed['id'][:8]}"
    if known["rollout"]:
        return str(known["rollout"])
    if now is None:
        return "Its data come: a source that it needs has no good partition yet."
    if known["frozen"]:
        return f"No version goes into production before {_minute(known['frozen']['until'])} UTC (frozen)."
    if last and last["action"] in ACTED and not _concluded(platform, name, last["id"]):
        return f"Its run ends: {last['action']} by decision {last['id'][:8]}; then the gate says what becomes of it."
    if known["open_request"]:
        return f"The next tick decides on the request: {known['open_request']}"
    return _next_window(platform, model, known, now)


def _next_window(platform: Platform, model: ModelSettings, known: Mapping[str, Any], now: datetime) -> str:
    """When the next window closes, and what holds a training back until then."""
    window = window_at(now, model.monitoring.window, model.timezone)
    is_data = platform.home.settings.clock == "data"
    after = f"{window.end:%Y-%m-%d %H:%M} UTC" + (
        " by the data's clock, so once its files have landed" if is_data else ""
    )
    held = list(_held(platform, model, known, now))
    what = "it is judged, and a retraining is decided on" if known["champion"] else "a first champion is decided on"
    return f"Window {window.label(model.timezone)} closes at {after}; then {what}." + "".join(f" {h}" for h in held)


def _held(platform: Platform, model: ModelSettings, known: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """Until when nothing is trained by itself, and when age alone asks for it."""
    policy, champion = model.retrain_policy, known["champion"]
    if snoozed := known["snoozed"]:
        yield f"It is snoozed until {_minute(snoozed['until'])} UTC."
    acted = [e for e in platform.ledger.entries(model.name) if e["kind"] == "decision" and e["action"] in ACTED]
    if acted and champion:
        until = datetime.fromisoformat(acted[-1]["at"]) + policy.cooldown
        if until > now:
            yield f"The cooldown of {days_of(policy.cooldown)} lasts until {until:%Y-%m-%d %H:%M} UTC."
    if (told := quiet(policy, now)) is not None:
        yield told
    if champion and champion["fitted_until"] and policy.age_limit is not None:
        yield f"On {champion['fitted_until'] + policy.age_limit:%Y-%m-%d} its age asks for a retraining."


def _concluded(platform: Platform, name: str, decision: str) -> bool:
    entries = platform.ledger.entries(name)
    return any(entry.get("decision") == decision and entry["kind"] in (*CONCLUDES, "rollback") for entry in entries)


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}"
