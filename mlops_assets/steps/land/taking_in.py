"""Taking in what landed of a source: read, judge and settle its partitions.

Here: `take_in`, and the order in which verdicts are found. Not here: matching and moving files (`intake`), the bytes of
a file as a frame (`landed_rows`), the rules (`core.sources.contract`, `core.sources.partition_faults`,
`repeated_keys`), the asset (`assets`).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlops_assets.core.sources.settings import day_of
from mlops_assets.core.values.display import harmless, shown
from mlops_assets.steps.land.landed_rows import rows_in
from mlops_assets.world.landed.intake import Intake, IntakeState, Taken, Verdict
from mlops_assets.world.landed.landed_files import WHOLE, LandedFile, Read, read_file, unread_file

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.sources.contract import ContractResult, Failure
    from mlops_assets.core.sources.partition_profile import Shape
    from mlops_assets.steps.land.accepted_days import AcceptedDays
    from mlops_assets.steps.land.repeated_keys import Repeated
    from mlops_assets.steps.land.replaced_rows import Replaced
    from mlops_assets.world.files.empty_rows import RowNumbers

BATCH_BYTES = 8 * 2**20
"""Landed bytes that are judged at once: as text cells in memory they are about 20 times as large."""
PARQUET_UNPACKS = 8
"""How many bytes of CSV a byte of Parquet stands for."""


@dataclass
class Outcome:
    """What became of the partitions of a run.

    Attributes:
        rows: rows of each partition written.
        bad: why each bad partition is bad.
        notes: what is worth knowing of partitions that were written, such as hours that the clocks have twice.
        without_file: partitions for which nothing landed, though nothing is wrong with that.
    """

    rows: dict[str, int] = field(default_factory=dict)
    bad: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    without_file: list[str] = field(default_factory=list)


def take_in(intake: Intake, partitions: Sequence[str]) -> Outcome:
    """Read, judge and settle partitions, as many at once as fit into `BATCH_BYTES`.

    Args:
        intake: the source.
        partitions: their keys.

    Raises:
        OSError: disk or share failed; what was settled before stays, and the same call begins anew.
    """
    from mlops_assets.core.sources.contract import arrow_schema
    from mlops_assets.steps.land.accepted_days import AcceptedDays

    landed, taken, good = intake.landed_files(), intake.taken(), intake.good()
    if intake.source.is_hourly:
        partitions = _hours(intake.state(), partitions)
        good = {key: entry for hour, entry in good.items() for key in (hour, hour[:10])}
    outcome = _unread(intake, partitions, landed, good)
    schema, accepted = arrow_schema(intake.source.rules), AcceptedDays(intake)
    for batch in _batches({p: landed[p] for p in partitions if p in landed and p not in outcome.bad}):
        verdicts = _judge(accepted, batch, taken)
        intake.settle(verdicts, schema=schema)
        for verdict in verdicts:
            if verdict.reasons:
                outcome.bad[verdict.partition] = list(verdict.reasons)
            elif verdict.frame is not None:
                outcome.rows[verdict.partition] = len(verdict.frame)
                if verdict.notes:
                    outcome.notes[verdict.partition] = verdict.notes
    return outcome


def _unread(
    intake: Intake, partitions: Sequence[str], landed: Mapping[str, LandedFile], good: Container[str]
) -> Outcome:
    """What is known of partitions without a file, or with one that nobody may read."""
    outcome = Outcome()
    for partition in partitions:
        if file := landed.get(partition):
            if not file.is_readable:
                outcome.bad[partition] = [file.no_right]
            continue
        awaited = intake.source.required and (partition == WHOLE or intake.source.has_partition(day_of(partition)))
        if partition in good or not awaited:
            outcome.without_file.append(partition)
        else:
            outcome.bad[partition] = [_missing(intake, partition)]
    return outcome


def _missing(intake: Intake, partition: str) -> str:
    wanted = intake.source.files.replace("{partition}", partition).replace("{hour}", "00")
    return f"No file has landed. Put {wanted} into {intake.folder}; the lake holds nothing of it."


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


def _judge(accepted: AcceptedDays, batch: Mapping[str, LandedFile], taken: Mapping[str, Taken]) -> list[Verdict]:
    """Verdicts on a batch. A person's release overrules the findings on values, and not those on keys."""
    from mlops_assets.core.sources.changed_hours import told_of_columns
    from mlops_assets.core.sources.partition_faults import causes_first, refused_shape
    from mlops_assets.world.files.empty_rows import counted_without, noted

    intake, source = accepted.intake, accepted.intake.source
    frames, empty, verdicts = _read(intake, batch)
    results: dict[str, ContractResult] = {}
    try:
        results = _check(intake, frames)
    except Exception:  # noqa: BLE001 - one of them has what nobody thought of: the others land
        for partition, (read, frame) in list(frames.items()):
            try:
                results |= _check(intake, {partition: (read, frame)})
            except Exception as error:  # noqa: BLE001 - and this is it
                verdicts[partition] = _unreadable(partition, read, error)
                del frames[partition]
    replaced = _replaced(intake, frames, results)
    shapes = {part: accepted.shape(result) for part, result in results.items() if not _is_shapeless(result)}
    released = {part: taken[part].reason for part in shapes if part in taken and taken[part].status == "released"}
    sound = {p: results[p].frame for p in shapes if p in released or (results[p].ok and p not in replaced.failures)}
    repeated, changed = _against_others(accepted, shapes, sound, released)
    for partition, (read, raw) in frames.items():
        result, shape, changes = results[partition], shapes.get(partition), changed.get(partition, [])
        failures = (*causes_first([*result.failures, *changes]), *replaced.failures.get(partition, ()))
        reasons = tuple(failure.sentence for failure in failures)
        if partition in repeated:
            # A release does not overrule this: dbt would fail on such rows, and so would all that comes after them.
            reasons, bad = (repeated[partition].reason,), repeated[partition].rows
        elif failures and partition not in released:
            bad = result.bad_rows
        else:
            shape = shape.let_in() if shape and partition in released else shape
            accepted.accept(partition, shape)
            gone = replaced.notes.get(partition, ())
            notes = (*noted(empty[partition]), *result.notes, *gone, *told_of_columns(source.rules, raw, result.frame))
            release, kept = released.get(partition, ""), shape.to_json() if shape else ""
            verdicts[partition] = Verdict(partition, read, (), result.frame, release, kept, notes)
            continue
        refused = refused_shape(shape, changes) if shape else None
        accepted.refuse(partition, refused)
        marked, kept = raw.assign(is_bad=bad), refused.to_json() if refused else ""
        may_pass = partition in shapes and partition not in repeated
        reasons = (*reasons, *counted_without(empty[partition], len(raw)))
        verdicts[partition] = Verdict(partition, read, reasons, marked, shape=kept, can_be_let_in=may_pass)
    return [verdicts[partition] for partition in batch]


