"""`LandingSource`: a source declared in YAML becomes the asset raw/<source>, its contract a blocking check.

Here: the component and the body of its asset. Not here: matching files (`resources.intake`), judging rows
(`core.contract`), when it runs (`defs.sensors`).
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import BaseModel

from mlops_assets.components.measured import measured
from mlops_assets.components.partitions import (
    Calendar,
    declared_calendar,
    is_partitioned_run,
    keys_of_run,
    report_partitions,
)
from mlops_assets.core.shown import harmless, shown
from mlops_assets.core.source_settings import SourceSettings, day_of
from mlops_assets.resources.home import Limits
from mlops_assets.resources.intake import (
    WHOLE,
    Intake,
    IntakeState,
    LandedFile,
    Read,
    Taken,
    Verdict,
    read_file,
    unread_file,
)
from mlops_assets.resources.lake import Lake
from mlops_assets.resources.parquet import read_exact

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.contract import ContractResult
    from mlops_assets.resources.accepted_days import AcceptedDays

CONTRACT_CHECK = "contract_holds"
OUTSIDE_RETRY = dg.RetryPolicy(max_retries=3, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)
"""For assets that touch the outside: a failing disk is tried again; a broken contract is no exception."""

BATCH_BYTES = 8 * 2**20
"""Landed bytes that are judged at once: as text cells in memory they are about 20 times as large."""
PARQUET_UNPACKS = 8
"""How many bytes of CSV a byte of Parquet stands for."""
NAMED = 20
"""Names shown in a report before it says how many more."""


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
        """The one asset of a source; the job and schedule of one that is fetched."""
        from mlops_assets.components.pulling import build_pull

        grain = self.settings.grain
        calendar = declared_calendar(grain) if grain != "none" else None
        assets = dg.Definitions(assets=[build_raw_asset(self.settings, calendar)])
        return dg.Definitions.merge(assets, build_pull(self.settings)) if self.settings.pull else assets


def build_raw_asset(source: SourceSettings, calendar: Calendar | None = None) -> dg.AssetsDefinition:
    """The asset raw/<source>.

    Args:
        source: its settings.
        calendar: that it shares with the other sources of its job; default its own.
    """
    if calendar is None and source.grain != "none":
        calendar = Calendar.of_source(source)
    key = dg.AssetKey(["raw", source.name])
    spec = dg.AssetSpec(
        key,
        description=source.description,
        group_name="raw",
        kinds={"parquet"},
        owners=source.owners,
        skippable=True,
        partitions_def=calendar.partitions() if calendar else None,
        metadata={"landing": f"landing/{source.name}/{source.files}", "freshness": source.fresh_for},
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


# --- taking in ---------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of the partitions of a run.

    Attributes:
        rows: rows of each partition written.
        bad: why each bad partition is bad.
        without_file: partitions for which nothing landed, though nothing is wrong with that.
    """

    rows: dict[str, int] = field(default_factory=dict)
    bad: dict[str, list[str]] = field(default_factory=dict)
    without_file: list[str] = field(default_factory=list)


def take_in(intake: Intake, partitions: Sequence[str]) -> Outcome:
    """Read, judge and settle partitions, as many at once as fit into `BATCH_BYTES`.

    Args:
        intake: the source.
        partitions: their keys.

    Raises:
        OSError: disk or share failed; what was settled before stays, and the same call begins anew.
    """
    from mlops_assets.core.contract import arrow_schema
    from mlops_assets.resources.accepted_days import AcceptedDays

    landed, taken, good = intake.landed_files(), intake.taken(), intake.good()
    outcome = Outcome()
    if intake.source.is_hourly:
        partitions = _hours(intake.state(), partitions)
        good = {key: entry for hour, entry in good.items() for key in (hour, hour[:10])}
    for partition in partitions:
        if partition in landed:
            continue
        awaited = intake.source.required and (partition == WHOLE or intake.source.has_partition(day_of(partition)))
        if partition in good or not awaited:
            outcome.without_file.append(partition)
        else:
            outcome.bad[partition] = [_missing(intake, partition)]
    schema, accepted = arrow_schema(intake.source.rules), AcceptedDays(intake)
    for batch in _batches({p: landed[p] for p in partitions if p in landed}):
        verdicts = _judge(accepted, batch, taken)
        intake.settle(verdicts, schema=schema)
        for verdict in verdicts:
            if verdict.reasons:
                outcome.bad[verdict.partition] = list(verdict.reasons)
            elif verdict.frame is not None:
                outcome.rows[verdict.partition] = len(verdict.frame)
    return outcome


