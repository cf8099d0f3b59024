"""The checks of how old sources and feature views are, and the sensor that acts on them.

Here: what the checks say by the home's clock, and one tick of the sensor, which reports them and builds again what is
behind. Not here: the measure (`steps.land.lags`), what Dagster is told beside (`assets.freshness_policies`).

A check is reported when its answer or its newest data changes, or its asset has been materialized anew, for Dagster's
pages show the checks of the newest materialization alone. The sensor does it, without a run: one for each would cost
seconds to say that nothing has happened. By hand it can be executed like any other.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_assets.assets.freshness_policies import SOURCE_CHECK, VIEW_CHECK, freshness_specs
from mlops_assets.assets.jobs import landing_checks, landing_keys, watching
from mlops_assets.assets.partitions import span_tags
from mlops_assets.assets.platform.sensors import CONTENT_TAG, ON, graph_of, jobs, loaded_groups
from mlops_assets.core.source_groups import Group, landing_job
from mlops_assets.core.time.spans import Span
from mlops_assets.steps.land.lags import SourceLag, hours_of, lacking, source_lags, view_lags
from mlops_assets.steps.land.source_alarms import STALE_VIEWS, late_streams, stale_sources, stale_views
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.declared_files import looked_at_once
from mlops_assets.world.platform import Platform


def build_freshness_checks(specs: Sequence[dg.AssetCheckSpec]) -> dg.AssetChecksDefinition:
    """The checks as one step, for whoever executes them by hand."""

    @dg.multi_asset_check(name="freshness_checks", specs=specs, can_subset=True)
    def checks(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        """Look at the selected sources and views; what is not in use yet gets no result."""
        for event in _evaluations(platform):
            if event.asset_check_key in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(
                    asset_key=event.asset_key,
                    check_name=event.check_name,
                    passed=event.passed,
                    severity=event.severity,
                    description=event.description,
                    metadata=event.metadata,
                )

    return checks


freshness_checks = build_freshness_checks(freshness_specs())


def _evaluations(platform: Platform) -> Iterator[dg.AssetCheckEvaluation]:
    """What the checks of all sources and views say now."""
    for name, lag in source_lags(platform).items():
        yield _of_source(name, lag)
    for view, span in view_lags(platform).items():
        yield _evaluation(
            dg.AssetCheckKey(dg.AssetKey(view), VIEW_CHECK),
            passed=span is None,
            description=f"It lacks {hours_of(lacking(span))} hours that its sources have, from {span.start} on."
            if span
            else "It has every day that its sources have.",
            metadata={"lag_hours": _hours(lacking(span))},
        )


def _of_source(name: str, lag: SourceLag) -> dg.AssetCheckEvaluation:
    age: dict[str, Any] = {"allowed": lag.fresh_for, "missed_hours": _hours(lag.missed)}
    if lag.end is not None and lag.age is not None:
        age |= {"newest_data": dg.MetadataValue.timestamp(lag.end), "lag_hours": _hours(lag.age)}
    return _evaluation(
        dg.AssetCheckKey(dg.AssetKey(["raw", name]), SOURCE_CHECK),
        passed=not lag.is_stale,
        description=lag.sentence(name),
        metadata=age,
    )


def _hours(length: timedelta) -> float:
    return round(length.total_seconds() / 3600, 1)


def _evaluation(
    key: dg.AssetCheckKey, *, passed: bool, description: str, metadata: Mapping[str, Any]
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=description,
        metadata=metadata,
    )


def _checked(
    context: dg.SensorEvaluationContext, platform: Platform
) -> tuple[list[dg.AssetCheckEvaluation], str | None]:
    """What is news of the checks, and the cursor that knows all of them."""
    if platform.home.settings.landing:
        return [], context.cursor  # A replay's instance has no readers, and its time stands still between two ticks.
    loaded = graph_of(context).asset_check_keys
    known: dict[str, str] = json.loads(context.cursor or "{}")
    events = [event for event in _evaluations(platform) if event.asset_check_key in loaded]
    records = context.instance.get_asset_records([event.asset_key for event in events])
    built = {each.asset_entry.asset_key: each.asset_entry.last_materialization_storage_id for each in records}
    now, news = {}, []
    for event in events:
        name = event.asset_check_key.to_user_string()
        now[name] = f"{_state(event)} {built.get(event.asset_key) or ''}".strip()
        news += [] if known.get(name) == now[name] else [event]
    return news, json.dumps(now, sort_keys=True)


def _state(event: dg.AssetCheckEvaluation) -> str:
    """What makes an evaluation news: not that time goes on."""
    newest = event.metadata.get("newest_data")
    return f"{event.passed} {newest.value if newest else ''} {event.description if not newest else ''}".strip()


@dg.sensor(
    jobs=jobs,
    minimum_interval_seconds=300,
    default_status=ON,
    description="Checks how far sources and feature views are behind, builds again what is, and says where that cannot "
    "help.",
)
@looked_at_once()
def freshness_sensor(
    context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
) -> dg.SensorResult:
    """Checks how far sources and feature views are behind, builds again what is, and says where that cannot help."""
    groups, unloaded = loaded_groups(context, platform)
    events, cursor = _checked(context, platform)
    if platform.sources.pending(groups):
        why = "Files are pending: the landing sensor carries them first."
        return dg.SensorResult(skip_reason=why, asset_events=events, cursor=cursor)
    stale = stale_sources(platform)
    alerts.send_all(
        {
            "incident": f"stale-{name}-{lag.end.date() if lag.end else None}",
            "happened": lag.sentence(name),
            "did": "It goes on with the data it has; models that need this source wait.",
            "do": f"Find out why no file of {name} arrives, or land it: {platform.home.landing / name}.",
            "runbook": "stale-source",
            "key": f"stale-source/{name}",
        }
        for name, lag in stale.items()
    )
    reasons = [lag.sentence(name) for name, lag in stale.items()] + ([unloaded] if unloaded else [])
    late = late_streams(platform)
    alerts.send_all(late)
    reasons += [alert["happened"] for alert in late]
    requests = []
    for group, views in _by_group(platform, groups, _loaded(context, stale_views(platform))):
        request = freshness_request(context, platform, group, views)
        if not context.instance.get_runs(filters=dg.RunsFilter(tags={CONTENT_TAG: str(request.run_key)}), limit=1):
            requests.append(request)
        else:
            reasons.append(tell_stale_views(context.instance, alerts, views, key=str(request.run_key)))
    if requests:
        return dg.SensorResult(run_requests=requests, asset_events=events, cursor=cursor)
    why = platform.home.said(" ".join(reasons)) or "Every source and feature view is fresh."
    return dg.SensorResult(skip_reason=why, asset_events=events, cursor=cursor)


def _loaded(context: dg.SensorEvaluationContext, views: Mapping[str, Span]) -> dict[str, Span]:
    """The views that the loaded definitions know."""
    keys = graph_of(context).get_all_asset_keys()
    return {view: span for view, span in views.items() if dg.AssetKey(view) in keys}


def _by_group(
    platform: Platform, groups: Sequence[Group], views: Mapping[str, Span]
) -> list[tuple[Group, dict[str, Span]]]:
    """The views of each group of sources that has any."""
    read = platform.catalogue.sources_of
    parts = [(group, {view: span for view, span in views.items() if group & read([view])}) for group in groups]
    return [(group, mine) for group, mine in parts if mine]


def freshness_request(
    context: dg.SensorEvaluationContext, platform: Platform, group: Group, views: Mapping[str, Span]
) -> dg.RunRequest:
    """One run over the days that any view of a group lacks; its key is the state that it is to end."""
    state = json.dumps({view: [str(day) for day in span] for view, span in sorted(views.items())})
    key = f"freshness-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    behind = Span(min(span.start for span in views.values()), max(span.end for span in views.values()))
    graph = graph_of(context)
    keys = landing_keys(
        graph,
        sources=group,
        take_in=(),
        watched=[key for m in platform.models().values() if m.grain == "day" for key in watching(m)],
    )
    return dg.RunRequest(
        run_key=key,
        job_name=landing_job(platform.sources.settings(), group, "day"),
        asset_selection=keys,
        asset_check_keys=landing_checks(graph, keys),
        tags={**span_tags(behind), CONTENT_TAG: key},
    )


def tell_stale_views(instance: dg.DagsterInstance, alerts: Alerts, views: Mapping[str, Span], *, key: str) -> str:
    """One alert once the run that was to help has ended and has not."""
    names = ", ".join(sorted(views))
    run = instance.get_runs(filters=dg.RunsFilter(tags={CONTENT_TAG: key}), limit=1)[0]
    if not run.is_finished:
        return f"A run builds {names} again."
    first = min(span.start for span in views.values())
    sentence = f"Still behind their sources, from {first} on, after run {run.run_id[:8]} built them again: {names}."
    alerts.send(
        incident=f"stale-views-{key}",
        happened=sentence,
        did="It built them again once; predictions use the features that there are.",
        do=f"Look at run {run.run_id[:8]} and at what these dbt models select for {first}; an upstream model "
        "that drops the day's rows is the usual cause. After the correction materialize them.",
        runbook="stale-feature-view",
        key=STALE_VIEWS,
        run=run.run_id,
    )
    return sentence
