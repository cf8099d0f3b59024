"""`LandingSource`: a source declared in YAML becomes the asset raw/<source> with its contract as a blocking check.

Here: the component and the body of its asset. Not here: matching files (`resources.intake`), judging rows
(`core.contract`), when it runs (`defs.sensors`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.components.partitions import is_partitioned_run, keys_of_run, partitions_of_source, report_partitions
from mlops_assets.core.settings import SourceSettings
from mlops_assets.resources.clock import Clock
from mlops_assets.resources.intake import WHOLE, Intake
from mlops_assets.resources.lake import Lake

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.contract import ContractResult

CONTRACT_CHECK = "contract_holds"
OUTSIDE_RETRY = dg.RetryPolicy(max_retries=3, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For assets that touch the outside: a slow disk or share is tried again, a broken contract is not an exception."""


class LandingSource(dg.Component):
    """A raw table that lands as files under `$MLOPS_HOME/landing/<name>/`."""

    def __init__(self, settings: SourceSettings):
        self.settings = settings

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The YAML's fields."""
        return SourceSettings

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> "LandingSource":
        """From validated YAML."""
        if not isinstance(attributes, SourceSettings):
            raise dg.DagsterInvalidDefinitionError("LandingSource needs `attributes:`; see docs/sources.md.")
        return cls(attributes)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The one asset of a source."""
        return dg.Definitions(assets=[build_raw_asset(self.settings)])


def build_raw_asset(source: SourceSettings) -> dg.AssetsDefinition:
    """The asset raw/<source>."""
    key = dg.AssetKey(["raw", source.name])
    spec = dg.AssetSpec(
        key,
        description=source.description,
        group_name="raw",
        kinds={"parquet"},
        owners=source.owners,
        skippable=True,
        partitions_def=partitions_of_source(source),
        metadata={"landing": f"landing/{source.name}/{source.files}", "freshness": source.freshness},
    )
    check = dg.AssetCheckSpec(
        CONTRACT_CHECK,
        asset=key,
        blocking=True,
        description="Columns, types, ranges, categories, nulls, keys, row counts and dates are as declared in YAML.",
    )

    @dg.multi_asset(
        name=f"raw_{source.name}",
        specs=[spec],
        check_specs=[check],
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=OUTSIDE_RETRY,
        pool=f"raw_{source.name}",
    )
    def raw(context: dg.AssetExecutionContext, lake: Lake, clock: Clock) -> Iterator[Any]:
        partitions = keys_of_run(context, source.end_of) if spec.partitions_def else [WHOLE]
        yield from _take_in(context, Intake(lake=lake, source=source), partitions, key=key)

    return raw


def _take_in(
    context: dg.AssetExecutionContext, intake: Intake, partitions: list[str], *, key: dg.AssetKey
) -> Iterator[Any]:
    """Take each partition in or put it into quarantine; then report once for the whole range."""
    landed = intake.landed()
    rows: dict[str, int] = {}
    bad: dict[str, list[str]] = {}
    for partition in partitions:
        if partition not in landed:
            bad[partition] = [_missing(intake, partition)]
            continue
        reasons, count = _take_in_one(intake, partition, landed[partition])
        if reasons:
            bad[partition] = reasons
        else:
            rows[partition] = count
    metadata: dict[str, Any] = {
        "dagster/row_count": sum(rows.values()),
        "partitions": len(rows),
        "path": str(intake.lake.folder("raw", intake.source.name)),
    }
    if unmatched := intake.unmatched():
        metadata["files_ignored"] = ", ".join(unmatched[:20]) + f" (they do not match {intake.source.files})"
    if not bad:
        if partitions != [WHOLE] and not is_partitioned_run(context):
            report_partitions(context, key, rows)
        yield dg.AssetCheckResult(check_name=CONTRACT_CHECK, asset_key=key, passed=True, metadata={"partitions": len(rows)})
        yield dg.MaterializeResult(asset_key=key, metadata=metadata)
        return
    if WHOLE not in rows:
        # The good partitions are in the lake: say so, although the asset as a whole is not materialized.
        report_partitions(context, key, rows)
    yield dg.AssetCheckResult(
        check_name=CONTRACT_CHECK,
        asset_key=key,
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=_summary(intake, bad, good=len(rows)),
        metadata={"bad_partitions": dg.MetadataValue.json(bad), "good_partitions": len(rows)},
    )


def _take_in_one(intake: Intake, partition: str, path: Path) -> tuple[list[str], int]:
    """One partition: (reasons it is bad, its rows). A person's release overrules the contract's findings on values."""
    from mlops_assets.core.contract import arrow_schema, check_frame
    from mlops_assets.core.windows import Window

    taken = intake.taken().get(partition)
    released = taken is not None and taken.status == "released"
    try:
        raw = read_landed(path, intake.source)
    except Exception as error:  # noqa: BLE001 - whatever a reader raises means the same: this file cannot be read
        reason = f"{path.name} cannot be read ({error}). Send it again; the old partition is unchanged."
        intake.reject(partition, path, [reason], None)
        return [reason], 0
    window = None if partition == WHOLE else Window(intake.start(partition), intake.end(partition))
    result = check_frame(intake.source.rules, raw, partition=window, now=datetime.now(UTC))
    if result.ok or (released and not _is_shapeless(result)):
        intake.accept(partition, path, result.frame, schema=arrow_schema(intake.source.rules))
        return [], len(result.frame)
    reasons = [failure.sentence for failure in result.failures]
    intake.reject(partition, path, reasons, raw.assign(is_bad=result.bad_rows))
    return reasons, 0


def _is_shapeless(result: "ContractResult") -> bool:
    """Whether a required column or all rows are missing: that cannot be let in, there is nothing to let in."""
    return result.frame.empty or any(failure.rule == "missing_column" for failure in result.failures)


def read_landed(path: Path, source: SourceSettings) -> "pd.DataFrame":
    """A landed file as a frame: CSV as text (the contract casts), Parquet with its own types."""
    import pandas as pd

    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, na_values=source.null_values)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def _missing(intake: Intake, partition: str) -> str:
    wanted = intake.source.files.replace("{partition}", partition)
    return f"No file has landed. Put {wanted} into {intake.folder}; what the lake holds of it is unchanged."


def _summary(intake: Intake, bad: dict[str, list[str]], *, good: int) -> str:
    named = "; ".join(f"{partition}: {' '.join(reasons)}" for partition, reasons in list(bad.items())[:5])
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    return (
        f"{len(bad)} bad, {good} good. {named}{more}. The bad ones are in quarantine and the old rows stay in the lake. "
        f"Send a corrected file, or let it in as it is: "
        f"mlops quarantine release {intake.source.name} {next(iter(bad))} --reason '...'"
    )