def _read(
    intake: Intake, batch: Mapping[str, LandedFile]
) -> tuple[dict[str, tuple[Read, pd.DataFrame]], dict[str, Sequence[int] | RowNumbers], dict[str, Verdict]]:
    """The rows of a batch, where those without a value were, and verdicts on files that cannot be read."""
    from mlops_assets.world.files.unpacked_size import TooLarge

    limit = intake.lake.home.settings.limits.file_bytes
    frames: dict[str, tuple[Read, pd.DataFrame]] = {}
    empty: dict[str, Sequence[int] | RowNumbers] = {}
    verdicts: dict[str, Verdict] = {}
    for partition, file in sorted(batch.items()):
        read = read_file(file) if file.size <= limit else unread_file(file)
        try:
            if read.content is None:
                raise TooLarge(limit)
            rows = rows_in(file.name, read.content, intake.source, limit)
            frames[partition], empty[partition] = (read, rows.frame), rows.empty
        except Exception as error:  # noqa: BLE001 - the bytes are here: what a parser raises is about them
            verdicts[partition] = _unreadable(partition, read, error)
    return frames, empty, verdicts


def _replaced(
    intake: Intake, frames: Mapping[str, tuple[Read, pd.DataFrame]], results: Mapping[str, ContractResult]
) -> Replaced:
    """What is said of files that keep the contract, and of the rows whose place they would take."""
    from mlops_assets.steps.land.replaced_rows import replaced_rows

    def rows_of(partition: str, file: LandedFile) -> pd.DataFrame | None:
        limit = intake.lake.home.settings.limits.file_bytes
        if file.size > limit or not file.is_readable:
            return None
        read = read_file(file)
        try:
            frame = rows_in(file.name, read.content or b"", intake.source, limit).frame
            result = _check(intake, {partition: (read, frame)})[partition]
        except Exception:  # noqa: BLE001 - it holds no rows that could be lost, and the newest file is judged
            return None
        return result.frame if result.ok else None

    good = {part: (frames[part][0].file, result.frame) for part, result in results.items() if result.ok}
    return replaced_rows(intake, good, rows_of)


def _unreadable(partition: str, read: Read, error: Exception) -> Verdict:
    fault = f"{shown(read.file.name)} cannot be read ({harmless(str(error))})"
    reason = f"{fault}. Send it again; the old partition is unchanged."
    return Verdict(partition, read, (reason,), None, can_be_let_in=False)


def _check(intake: Intake, frames: Mapping[str, tuple[Read, pd.DataFrame]]) -> dict[str, ContractResult]:
    """What the contract says of each partition."""
    from mlops_assets.core.sources.contract_check import check_frames
    from mlops_assets.core.time.windows import Window

    checked = check_frames(
        intake.source.rules,
        [frame for _, frame in frames.values()],
        partitions=[None if p == WHOLE else Window(intake.start(p), intake.end(p)) for p in frames],
        # By the data's clock nobody knows what is to come; rows outside their partition are refused all the same.
        now=datetime.now(UTC) if intake.lake.home.settings.clock == "wall" else None,
    )
    return dict(zip(frames, checked, strict=True))


def _against_others(
    accepted: AcceptedDays, shapes: Mapping[str, Shape], sound: Mapping[str, pd.DataFrame], released: Container[str]
) -> tuple[dict[str, Repeated], dict[str, list[Failure]]]:
    """Which partitions have keys of others, and what has changed in each since the accepted ones before it.

    Each verdict needs the other one: a partition with the key of another is no accepted day, and one that is held back
    for its unit takes nobody's key. So the keys are looked at again until nothing more is held back.

    Args:
        accepted: the accepted partitions.
        shapes: of those that are judged.
        sound: the rows of those that their contract, or a person, lets in.
        released: those that a person lets in.
    """
    from mlops_assets.steps.land.repeated_keys import repeated_keys

    held: dict[str, list[Failure]] = {}
    while True:
        left = {part: frame for part, frame in sound.items() if part not in held}
        repeated = repeated_keys(accepted.intake, left)
        standing = left.keys() - repeated.keys()
        changed = accepted.changes(shapes, standing, released) | held
        more = {part: changed[part] for part in standing if changed[part] and part not in released}
        if not more:
            return repeated, changed
        held |= more


def _is_shapeless(result: ContractResult) -> bool:
    """Whether a required column or all rows are missing: there is nothing that could be let in."""
    return result.frame.empty or any(failure.rule == "missing_column" for failure in result.failures)