def _hours(state: IntakeState, days: Sequence[str]) -> list[str]:
    """What a run over some days takes in of each: its new hours, else all but the known bad, else all that landed.

    So a bad hour stops the run that meets it, and not those of the hours after it. A day of which nothing landed stands
    for itself.
    """
    pending = set(state.pending)
    landed: dict[str, list[str]] = {day: [] for day in days}
    for key in state.landed:
        landed.get(key[:10], []).append(key)
    taken = []
    for day, hours in landed.items():
        new = [key for key in hours if key in pending]
        sound = [key for key in hours if key not in pending and state.taken[key].status != "quarantined"]
        taken += new or sound or hours or [day]
    return taken


def _batches(landed: Mapping[str, LandedFile]) -> Iterator[dict[str, LandedFile]]:
    batch: dict[str, LandedFile] = {}
    weight = 0
    for partition, file in landed.items():
        size = file.size * (PARQUET_UNPACKS if file.path.suffix == ".parquet" else 1)
        if batch and weight + size > BATCH_BYTES:
            yield batch
            batch, weight = {}, 0
        batch[partition] = file
        weight += size
    if batch:
        yield batch


def _judge(accepted: "AcceptedDays", batch: Mapping[str, LandedFile], taken: Mapping[str, Taken]) -> list[Verdict]:
    """Verdicts on a batch, oldest first. A person's release overrules the findings on values."""
    from mlops_assets.core.contract_check import check_frames
    from mlops_assets.core.windows import Window
    from mlops_assets.resources.repeated_keys import repeated_keys
    from mlops_assets.resources.unpacked import TooLarge

    intake, source = accepted.intake, accepted.intake.source
    limit = intake.lake.home.settings.limits.file_bytes
    verdicts: dict[str, Verdict] = {}
    frames: dict[str, tuple[Read, pd.DataFrame]] = {}
    for partition, file in sorted(batch.items()):
        read = read_file(file) if file.size <= limit else unread_file(file)
        try:
            if read.content is None:
                raise TooLarge(limit)
            frames[partition] = read, parse(file.name, read.content, source, limit)
        except Exception as error:  # noqa: BLE001 - the bytes are here: what a parser raises is about them
            told = f"{shown(file.name)} cannot be read ({harmless(str(error))})"
            reason = f"{told}. Send it again; the old partition is unchanged."
            verdicts[partition] = Verdict(partition, read, (reason,), None)
    results = check_frames(
        source.rules,
        [frame for _, frame in frames.values()],
        partitions=[None if p == WHOLE else Window(intake.start(p), intake.end(p)) for p in frames],
        now=datetime.now(UTC),
    )
    for (partition, (read, raw)), result in zip(frames.items(), results, strict=True):
        entry = taken.get(partition)
        released = entry.reason if entry is not None and entry.status == "released" else ""
        failures = [*result.failures]
        is_shapeless = _is_shapeless(result)
        shape = "" if is_shapeless else accepted.look(partition, result, failures)
        if not failures or (released and not is_shapeless):
            accepted.accept(partition, shape)
            verdicts[partition] = Verdict(partition, read, (), result.frame, released, shape)
        else:
            reasons = tuple(failure.sentence for failure in failures)
            verdicts[partition] = Verdict(partition, read, reasons, raw.assign(is_bad=result.bad_rows))
    good = {
        part: verdict.frame for part, verdict in verdicts.items() if verdict.frame is not None and not verdict.reasons
    }
    # A release does not overrule this: dbt would fail on such rows, and so would all that comes after them.
    for partition, repeated in repeated_keys(intake, good).items():
        read, raw = frames[partition]
        verdicts[partition] = Verdict(partition, read, (repeated.reason,), raw.assign(is_bad=repeated.rows))
    return [verdicts[partition] for partition in batch]


def _is_shapeless(result: "ContractResult") -> bool:
    """Whether a required column or all rows are missing: there is nothing that could be let in."""
    return result.frame.empty or any(failure.rule == "missing_column" for failure in result.failures)


