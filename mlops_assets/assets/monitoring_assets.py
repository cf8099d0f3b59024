"""What a champion says and how it is doing: predictions, drift_report, performance_report, probe.

Here: the four assets and their checks; each reads, calls a step, reports. Not here: scoring
(`steps.predict.predictions`), the statistics (`core.drift`, `core.performance.window_metrics`).

The checks are WARN and not blocking: they are evidence for the retrain sensor and stop nothing. That a champion is
worse than guessing is an ERROR, and stops nothing either: what follows is agreed in the model's YAML (`on_failing`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.metadata import link_to, markdown_value, measured, readable
from mlops_assets.assets.partitions import PartitionCalendar, is_partitioned_run, keys_of_run, report_partitions
from mlops_assets.assets.retries import OUTSIDE_RETRY, mistakes_are_not_retried
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.core.sources.settings import ModelGrain, partition_end, partition_of
from mlops_assets.core.values.display import breakable
from mlops_assets.world.platform import Platform

if TYPE_CHECKING:
    from mlops_assets.core.decide.policy import CheckResult

DRIFT_CHECKS = {
    "inputs_match_reference": "No more features than agreed have drifted from what the champion was trained on.",
    "predictions_match_reference": "The champion's scores are distributed as on the rows it was trained on.",
}
SERVING_CHECKS = {
    "served_features_agree_with_offline": "But for monitoring.max_skew of the answers, the online service scored what "
    "training joins for the same events.",
}
PROBE_CHECKS = {"champion_is_best": "No refit and no kept version would have been better by more than its price."}
PERFORMANCE_CHECKS = {"performance_holds": "On matured labels the champion is as good as when it was promoted."}
SLIDING_CHECKS = {"performance_holds_over_24h": "The same over the 24 hours whose labels have matured last."}
FAILING_CHECKS = {
    "not_worse_than_guessing": "On matured labels the champion is not surely worse than always saying the base rate, "
    "the mean or the class shares of its training labels."
}
ANSWERING_CHECKS = {"champion_answers": "What was predicted is what the champion said; nothing answers in its place."}
CLASS_CHECKS = {"classes_are_known": "Labels have the classes that the champion was trained on, and all of these."}
FAIRNESS_CHECKS = {"fairness_holds": "No two groups are treated more differently than agreed, as far as can be told."}


def build_monitoring_assets(
    model: ModelSettings, calendar: PartitionCalendar | None = None
) -> list[dg.AssetsDefinition]:
    """The four monitoring assets of one model.

    Args:
        model: its settings.
        calendar: that its predictions share with the sources of their job; default the model's own.
    """
    return [
        _predictions(model, calendar or PartitionCalendar.of_predictions(model)),
        _drift_report(model),
        _performance_report(model),
        _probe(model),
    ]


def _checks(names: dict[str, str], key: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    return [dg.AssetCheckSpec(name, asset=key, blocking=False, description=text) for name, text in names.items()]


def _predictions(model: ModelSettings, calendar: PartitionCalendar) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        dg.AssetKey([model.name, "predictions"]),
        description=f"One row per event: {model.description} With the features it was made from and the model version.",
        deps=[*model.features, model.label.model, dg.AssetKey([model.name, "champion"])],
        group_name=model.name,
        owners=model.owners,
        kinds={"parquet", "xgboost"},
        skippable=True,
        partitions_def=calendar.partitions(),
    )

    checks = ANSWERING_CHECKS if model.on_failing in ("baseline", "refuse") else {}

    @dg.multi_asset(
        name=f"{model.name}_predictions",
        specs=[spec],
        check_specs=_checks(checks, spec.key),
        # Without a champion there is neither asset nor check; see `_report_asset`.
        can_subset=bool(checks),
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=OUTSIDE_RETRY,
        pool=f"{model.name}_predictions",
    )
    @measured
    def predictions(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        from mlops_assets.steps.predict.fleet_members import note_members
        from mlops_assets.steps.predict.predictions import score_days
        from mlops_assets.steps.predict.scoring_versions import fallback_today

        days = _days(keys_of_run(context, lambda day: partition_end(day, model.grain)), model.grain)
        with mistakes_are_not_retried():
            members = note_members(platform, model, days) if isinstance(model, FleetSettings) else None
            scored = score_days(platform, model, days)
        if members is not None and members.sentence:
            context.log.info(members.sentence)
        if scored is None:
            context.log.info(f"{model.name} has no champion yet: nothing is predicted.")
            return
        if not is_partitioned_run(context):
            report_partitions(context, spec.key, _by_partition(scored.rows, model.grain))
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "dagster/row_count": sum(scored.rows.values()),
                "days": len(scored.rows),
                "model_versions": dg.MetadataValue.json(scored.versions),
                "mean_score": readable(scored.mean),
                **({"shadow_versions": dg.MetadataValue.json(scored.shadows)} if scored.shadows else {}),
                **({"not_scored_in_shadow": scored.unscored} if scored.unscored else {}),
                **({"served_by_baseline": scored.guessed} if scored.guessed else {}),
                **({"withheld": scored.withheld} if scored.withheld else {}),
                **({"members": markdown_value(members.sentence)} if members is not None and members.sentence else {}),
                **({"reason": fallback.reason} if (fallback := fallback_today(platform, model)) else {}),
            },
        )
        for name in checks:
            summary = f"{scored.guessed:,} rows were answered by guessing, {scored.withheld:,} were not answered."
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=spec.key,
                passed=not (scored.guessed or scored.withheld),
                severity=dg.AssetCheckSeverity.ERROR,
                description=breakable(" ".join(filter(None, [summary, fallback.reason if fallback else ""]))),
            )

    return predictions


def _days(keys: Sequence[str], grain: ModelGrain) -> list[date]:
    """The calendar days of partitions."""
    firsts = [date.fromisoformat(key) for key in keys]
    return [first + timedelta(days=n) for first in firsts for n in range((partition_end(first, grain) - first).days)]


def _by_partition(rows: Mapping[date, int], grain: ModelGrain) -> dict[str, int]:
    """Rows of days, added up by partition."""
    total = Counter[str]()
    for day, count in rows.items():
        total[partition_of(day, grain).isoformat()] += count
    return dict(total)


def _report_spec(model: ModelSettings, name: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey([model.name, name]),
        description=description,
        deps=[dg.AssetKey([model.name, "predictions"])],
        group_name=model.name,
        owners=model.owners,
        kinds={"python"},
        skippable=True,
    )


def _report_asset(name: str, spec: dg.AssetSpec, checks: dict[str, str]) -> Callable[..., dg.AssetsDefinition]:
    """The decorator of a report: on most days no window closes, and neither asset nor checks have news.

    Dagster fails a step whose checks gave no result unless the step can be cut to a subset.
    """
    return dg.multi_asset(name=name, specs=[spec], check_specs=_checks(checks, spec.key), can_subset=True)


def _drift_report(model: ModelSettings) -> dg.AssetsDefinition:
    spec = _report_spec(
        model,
        "drift_report",
        f"One row per feature and closed window ({model.monitoring.window}): PSI, Kolmogorov-Smirnov and missing share "
        "against what the champion was trained on; the newest window also as a page.",
    )

    @_report_asset(f"{model.name}_drift_report", spec, {**DRIFT_CHECKS, **SERVING_CHECKS})
    @measured
    def drift_report(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        from mlops_assets.steps.watch.drift_report import watch_drift
        from mlops_assets.steps.watch.skew import watch_skew

        if skew := watch_skew(platform, model):
            yield from _evaluations(SERVING_CHECKS, [skew], spec.key)

        watched = watch_drift(platform, model)
        if watched is None:
            context.log.info(f"{model.name}: no window has closed since the last report, or there are no predictions.")
            return
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "reason": markdown_value(watched.reason),
                "windows": ", ".join(watched.windows),
                "top_features": markdown_value(watched.table),
                "plot": markdown_value(watched.plot),
                **({"report": link_to(watched.html)} if watched.html else {}),
                **{name: markdown_value(text) for name, text in watched.more.items()},
                **{name: readable(number) for name, number in watched.numbers.items()},
            },
        )
        yield from _evaluations(DRIFT_CHECKS, watched.newest, spec.key)

    return drift_report


def _performance_report(model: ModelSettings) -> dg.AssetsDefinition:
    spec = _report_spec(
        model,
        "performance_report",
        f"One row per closed window ({model.monitoring.rhythm.length.text}): {model.metric} on the predictions whose "
        "labels have arrived, with its interval by days, and the share still unlabelled.",
    )

    slides = SLIDING_CHECKS if model.monitoring.rhythm.every else {}
    fairness = FAIRNESS_CHECKS if model.monitoring.fairness.by else {}
    checks = {**PERFORMANCE_CHECKS, **slides, **FAILING_CHECKS, **fairness}

    watched_daily = CLASS_CHECKS if model.task == "multiclass" else {}

    @_report_asset(f"{model.name}_performance_report", spec, {**checks, **watched_daily})
    @measured
    def performance_report(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        from mlops_assets.steps.decide.power import power_in_words
        from mlops_assets.steps.promote.outcomes import record_outcomes
        from mlops_assets.steps.rollout.fallback import settle
        from mlops_assets.steps.watch.classes import watch_classes
        from mlops_assets.steps.watch.performance_report import watch_performance

        record_outcomes(platform, model)
        if classes := watch_classes(platform, model):
            yield from _evaluations(CLASS_CHECKS, [classes], spec.key)
        watched = watch_performance(platform, model)
        settle(platform, model)
        if watched is None:
            context.log.info(f"{model.name}: no window has closed, or there are no predictions.")
            return
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                "reason": markdown_value(watched.reason),
                "windows": ", ".join(watched.windows),
                "power": power_in_words(platform, model),
                "by_window": markdown_value(watched.table),
                "plot": markdown_value(watched.plot),
                **{name: markdown_value(text) for name, text in watched.more.items()},
                **{name: readable(number) for name, number in watched.numbers.items()},
            },
        )
        yield from _evaluations(checks, watched.newest, spec.key)

    return performance_report


def _probe(model: ModelSettings) -> dg.AssetsDefinition:
    spec = _report_spec(
        model,
        "probe",
        f"One look per matured window ({model.monitoring.rhythm.length.text}): what refits of the champion's recipe "
        "and kept versions would have scored on it, each fitted before the rows it is judged on.",
    )

    @_report_asset(f"{model.name}_probe", spec, PROBE_CHECKS)
    @measured
    def probe(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        from mlops_assets.steps.decide.probe import probe as look
        from mlops_assets.steps.decide.probe_report import probe_report

        looked = look(platform, model)
        if looked is None:
            context.log.info(f"{model.name}: no window has matured since the last look, or there is no champion.")
            return
        report = probe_report(platform, model, looked)
        yield dg.MaterializeResult(
            asset_key=spec.key,
            metadata={
                **{name: markdown_value(text) for name, text in report.metadata.items()},
                **{name: readable(number) for name, number in report.numbers.items()},
            },
        )
        if report.passed is not None:
            yield dg.AssetCheckResult(
                check_name="champion_is_best",
                asset_key=spec.key,
                passed=report.passed,
                severity=dg.AssetCheckSeverity.WARN,
                description=breakable(report.sentence),
                metadata={name: readable(number) for name, number in report.numbers.items()},
            )

    return probe


def _evaluations(names: dict[str, str], newest: list["CheckResult"], key: dg.AssetKey) -> Iterator[dg.AssetCheckResult]:
    """One result a check: of the newest window that could be judged; a check that judged nothing yields none."""
    for name in names:
        judged = [check for check in newest if check.name == name and check.passed is not None]
        if judged:
            check = judged[-1]
            yield dg.AssetCheckResult(
                check_name=name,
                asset_key=key,
                passed=bool(check.passed),
                severity=dg.AssetCheckSeverity.ERROR if check.kind == "failing" else dg.AssetCheckSeverity.WARN,
                description=breakable(check.sentence),
                metadata={"window": check.window, "value": readable(check.value), "limit": readable(check.limit)},
            )
