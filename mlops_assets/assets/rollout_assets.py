"""The rollout of a model as an asset with its history; one job and one sensor that lead all candidates on.

Here: the asset, when it is materialized, what it shows. Not here: looking and moving (`steps.rollout.moves`), the
moves themselves (`core.rollout.moves`). Only models whose YAML has a `rollout` section have them.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from hashlib import sha256
from typing import Any

import dagster as dg

from mlops_assets.assets.jobs import AssetJob
from mlops_assets.assets.metadata import markdown_value
from mlops_assets.assets.model_looks import DeclaredModels, Look, Tick
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.values.display import breakable
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.platform import Platform

JOB, SENSOR = "roll_out", "rollout_sensor"
_CHECK = "guardrails_hold"
LOOK_TAG = "mlops/rollout_look"
"""Tag of a run: what it looks at, the same for each attempt at it."""
_TRIES = 3
"""How often the same look is asked for, if its run breaks."""


def build_rollout_assets(model: ModelSettings) -> list[dg.AssetsDefinition]:
    """The asset, where a rollout is agreed."""
    return [_rollout(model)] if model.rollout is not None else []


def build_rollout_job(models: Iterable[ModelSettings]) -> AssetJob:
    """The job that looks once at the candidate of the model whose asset a run names."""
    return dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.assets(*(_key(model.name) for model in models if model.rollout is not None)),
        description="Look at the candidate of the model that the tag mlops/rollout_look names, and lead it on or back.",
        executor_def=dg.in_process_executor,
    )


def _key(model: str) -> dg.AssetKey:
    return dg.AssetKey([model, "rollout"])


def _rollout(model: ModelSettings) -> dg.AssetsDefinition:
    spec = dg.AssetSpec(
        _key(model.name),
        description=f"Where the candidate of {model.name} stands on its way to champion (shadow, canary, watch), with "
        "every move, its reason and what was measured.",
        deps=[dg.AssetKey([model.name, "predictions"]), dg.AssetKey([model.name, "champion"])],
        group_name=model.name,
        owners=model.owners,
        kinds={"mlflow"},
        skippable=True,
    )
    check = dg.AssetCheckSpec(
        _CHECK,
        asset=spec.key,
        blocking=False,
        description="Nothing that was measured of the candidate is over its limit. Broken, the platform goes back.",
    )

    @dg.multi_asset(name=f"{model.name}_rollout", specs=[spec], check_specs=[check], can_subset=True)
    def rollout(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        from mlops_assets.steps.rollout.moves import move_on

        looks = move_on(platform, model)
        if not looks:
            context.log.info(f"{model.name}: no rollout is open.")
            return
        if any(look.move.moved and look.move.rollout.answers for look in looks):
            version = str(looks[-1].move.rollout.version)
            context.log_event(dg.AssetMaterialization([model.name, "champion"], metadata={"version": version}))
        yield dg.MaterializeResult(asset_key=spec.key, metadata=_metadata(platform, model))
        rails = [rail for look in looks for rail in look.move.guardrails]
        broken = [rail.sentence for rail in rails if not rail.holds]
        if rails:
            yield dg.AssetCheckResult(
                check_name=_CHECK,
                asset_key=spec.key,
                passed=not broken,
                severity=dg.AssetCheckSeverity.WARN,
                description=breakable(" ".join(broken) or looks[-1].move.reason),
            )

    return rollout


def _metadata(platform: Platform, model: ModelSettings) -> dict[str, Any]:
    from mlops_assets.pages.markdown import markdown_table
    from mlops_assets.pages.rollout import moves_plot, moves_table, state_in_words
    from mlops_assets.steps.rollout.moves import look, moves

    history = moves(platform, model)
    last, now = history[-1], look(platform, model)
    rails = now.move.guardrails if now else ()
    title = f"{model.name}: share of the entities that each candidate answers"
    rows = [(rail.name, "holds" if rail.holds else "broken", rail.value, rail.limit) for rail in rails]
    bullets = "\n".join(f"- *{rail.name}*: {rail.sentence}" for rail in rails)
    return {
        "reason": markdown_value(now.move.reason if now else last.reason),
        "version": last.version,
        "state": state_in_words(last),
        "share": last.share,
        "guardrails": markdown_value(
            f"{markdown_table(rows, header=['guardrail', 'result', 'value', 'limit'])}\n\n{bullets}"
            if rows
            else "Nothing was measured yet that could stop it."
        ),
        "moves": markdown_value(moves_table(history)),
        "plot": markdown_value(moves_plot(history, title=title)),
    }


def build_rollout_sensor(declared: DeclaredModels = Platform.models) -> dg.SensorDefinition:
    """The sensor that asks for a look at each candidate of which something is new."""

    @dg.sensor(
        name=SENSOR,
        job_name=JOB,
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at a candidate when new scores or labels are there or a step's time is over; leads it on, "
        "or back.",
    )
    def rollout_sensor(
        context: dg.SensorEvaluationContext, platform: dg.ResourceParam[Platform], alerts: Alerts
    ) -> dg.SensorResult:
        def rolled(platform: Platform) -> dict[str, ModelSettings]:
            return {name: model for name, model in declared(platform).items() if model.rollout is not None}

        return Tick(platform, alerts, partial(_look, context.instance, platform), "rollout").over(context, rolled)

    return rollout_sensor


def _look(instance: dg.DagsterInstance, platform: Platform, model: ModelSettings) -> Look:
    """Ask for a look at a candidate of which something is new."""
    from mlops_assets.steps.rollout.moves import state_of

    try:
        state = state_of(platform, model)
    except NoDataYet as why:
        return Look(str(why))
    if state is None:
        return Look(f"No rollout of {model.name} is open.", rests=True)
    key = f"rollout-{model.name}-{sha256(state.encode()).hexdigest()[:16]}"
    runs = instance.get_runs(filters=dg.RunsFilter(tags={LOOK_TAG: key}), limit=_TRIES)
    if any(not run.is_finished or run.status == dg.DagsterRunStatus.SUCCESS for run in runs):
        return Look("Nothing new was scored or labelled since the last look, and no step is over.")
    if len(runs) == _TRIES:
        return Look(f"The look broke {_TRIES} times (run {runs[0].run_id[:8]}); fix what its error names.")
    # A run that broke has said nothing: it is tried again under a key of its own.
    run_key = f"{key}-{len(runs)}" if runs else key
    asked = dg.RunRequest(run_key=run_key, job_name=JOB, asset_selection=[_key(model.name)], tags={LOOK_TAG: key})
    return Look(f"A look at the candidate of {model.name}.", asked)
