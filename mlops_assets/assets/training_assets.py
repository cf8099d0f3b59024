"""The chain that makes a champion: training_set, challenger, evaluation, champion.

Here: the four assets; each reads, calls `core`, writes, reports. Not here: tuning and fitting (`core.models.training`),
the verdict (`core.promote.gate`), the rows (`world.model_data`), aliases (`world.mlflow.registry`).

Each asset tells the next what it made by a small JSON record in the lake, so any of them can be materialized again
by itself, from the UI too.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.assets.metadata import link_to, markdown_value, measured, readable
from mlops_assets.assets.retries import OUTSIDE_RETRY, mistakes_are_not_retried
from mlops_assets.assets.training_metadata import (
    families_metadata,
    importance_plot,
    importance_table,
    log_training,
    verdict_metadata,
)
from mlops_assets.core.models.families import family_called
from mlops_assets.core.record.entries import Decision, only
from mlops_assets.core.record.plain_values import moment, span_told
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.core.values.display import breakable
from mlops_assets.steps.decide.asked_parameters import as_asked
from mlops_assets.world.catalogue import tests_of
from mlops_assets.world.mlflow.tracking import Tracking
from mlops_assets.world.platform import DBT_PROJECT, Platform
from mlops_assets.world.runs.training_runs import TrainingRun, TrainingRuns

UPSTREAM_CHECK = "data_tests_pass"
GATE_CHECK = "challenger_beats_champion"
_LOOKED_BACK = 20
"""Evaluations of a check that are looked through for one that has an answer."""


def build_training_assets(model: ModelSettings) -> list[dg.AssetsDefinition]:
    """The four assets of one model's training chain."""
    return [_training_set(model), _challenger(model), _evaluation(model), _champion(model)]


