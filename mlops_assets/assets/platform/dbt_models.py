"""The dbt project as assets: staging, intermediate, features, labels, with dbt's tests as asset checks.

Here: the one op that runs dbt over the range of a run. Not here: the SQL (`dbt_project/`), Feast's view of it.

dbt models carry no partitions in Dagster (a partition event costs 39 ms per asset): the days go to dbt as
variables, and the lake materialization replaces exactly these partitions.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtProject, dbt_assets
from dagster_dbt.asset_utils import get_manifest_and_translator_from_dbt_assets, get_subset_selection_for_context
from dagster_dbt.core.dbt_cli_event import DbtCoreCliEventMessage

from mlops_assets.assets.freshness_policies import view_policies
from mlops_assets.assets.metadata import link_to, measured
from mlops_assets.assets.partitions import span_of_run
from mlops_assets.assets.retries import OUTSIDE_RETRY
from mlops_assets.core.features.code_version import code_of
from mlops_assets.core.time.spans import Span
from mlops_assets.steps.features.code_versions import (
    FeatureStillNeeded,
    built_alone,
    gone,
    mark_code,
    outdated,
    refuse_missing_features,
)
from mlops_assets.world.catalogue import ensure_manifest, load_catalogue, project_variables
from mlops_assets.world.dbt_runs import Dbt, DbtFailed
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.sources import Sources
from mlops_assets.world.platform import DBT_PROJECT, Platform

VARIABLES = project_variables(DBT_PROJECT)
FRESHNESS = view_policies()


class Translator(DagsterDbtTranslator):
    """Groups by layer, so that the lineage reads staging, intermediate, features, labels."""

    def get_group_name(self, dbt_resource_props: Any) -> str | None:
        """The folder a model stands in."""
        return str(dbt_resource_props["fqn"][1]) if dbt_resource_props["resource_type"] == "model" else "raw"

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """The code version tells of changed macros, vars and models above it too, and not of comments."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = manifest["nodes"].get(unique_id)
        if node is None or node["resource_type"] != "model":
            return spec
        policy = FRESHNESS.get(node["name"])
        return spec.replace_attributes(code_version=code_of(node, manifest, VARIABLES), freshness_policy=policy)

    def get_owners(self, dbt_resource_props: Any) -> list[str] | None:
        """Who answers for a feature view or label model, from its meta."""
        meta = dbt_resource_props.get("config", {}).get("meta") or dbt_resource_props.get("meta") or {}
        declared = meta.get("feature_view") or meta.get("label") or {}
        return [f"team:{declared['owner']}"] if "owner" in declared else None


@dbt_assets(
    manifest=ensure_manifest(DBT_PROJECT),
    dagster_dbt_translator=Translator(DagsterDbtTranslatorSettings(enable_source_tests_as_checks=True)),
    name="dbt_models",
    retry_policy=OUTSIDE_RETRY,
    pool="warehouse",
)
@measured
def dbt_models(
    context: dg.AssetExecutionContext,
    dbt: dg.ResourceParam[Dbt],
    lake: dg.ResourceParam[Lake],
    sources: dg.ResourceParam[Sources],
    platform: dg.ResourceParam[Platform],
) -> Iterator[Any]:
    """Build the selected models over the days of this run; over everything where their code has changed."""
    good, catalogue = sources.good(), load_catalogue(DBT_PROJECT)
    selected = {key.path[-1] for key in context.selected_asset_keys}
    span = span_of_run(dict(context.run.tags))
    changed = outdated(lake, catalogue, selected)
    if changed or gone(lake, catalogue):
        try:
            refuse_missing_features(platform)
        except FeatureStillNeeded as error:
            raise dg.Failure(description=str(error), allow_retries=False) from error
    if changed:
        context.log.info(f"The code of {', '.join(changed)} has changed: everything is built, not only these days.")
        span = None
    if span is not None:
        span = span.widened(
            lookback_days=catalogue.lookback_of(selected),
            waits_days=catalogue.waits_of(selected),
            newest_end=sources.newest_end(),
        )
    variables = {"start": span.start.isoformat(), "end": span.end.isoformat()} if span else {}
    manifest, translator, _ = get_manifest_and_translator_from_dbt_assets([context.assets_def])
    for event in _build(dbt, context, manifest, translator, variables):
        yield _with_rows(event, manifest, lake, span) if isinstance(event, dg.Output) else event
    alone = built_alone(catalogue, selected) & set(changed)
    if alone:
        context.log.warning(
            f"{', '.join(sorted(alone))}: what is above may be older. Materialize all upstream with it."
        )
    mark_code(lake, catalogue, selected - alone)
    sources.mark_built({name: of for name, of in good.items() if catalogue.readers(name) <= selected}, span)


def _build(
    dbt: Dbt,
    context: dg.AssetExecutionContext,
    manifest: Mapping[str, Any],
    translator: DagsterDbtTranslator,
    variables: Mapping[str, str],
) -> Iterator[Any]:
    """Build and test what this run selects; what dbt did, as Dagster's events, also of a build that fails later."""
    selection, indirect = get_subset_selection_for_context(context, manifest, "fqn:*", None, None, translator, None)
    # Unit tests judge the SQL, not the day's data: `make test` runs them, a landing run need not.
    arguments = ["build", "--exclude-resource-type", "unit_test", *selection]
    events: list[dict[str, Any]] = []
    log = sys.stdout

    def hear(event: dict[str, Any]) -> None:
        if event["info"]["level"] != "debug":
            events.append(event)
            log.write(f"{event['info']['msg']}\n")

    failed: DbtFailed | None = None
    try:
        dbt.run(*arguments, *(["--indirect-selection", indirect] if indirect else []), variables=variables, hear=hear)
    except DbtFailed as error:
        failed = error
    for event in events:
        message = DbtCoreCliEventMessage(raw_event=event, event_history_metadata={})
        yield from message.to_default_asset_events(manifest, translator, context, target_path=dbt.folder)
    if failed:
        raise _as_failure(failed) from failed


def _with_rows(event: dg.Output[Any], manifest: Mapping[str, Any], lake: Lake, span: Span | None) -> dg.Output[Any]:
    """A model's event with the rows that the lake has of it for these days; views have none there."""
    node = manifest["nodes"][event.metadata["unique_id"].value]
    layer = node["config"].get("lake_folder")
    if layer is None:
        return event
    rows = lake.row_counts(layer, node["name"], start=span and span.start, end=span and span.end)
    metadata: dict[str, Any] = {
        "dagster/row_count": sum(rows.values()),
        "days": f"{min(rows)} to {max(rows)}" if rows else "none",
        "path": link_to(lake.folder(layer, node["name"])),
    }
    return event.with_metadata({**event.metadata, **metadata})


def _as_failure(error: DbtFailed) -> dg.Failure:
    """What dbt says, with the remedy. Broken SQL and failing tests are not tried again; a held lock is."""
    said = " ".join(" ".join(error.reasons).split())
    return dg.Failure(
        description=f"dbt has failed: {said} Correct the model, or the data that the test names, and "
        "re-execute the run from failure (`dbt build --select <model>` in dbt_project/ tries it). Each partition of "
        "the lake is whole, old or new; models and the champion are as they were.",
        allow_retries="set lock on file" in said,
    )
