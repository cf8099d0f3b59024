"""`LandingSource`: a source declared in YAML becomes the asset raw/<source>, its contract a blocking check.

Here: the component and the body of its asset. Not here: reading, judging and settling files
(`steps.land.taking_in`), when it runs (`platform.sensors`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.assets.freshness_policies import source_policy
from mlops_assets.assets.metadata import link_to, measured
from mlops_assets.assets.partitions import (
    PartitionCalendar,
    declared_calendar,
    is_partitioned_run,
    keys_of_run,
    report_partitions,
)
from mlops_assets.assets.retries import OUTSIDE_RETRY
from mlops_assets.assets.scaffolds import SourceYaml
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.display import breakable, some
from mlops_assets.steps.land.taking_in import Outcome, take_in
from mlops_assets.world.files.environment_values import reading_environment
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake
from mlops_assets.world.landed.landed_files import WHOLE
from mlops_assets.world.runs.own_run import executes

CONTRACT_CHECK = "contract_holds"

_NAMED = 20
"""Names shown in a report before it says how many more."""


@dg.scaffold_with(SourceYaml)
class LandingSource(dg.Component):
    """A raw table that lands as files under `$MLOPS_HOME/landing/<name>/`."""

    def __init__(self, settings: SourceSettings):
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's fields."""
        return reading_environment(SourceSettings)

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "LandingSource":
        """From validated YAML."""
        if not isinstance(attributes, SourceSettings):
            raise dg.DagsterInvalidDefinitionError("LandingSource needs `attributes:`; see docs/sources.md.")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The one asset of a source; the job and schedule of one that is fetched."""
        from mlops_assets.assets.pull_job import build_pull

        if not executes("raw", [self.settings.name]):
            # It stands in the file of the model that a run trains.
            return dg.Definitions()
        grain = self.settings.grain
        calendar = declared_calendar(grain) if grain != "none" else None
        assets = dg.Definitions(assets=[build_raw_asset(self.settings, calendar)])
        return dg.Definitions.merge(assets, build_pull(self.settings)) if self.settings.pull else assets


def build_raw_asset(source: SourceSettings, calendar: PartitionCalendar | None = None) -> dg.AssetsDefinition:
    """The asset raw/<source>.

    Args:
        source: its settings.
        calendar: that it shares with the other sources of its job; default its own.
    """
    if calendar is None and source.grain != "none":
        calendar = PartitionCalendar.of_source(source)
    key = dg.AssetKey(["raw", source.name])
    spec = dg.AssetSpec(
        key,
        description=source.description,
        group_name="raw",
        kinds={"parquet"},
        owners=source.owners,
        skippable=True,
        partitions_def=calendar.partitions() if calendar else None,
        metadata={"landing": f"landing/{source.name}/{source.files}"},
        freshness_policy=source_policy(source),
    )
    check = dg.AssetCheckSpec(
        CONTRACT_CHECK,
        asset=key,
        blocking=True,
        description="Columns, types, ranges, categories, nulls, keys, row counts and dates are as declared.",
    )

    @dg.multi_asset(
        name=f"raw_{source.name}",
        specs=[spec],
        check_specs=[check],
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=OUTSIDE_RETRY,
        pool=f"raw_{source.name}",
    )
    @measured
    def raw(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[Any]:
        partitions = keys_of_run(context, source.end_of) if spec.partitions_def else [WHOLE]
        intake = Intake(lake=lake, source=source)
        yield from _report(context, intake, key, take_in(intake, partitions))

    return raw


# --- reporting ---------------------------------------------------------------------------------------------


def _report(context: dg.AssetExecutionContext, intake: Intake, key: dg.AssetKey, outcome: Outcome) -> Iterator[Any]:
    """One check for the whole range; a materialization of each partition that was written."""
    totals = {"partitions": len(outcome.rows), "rows": sum(outcome.rows.values())}
    is_whole = intake.source.grain == "none"
    rows = _of_days(intake, outcome.rows) if intake.source.is_hourly else outcome.rows
    if not outcome.bad:
        yield dg.AssetCheckResult(check_name=CONTRACT_CHECK, asset_key=key, passed=True, metadata=totals)
        if is_whole or not is_partitioned_run(context):
            if not is_whole:
                report_partitions(context, key, rows)
            context.add_asset_metadata({"dagster/row_count": totals["rows"]}, asset_key=key)
        else:
            for partition, count in rows.items():
                context.add_asset_metadata({"dagster/row_count": count}, asset_key=key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=key, metadata=_metadata(intake, outcome))
        return
    if not is_whole:
        # The good partitions are in the lake: say so, although the asset as a whole is not materialized.
        report_partitions(context, key, rows)
    yield dg.AssetCheckResult(
        check_name=CONTRACT_CHECK,
        asset_key=key,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=breakable(_summary(intake, outcome.bad, good=len(outcome.rows))),
        metadata={
            **totals,
            **({"notes": _noted(outcome)} if outcome.notes else {}),
            "bad_partitions": dg.MetadataValue.json(outcome.bad),
        },
    )


def _of_days(intake: Intake, hours: Mapping[str, int]) -> dict[str, int]:
    """Rows of the days that these hours belong to, as far as the days have come."""
    days = dict.fromkeys((hour[:10] for hour in hours), 0)
    for hour, entry in intake.good().items():
        if hour[:10] in days:
            days[hour[:10]] += entry.rows
    return days


def _metadata(intake: Intake, outcome: Outcome) -> dict[str, Any]:
    metadata: dict[str, Any] = {"path": link_to(intake.lake.folder("raw", intake.source.name))}
    if outcome.notes:
        metadata["notes"] = _noted(outcome)
    if outcome.without_file:
        metadata["without_file"] = some(outcome.without_file, _NAMED)
    if ignored := intake.unclaimed():
        metadata["files_ignored"] = " ".join(f"{files.problem}. {files.remedy}" for files in ignored)
    return metadata


def _noted(outcome: Outcome) -> str:
    """What is worth knowing of what was taken in, by partition."""
    return some([f"{part}: {' '.join(notes)}" for part, notes in outcome.notes.items()], _NAMED, between="; ")


def _summary(intake: Intake, bad: Mapping[str, Sequence[str]], *, good: int) -> str:
    """The first bad partition with its reasons, the others by name: theirs stand beside it and in quarantine."""
    (first, reasons), *others = bad.items()
    named = f"{first}: {' '.join(reasons)}" + (f" Also bad: {some([part for part, _ in others], 5)}." if others else "")
    # What never came is on no record: its own reason says what to do.
    remedies = (entry.remedy(intake.source.name, part) for part, entry in intake.taken().items() if part in bad)
    return intake.lake.home.said(
        f"{len(bad)} bad, {good} good. {named} They are in quarantine (mlops quarantine list), the old rows stay "
        f"in the lake. {next(remedies, '')}".rstrip()
    )