def _spec(model: ModelSettings, name: str, description: str, *, deps: list[Any], kinds: set[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        dg.AssetKey([model.name, name]),
        description=description,
        deps=deps,
        group_name=model.name,
        owners=model.owners,
        kinds=kinds,
        skippable=True,
    )


def _training_set(model: ModelSettings) -> dg.AssetsDefinition:
    upstream = [*model.features, model.label.model]
    spec = _spec(
        model,
        "training_set",
        f"One row per labelled event of {model.label.model} that was known before the gate window begins, with the "
        "features as they were known at the event's time. Stored under the hash of its content.",
        deps=upstream,
        kinds={"parquet", "feast"},
    )
    check = dg.AssetCheckSpec(
        UPSTREAM_CHECK,
        asset=spec.key,
        blocking=True,
        description="The newest run of every dbt test on the features and labels passed; nothing is trained otherwise.",
    )

    @dg.multi_asset(name=f"{model.name}_training_set", specs=[spec], check_specs=[check], retry_policy=OUTSIDE_RETRY)
    @measured
    def training_set(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        failing = failing_tests(context, upstream)
        yield dg.AssetCheckResult(
            check_name=UPSTREAM_CHECK,
            asset_key=spec.key,
            passed=not failing,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"Failing: {', '.join(failing)}. Fix it, build dbt again. The champion stays."
            if failing
            else None,
        )
        if failing:
            return
        from mlops_assets.steps.promote.conclusion import finish_promotion, is_answered
        from mlops_assets.steps.promote.training import prepare

        finish_promotion(platform, model)
        if is_answered(platform, model, context.run.tags.get("mlops/decision", "")):
            context.log.info("This decision has been answered by an earlier run: nothing is trained again.")
            return
        note_run(context, platform, model)
        with mistakes_are_not_retried():
            prepared = prepare(platform, as_asked(model, context.run.tags))
        yield dg.MaterializeResult(
            asset_key=spec.key,
            data_version=dg.DataVersion(prepared["sha256"]),
            metadata={
                "reason": markdown_value(_asked_for(context, platform, model)),
                "dagster/row_count": prepared["rows"],
                "events": span_told(prepared["first_event"], prepared["last_event"]),
                "labels_known_before": f"{moment(prepared['known_by']):%Y-%m-%d %H:%M} UTC",
                "gate_window": span_told(prepared["gate_start"], prepared["gate_end"]),
                # Classes are codes, and codes have no mean.
                **({} if model.task == "multiclass" else {"label_mean": readable(prepared["label_mean"])}),
                "path": link_to(prepared["path"]),
            },
        )

    return training_set


def _asked_for(context: dg.AssetExecutionContext, platform: Platform, model: ModelSettings) -> str:
    """The reasons of the decision that this run follows, and where to read on."""
    decision = context.run.tags.get("mlops/decision", "")
    decisions = only(platform.ledger.entries(model.name), Decision) if decision else []
    entry = next((recorded for recorded in decisions if recorded.id == decision), None)
    if entry is None:
        return "Materialized by hand, without a decision."
    return platform.home.said(f"{entry.reason} `mlops explain {decision}`")


def note_run(context: dg.AssetExecutionContext, platform: Platform, model: ModelSettings) -> None:
    """Say which run answers the decision, for whoever asks without Dagster."""
    if decision := context.run.tags.get("mlops/decision", ""):
        TrainingRuns(platform.home.root).note(model.name, decision, TrainingRun(context.run.run_id))


def failing_tests(context: dg.AssetExecutionContext, upstream: list[str]) -> list[str]:
    """Names of the checks on upstream dbt models whose newest evaluation failed with severity ERROR.

    A failing dbt test by itself does not stop a Python asset downstream, so training asks.
    """
    keys = [
        dg.AssetCheckKey(dg.AssetKey(model), test)
        for model, tests in tests_of(DBT_PROJECT, upstream).items()
        for test in tests
    ]
    failed = []
    for key in keys:
        evaluation = _newest_answer(context.instance, key)
        if evaluation and not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            failed.append(f"{key.asset_key.to_user_string()}.{key.name}")
    return sorted(failed)


def _newest_answer(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    """A check's newest evaluation; runs that are under way, or were killed before it, have only planned theirs."""
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=_LOOKED_BACK)
    return next((record.evaluation for record in records if record.status.value != "PLANNED"), None)


def _challenger(model: ModelSettings) -> dg.AssetsDefinition:
    spec = _spec(
        model,
        "challenger",
        f"A model ({' or '.join(model.training.families)}) for {model.name}, tuned in the order of time on the "
        "training set alone.",
        deps=[dg.AssetKey([model.name, "training_set"])],
        kinds={*_libraries(model), "mlflow"},
    )

    @dg.multi_asset(name=f"{model.name}_challenger", specs=[spec], retry_policy=fit_retry(model))
    @measured
    def challenger(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], tracking: Tracking
    ) -> Iterator[Any]:
        from mlops_assets.pages.figures import feature_importance, validation_curve
        from mlops_assets.steps.promote.training import train

        tracking.open(model.name)
        with mistakes_are_not_retried():
            record, tuned, trained = train(platform, as_asked(model, context.run.tags), run_id=tracking.run_id)
        log_training(tracking, context, record, tuned, trained)
        tracking.log_text(validation_curve(tuned.curve, tuned.curve_metric), "validation_curve.svg")
        tracking.log_text(feature_importance(trained.importance()), "feature_importance.svg")
        yield dg.MaterializeResult(
            asset_key=spec.key,
            data_version=dg.DataVersion(trained.sha256),
            metadata={
                f"validation_{model.metric}": readable(tuned.validation_score),
                "trials": len(tuned.trials),
                "rounds": tuned.recipe.rounds,
                "params": dg.MetadataValue.json({name: readable(value) for name, value in tuned.recipe.params.items()}),
                "importance": markdown_value(importance_table(trained)),
                "plot": markdown_value(importance_plot(trained)),
                **families_metadata(record),
                **tracking.metadata,
                "training_set": record["training_set"][:16],
            },
        )

    return challenger


def fit_retry(model: ModelSettings) -> dg.RetryPolicy | None:
    """How often the fit is tried again, as agreed for the model."""
    training = model.training
    delay = parse_duration(training.retry_delay).total_seconds()
    return dg.RetryPolicy(max_retries=training.retries, delay=delay) if training.retries else None


def _libraries(model: ModelSettings) -> set[str]:
    """What the families are made by, in Dagster's words."""
    return {family_called(name).libraries[0].replace("-", "") for name in model.training.families}


def _evaluation(model: ModelSettings) -> dg.AssetsDefinition:
    spec = _spec(
        model,
        "evaluation",
        f"The verdict of the gate: challenger and champion of {model.name} on the same newest matured window, which "
        "neither was fitted on, with the paired interval of the gain by days, the slices and every rule's number.",
        deps=[dg.AssetKey([model.name, "challenger"])],
        kinds={"python"},
    )
    check = dg.AssetCheckSpec(
        GATE_CHECK,
        asset=spec.key,
        blocking=False,
        description="The challenger beats the champion by the agreed rule. A rejection is an outcome, no failure.",
    )

    @dg.multi_asset(name=f"{model.name}_evaluation", specs=[spec], check_specs=[check])
    @measured
    def evaluation(
        context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform], tracking: Tracking
    ) -> Iterator[Any]:
        from mlops_assets.steps.promote.cards import card_file
        from mlops_assets.steps.promote.judging import judge

        tracking.open(model.name)
        judged = judge(
            platform,
            as_asked(model, context.run.tags),
            decision_id=context.run.tags.get("mlops/decision", context.run.run_id),
        )
        tracking.log_metrics(judged.metrics)
        verdict = judged.verdict
        card = link_to(card_file(platform.lake, model.name, judged.version))
        yield dg.MaterializeResult(asset_key=spec.key, metadata={**verdict_metadata(model, judged), "model_card": card})
        yield dg.AssetCheckResult(
            check_name=GATE_CHECK,
            asset_key=spec.key,
            passed=verdict.promote,
            severity=dg.AssetCheckSeverity.WARN,
            description=breakable(verdict.reason),
            metadata=verdict_metadata(model, judged),
        )

    return evaluation


def _champion(model: ModelSettings) -> dg.AssetsDefinition:
    spec = _spec(
        model,
        "champion",
        f"The version of {model.name} in production: models:/{model.name}@champion. Materialized only by a promotion.",
        deps=[dg.AssetKey([model.name, "evaluation"])],
        kinds={"mlflow"},
    )

    @dg.multi_asset(name=f"{model.name}_champion", specs=[spec], retry_policy=OUTSIDE_RETRY)
    @measured
    def champion(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        from mlops_assets.assets.retrain_time import time_to_retrain
        from mlops_assets.steps.promote.cards import card_file
        from mlops_assets.steps.promote.conclusion import conclude

        outcome = conclude(platform, model)
        if not outcome["promoted"]:
            context.log.info(f"{model.name} keeps its champion: {outcome['reason']}")
            return
        yield dg.MaterializeResult(
            asset_key=spec.key,
            data_version=dg.DataVersion(outcome["sha256"]),
            metadata={
                "reason": markdown_value(outcome["reason"]),
                "version": outcome["version"],
                "previous": outcome["previous"] or "none",
                "fitted_on_labels_until": f"{moment(outcome['fitted_until']):%Y-%m-%d %H:%M} UTC",
                "seconds_from_evidence": time_to_retrain(context, platform, model, outcome["version"]),
                "model_card": link_to(card_file(platform.lake, model.name, outcome["version"])),
            },
        )

    return champion
