"""`mlops status`: where everything stands, on one page.

Here: gathering what the parts say about themselves, and laying it out. Not here: judging any of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from mlops_assets.commands import running
from mlops_assets.commands.console import AsJson, example, minute, say, say_entry, say_json, say_table
from mlops_assets.resources.home import Home

if TYPE_CHECKING:
    import dagster as dg

    from mlops_assets.core.settings import ModelSettings
    from mlops_assets.resources.intake import Intake
    from mlops_assets.resources.platform import Platform
    from mlops_assets.resources.sent_alerts import SentAlert

STATES = ("stale-", "misnamed-")
"""How incidents begin that are states; whether one lasts can be seen."""
FIELDS = (
    "now", "champion", "rollout", "failing", "newest_window", "last_decision", "paused", "frozen", "snoozed",
    "proposed", "open_request",
)  # fmt: skip
"""What is said of a model."""
FORGET_ALERT_AFTER = timedelta(days=7)
"""An alert of which nothing says that it is over counts as open for a week."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops status", "mlops status --json"))(status)


def status(as_json: AsJson = False) -> None:
    """Show where everything stands: clock, sources, models, open alerts."""
    found = gather(Home.from_environment())
    if as_json:
        say_json(found)
    else:
        _say(found)


def gather(home: Home) -> dict[str, Any]:
    """The state of a home, plain."""
    from mlops_assets.defs.sensors import stale_sources
    from mlops_assets.resources.platform import Platform

    home.prepare()
    platform = Platform.of(home)
    stale = stale_sources(platform)
    up = running.of(home)
    return {
        "home": str(home.root),
        "up": {"pid": up.pid, "dagster": up.dagster, "mlflow": up.mlflow} if up else None,
        "clock": {"kind": home.settings.clock, "now": _newest(platform), "until": home.settings.until},
        "sources": {
            name: {**_source(intake), "stale": stale[name][1] if name in stale else None}
            for name, intake in platform.sources.intakes().items()
        },
        "models": {name: _readable(platform, model) for name, model in platform.models().items()},
        "alerts": [vars(alert) for alert in _open_alerts(platform, stale)],
    }


def _newest(platform: Platform) -> datetime | None:
    """The wall clock's time, or the furthest that any model's data clock has come."""
    if platform.home.settings.clock == "wall":
        return datetime.now(UTC)
    return max((now for model in platform.models().values() if (now := _now(platform, model))), default=None)


def _now(platform: Platform, model: ModelSettings) -> datetime | None:
    """A model's clock; None while a required source has nothing."""
    from mlops_assets.resources.clock import NoDataYet

    try:
        return platform.now(model)
    except NoDataYet:
        return None


def _source(intake: Intake) -> dict[str, Any]:
    state = intake.state()
    return {
        "grain": intake.source.grain,
        "newest_good": max(state.good, default=None),
        "good": len(state.good),
        "pending": list(state.pending),
        "quarantined": {
            key: entry.reason for key, entry in sorted(state.taken.items()) if entry.status == "quarantined"
        },
        "unmatched_files": list(state.unmatched),
    }


def _readable(platform: Platform, model: ModelSettings) -> dict[str, Any]:
    """A model's state; of one whose record is damaged that, and what stands elsewhere."""
    if damage := platform.ledger.record.damage(model.name):
        now = _now(platform, model)
        fields = {"now": now, "champion": _champion(platform, model, now), "damaged_record": damage}
        return dict.fromkeys(FIELDS) | fields
    return _model(platform, model) | {"damaged_record": None}


def _model(platform: Platform, model: ModelSettings) -> dict[str, Any]:
    now = _now(platform, model)
    entries = platform.ledger.record.entries(model.name)
    decisions = [entry for entry in entries if entry["kind"] == "decision"]
    last = decisions[-1] if decisions else None
    return {
        "now": now,
        "champion": _champion(platform, model, now),
        "rollout": _rollout(platform, model),
        "failing": _failing(platform, model),
        "newest_window": _newest_window(platform, model),
        "last_decision": {key: last[key] for key in ("id", "at", "action", "rule", "reasons")} if last else None,
        "paused": platform.ledger.record.paused(model.name),
        "frozen": _standing(platform, model, "freeze", now),
        "snoozed": _standing(platform, model, "snooze", now),
        "proposed": _proposed(platform, model),
        "open_request": platform.ledger.record.open_request(model.name),
    }


def _standing(platform: Platform, model: ModelSettings, kind: str, now: datetime | None) -> dict[str, Any] | None:
    """A freeze or a snooze that is not over by the model's clock."""
    entry = platform.ledger.record.standing(model.name, kind)
    if entry is None or (now is not None and datetime.fromisoformat(entry["until"]) <= now):
        return None
    return {name: entry[name] for name in ("until", "by", "reason")}


def _proposed(platform: Platform, model: ModelSettings) -> dict[str, Any] | None:
    """What was proposed and is not answered yet."""
    from mlops_assets.resources.proposals import proposal_of

    found = proposal_of(platform.ledger.record, model.name)
    return {name: found[name] for name in ("id", "at", "action", "rule", "reasons")} if found else None


def _champion(platform: Platform, model: ModelSettings, now: datetime | None) -> dict[str, Any] | None:
    from mlops_assets.resources.platform import fitted_until

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
    from mlops_assets.resources.failing import failing_of
    from mlops_assets.resources.fallback import DOES

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


def _rollout(platform: Platform, model: ModelSettings) -> str | None:
    """The open rollout of a candidate, in words."""
    from mlops_assets.resources.rolling_out import told

    return told(platform, model) or None