def parse(name: str, content: bytes, source: SourceSettings, limit: int = Limits().file_bytes) -> "pd.DataFrame":
    """A landed file as a frame: CSV as text (the contract casts), Parquet with its own types.

    Raises:
        ValueError: the bytes are no table, are more than `limit` without their packing, or the columns have no names of
            their own.
    """
    import pandas as pd

    from mlops_assets.core.csv_head import LONGEST, NoHead, head_of
    from mlops_assets.resources.unpacked import refuse_large_parquet, unpacked

    if name.endswith(".parquet"):
        refuse_large_parquet(content, limit)
        return read_exact(io.BytesIO(content))
    content = unpacked(name, content, limit)
    if not content.strip():
        raise ValueError("it is empty, without even a header")
    try:
        head = head_of(content[:LONGEST].decode("utf-8", errors="replace"))
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=head.separator,
            skiprows=head.skipped,
            dtype=str,
            keep_default_na=False,
            na_values=source.null_values,
        )
    except NoHead as error:
        raise ValueError(f"it {error}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes surplus cells for row labels and shifts all others.
        raise ValueError("its rows have more cells than its header has names")
    if frame.columns.has_duplicates:
        twice = ", ".join(sorted({shown(str(c)) for c in frame.columns[frame.columns.duplicated()]}))
        raise ValueError(f"it has the column {twice} twice")
    return frame


# --- reporting ---------------------------------------------------------------------------------------------


def _report(context: dg.AssetExecutionContext, intake: Intake, key: dg.AssetKey, outcome: Outcome) -> Iterator[Any]:
    """One check for the whole range; a materialization of each partition that was written."""
    told = {"partitions": len(outcome.rows), "rows": sum(outcome.rows.values())}
    is_whole = intake.source.grain == "none"
    rows = _of_days(intake, outcome.rows) if intake.source.is_hourly else outcome.rows
    if not outcome.bad:
        yield dg.AssetCheckResult(check_name=CONTRACT_CHECK, asset_key=key, passed=True, metadata=told)
        if is_whole or not is_partitioned_run(context):
            if not is_whole:
                report_partitions(context, key, rows)
            context.add_asset_metadata({"dagster/row_count": told["rows"]}, asset_key=key)
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
        description=_summary(intake, outcome.bad, good=len(outcome.rows)),
        metadata={**told, "bad_partitions": dg.MetadataValue.json(outcome.bad)},
    )


def _of_days(intake: Intake, hours: Mapping[str, int]) -> dict[str, int]:
    """Rows of the days that these hours belong to, as far as the days have come."""
    days = dict.fromkeys((hour[:10] for hour in hours), 0)
    for hour, entry in intake.good().items():
        if hour[:10] in days:
            days[hour[:10]] += entry.rows
    return days


def _metadata(intake: Intake, outcome: Outcome) -> dict[str, Any]:
    metadata: dict[str, Any] = {"path": str(intake.lake.folder("raw", intake.source.name))}
    if outcome.without_file:
        metadata["without_file"] = ", ".join(outcome.without_file[:NAMED]) + _and_more(outcome.without_file)
    if unmatched := intake.unmatched():
        names = ", ".join(map(shown, unmatched[:NAMED])) + _and_more(unmatched)
        metadata["files_ignored"] = f"{names} (they do not match {intake.source.files}, or are no files but links)"
    return metadata


def _missing(intake: Intake, partition: str) -> str:
    wanted = intake.source.files.replace("{partition}", partition).replace("{hour}", "00")
    return f"No file has landed. Put {wanted} into {intake.folder}; the lake holds nothing of it."


def _summary(intake: Intake, bad: Mapping[str, Sequence[str]], *, good: int) -> str:
    named = "; ".join(f"{partition}: {' '.join(reasons)}" for partition, reasons in list(bad.items())[:5]).rstrip(".")
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
    return intake.lake.home.said(
        f"{len(bad)} bad, {good} good. {named}{more}. They are in quarantine (mlops quarantine list), "
        f"the old rows stay in the lake. Send a corrected file, or let it in as it is: "
        f"mlops quarantine release {intake.source.name} {next(iter(bad))} --reason '...'"
    )


def _and_more(names: Sequence[str]) -> str:
    return f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