def _newest_window(platform: Platform, model: ModelSettings) -> dict[str, Any] | None:
    """The newest window that any monitor has judged, with the answers on it."""
    from mlops_assets.resources.evidence import window_checks

    checks = window_checks(platform, model)
    if not checks:
        return None
    newest = [check for check in checks if check.window_end == checks[-1].window_end]
    return {
        "window": newest[0].window,
        "end": newest[0].window_end,
        "checks": {check.name: {"passed": check.passed, "sentence": check.sentence} for check in newest},
    }


def _open_alerts(platform: Platform, stale: Mapping[str, tuple[Any, str]]) -> list[SentAlert]:
    """Alerts whose incident is not over, oldest first."""
    import dagster as dg

    from mlops_assets.defs.sensors import misnamed_files, stale_views
    from mlops_assets.resources.alerts import Alerts
    from mlops_assets.resources.sent_alerts import sent_alerts

    home = platform.home
    alerts = sent_alerts(Alerts(root=str(home.root)).file)
    if not alerts:
        return []
    lasting = {f"stale-{name}-{newest}" for name, (newest, _) in stale.items()}
    lasting |= {alert["incident"] for alert in misnamed_files(platform)}
    if stale_views(platform):
        lasting |= {alert.incident for alert in alerts if alert.incident.startswith("stale-views-")}
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        return [alert for alert in alerts if _is_open(alert, lasting, instance)]


def _is_open(alert: SentAlert, lasting: set[str], instance: dg.DagsterInstance) -> bool:
    """A state as long as it lasts, a failed run until its job went through, anything else for a week."""
    import dagster as dg

    if alert.incident.startswith(STATES):
        return alert.incident in lasting
    run = instance.get_run_by_id(alert.incident.removeprefix("run-"))
    if run is None:
        return datetime.now(UTC) - alert.sent_at < FORGET_ALERT_AFTER
    later = dg.RunsFilter(job_name=run.job_name, statuses=[dg.DagsterRunStatus.SUCCESS], created_after=alert.sent_at)
    return not instance.get_runs(filters=later, limit=1)


def _say(found: Mapping[str, Any]) -> None:
    clock, up = found["clock"], found["up"]
    say(f"Home   {found['home']} ({'up at ' + up['dagster'] if up else 'mlops up is not running'})")
    now = f"{minute(clock['now'])} UTC" if clock["now"] else "unknown: no data yet"
    say(f"Clock  {clock['kind']}, now {now}")
    say_table(
        "Sources",
        ["source", "newest good", "pending", "in quarantine", "fresh"],
        [_source_row(name, source) for name, source in found["sources"].items()],
    )
    say_table(
        "Models",
        ["model", "champion", "newest window", "last decision"],
        [_model_row(name, model) for name, model in found["models"].items()],
    )
    for failing in filter(None, (model["failing"] for model in found["models"].values())):
        say(f"[bold red]{escape(failing['sentence'])}[/bold red] {escape(failing['did'])}")
    for name, model in found["models"].items():
        if window := model["newest_window"]:
            answers = "; ".join(f"{check} {_answer(of['passed'])}" for check, of in window["checks"].items())
            say(f"{name}, window {window['window']}: {answers}.")
        for sentence in (*_held_back(model), *_waits(name, model["proposed"])):
            say(f"{name} {sentence}")
    if found["alerts"]:
        say("[bold]Open alerts[/bold]")
        for alert in found["alerts"]:
            say_entry(f"since {minute(alert['at'])} UTC, {alert['runbook']}", alert["happened"])
            say_entry("  what to do", alert["do"])
    else:
        say("No open alert.")


def _source_row(name: str, source: Mapping[str, Any]) -> Sequence[object]:
    newest = source["newest_good"]
    fresh = source["stale"] or ("yes" if newest else "no data yet")
    quarantined = _few(list(source["quarantined"]))
    return (name, newest or "never", _few(source["pending"]), quarantined, fresh)


def _model_row(name: str, model: Mapping[str, Any]) -> Sequence[object]:
    champion, window, last = model["champion"], model["newest_window"], model["last_decision"]
    failing = "worse than guessing" if model["failing"] else ""
    age = f", {champion['age_days']:.0f} days old" if champion and champion["age_days"] is not None else ""
    return (
        name,
        "\n".join(
            filter(None, (f"version {champion['version']}{age}" if champion else "none yet", failing, model["rollout"]))
        ),
        window["window"] if window else "none yet",
        f"{last['action'].replace('_', ' ')}: {last['rule'].replace('_', ' ')}" if last else "none yet",
    )


def _held_back(model: Mapping[str, Any]) -> Iterator[str]:
    """By whom, until when and why."""
    if model["damaged_record"]:
        yield f"has a damaged record: {escape(model['damaged_record'])}"
    if model["paused"]:
        yield f"is paused: {model['paused']}"
    for name in ("frozen", "snoozed"):
        if held := model[name]:
            yield f"is {name} until {minute(held['until'])} UTC: {held['reason']} ({held['by']})"


def _waits(name: str, proposed: Mapping[str, Any] | None) -> Iterator[str]:
    """What a person is asked for."""
    if proposed is not None:
        what = proposed["action"].removeprefix("propose_")
        why = proposed["rule"].replace("_", " ")
        yield f"waits for approval, {what}: {why}. mlops approve|reject {name} {proposed['id'][:8]}"


def _answer(passed: bool | None) -> str:
    return {True: "passed", False: "failed", None: "cannot judge"}[passed]


def _few(partitions: Sequence[str]) -> str:
    """The partitions, or how many and from when to when."""
    if len(partitions) <= 3:
        return ", ".join(partitions) or "none"
    return f"{len(partitions)}: {min(partitions)} to {max(partitions)}"
