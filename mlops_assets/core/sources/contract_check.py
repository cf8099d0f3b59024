"""Whether a frame keeps its source's contract, by pandera: one partition, or many at once.

A frame is judged whole: every rule is tried, all failures are told at once, and each row that broke a row-level rule
is marked, so that a quarantined partition can be corrected in one go.

One partition costs 50 to 100 ms of pandera and pandas calls whatever its size, so many are checked together:
`check_frames` casts and checks them as one frame and looks again, one by one, only at those that broke a rule. That
gives the verdicts of one by one because a cast looks at its own cell alone, and because each rule about a share, a key
or a window is counted within its own partition.

Not here: the contract (`contract`), the casts (`contract_cast`), the sentences (`contract_failures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.sources.contract import Column, ContractResult, Failure, SourceContract
from mlops_assets.core.sources.contract_cast import Conformed, conform, to_date, to_utc
from mlops_assets.core.sources.contract_failures import (
    endless_notes,
    mixed_marks,
    sample_of,
    sentence_of,
    shape_failures,
)
from mlops_assets.core.time.windows import Window
from mlops_assets.core.values.sql import free_name
from mlops_assets.core.values.text_formats import NUMBER_FORMATS
from mlops_assets.core.values.text_numbers import lone_marks


def check_frame(
    contract: SourceContract,
    frame: pd.DataFrame,
    *,
    partition: Window | None = None,
    now: datetime | None = None,
    alone: bool = False,
) -> ContractResult:
    """Conform a raw frame and hold it against the contract.

    Args:
        contract: the promise.
        frame: the raw rows of one partition (before `conform`).
        partition: the window its event times must lie in; None to skip.
        now: the clock for `no_future`; None to skip.
        alone: whether each row stands for itself, as a message does: no other says how it is written.

    Returns:
        All failures at once; `frame` is what may be stored.
    """
    conformed = conform(contract, frame)
    bad = np.zeros(len(frame), dtype=np.bool_)
    for cells in conformed.bad_cells.values():
        bad |= cells
    failures = [*shape_failures(contract, frame), *conformed.failures]
    present = _present(contract, frame)
    for name in [] if alone else present:
        if (mixed := mixed_marks(contract, name, frame[name])) is not None:
            failures.append(mixed[0])
            bad |= mixed[1]
    for rule, column, rows, sample in _pandera_failures(contract, conformed, present, partition, now):
        bad |= rows
        sentence = sentence_of(contract, rule, column, rows, sample, partition, now)
        failures.append(Failure(rule, column, int(rows.sum()) or len(frame), sample, sentence))
    notes = (*conformed.notes, *endless_notes(conformed.endless))
    return ContractResult(not failures, tuple(failures), bad, conformed.frame, notes)


def check_frames(
    contract: SourceContract,
    frames: Sequence[pd.DataFrame],
    *,
    partitions: Sequence[Window | None],
    now: datetime | None = None,
) -> list[ContractResult]:
    """Hold many partitions against the contract: what `check_frame` says of each, in a fraction of the time.

    Memory is a few times that of all frames together: the caller decides how many go in at once.

    Args:
        contract: the promise.
        frames: the raw rows of each partition.
        partitions: the window of each, None to skip.
        now: the clock for `no_future`; None to skip.

    Returns:
        One result a frame, in their order.
    """
    good: dict[int, ContractResult] = {}
    for together in _alike(contract, frames, partitions):
        good |= _good_of(contract, frames, together, partitions=partitions, now=now)
    return [
        good[i] if i in good else check_frame(contract, frame, partition=partitions[i], now=now)
        for i, frame in enumerate(frames)
    ]


# --- many partitions at once -------------------------------------------------------------------------------


def _part_beside(present: Sequence[str]) -> str:
    """A column that joins the key where several partitions are checked as one frame: it is unique within its own."""
    return free_name("__partition__", present)


@dataclass(frozen=True)
class _Parts:
    """Which rows of a frame belong together: one partition, or several one after the other.

    Attributes:
        codes: shape (n,), the number of each row's partition.
        sizes: shape (k,), rows of each partition.
        windows: the window of each partition; all None or none.
    """

    codes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    windows: tuple[Window | None, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], windows: Sequence[Window | None]) -> Self:
        lengths = np.asarray(sizes, dtype=np.int64)
        return cls(np.repeat(np.arange(len(lengths)), lengths), lengths, tuple(windows))

    def excuse(self, good: pd.Series, limit: float) -> pd.Series:
        """`good`, but all True in a partition whose share of bad rows is at most `limit`."""
        bad = ~good.to_numpy(dtype=np.bool_)
        codes = self.codes[good.index.to_numpy()]
        n = np.bincount(codes, minlength=len(self.sizes))
        share = np.bincount(codes[bad], minlength=len(self.sizes)) / np.maximum(n, 1)
        return pd.Series(~bad | (share <= limit)[codes], index=good.index)

    def inside(self, stamps: pd.Series) -> pd.Series:
        """Whether each time (UTC) lies in the window of its row's partition."""
        codes = self.codes[stamps.index.to_numpy()]
        starts = np.array([_instant(w.start) for w in self.windows if w is not None])
        ends = np.array([_instant(w.end) for w in self.windows if w is not None])
        at = stamps.dt.tz_localize(None).to_numpy()
        return pd.Series((at >= starts[codes]) & (at < ends[codes]), index=stamps.index)


def _instant(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _alike(
    contract: SourceContract, frames: Sequence[pd.DataFrame], partitions: Sequence[Window | None]
) -> list[list[int]]:
    """Numbers of the frames that may be cast and checked as one: same columns, same types, nothing odd.

    Left out, to be looked at alone: empty frames, and frames whose columns break the contract.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, frame in enumerate(frames):
        if not len(frame) or frame.columns.has_duplicates or shape_failures(contract, frame):
            continue
        groups.setdefault((partitions[i] is None, *frame.columns, *map(str, frame.dtypes)), []).append(i)
    return [numbers for numbers in groups.values() if len(numbers) > 1]


def _present(contract: SourceContract, frame: pd.DataFrame) -> list[str]:
    return [name for name in contract.columns if name in frame.columns]


def _is_text(raw: pd.Series) -> bool:
    """Whether each cell of an object column is text or missing: the cast of such a cell looks at it alone."""
    return raw.dtype != object or pd.api.types.infer_dtype(raw, skipna=True) in ("string", "empty")


def _has_lone_marks(contract: SourceContract, name: str, raw: pd.Series) -> bool:
    written: Any = "comma" if contract.has_open_mark(name) else contract.columns[name].format
    return written in NUMBER_FORMATS and bool(lone_marks({cell for cell in raw if isinstance(cell, str)}, written))


def _good_of(
    contract: SourceContract,
    frames: Sequence[pd.DataFrame],
    together: Sequence[int],
    *,
    partitions: Sequence[Window | None],
    now: datetime | None,
) -> dict[int, ContractResult]:
    """The results of those frames that break no rule, checked as one frame."""
    parts = _Parts.of([len(frames[i]) for i in together], [partitions[i] for i in together])
    raw = pd.concat([frames[i] for i in together], ignore_index=True)
    present = _present(contract, raw)
    if not all(_is_text(raw[name]) for name in present):
        return {}
    if any(_has_lone_marks(contract, name, raw[name]) for name in present):
        return {}  # how those are read is for the texts of their own partition to say
    conformed = conform(contract, raw)
    broken = np.zeros(len(parts.codes), dtype=np.bool_)
    # Which rows are endless is said of each partition by itself.
    for cells in (*conformed.bad_cells.values(), *conformed.endless.values()):
        broken |= cells
    for error in _pandera_errors(contract, conformed.frame, present, parts, now):
        broken |= _marked(error, len(broken))
    keeps = np.array([_in_band(contract, n) for n in parts.sizes], dtype=np.bool_)
    keeps[parts.codes[broken]] = False
    ends = np.cumsum(parts.sizes)
    return {
        i: ContractResult(
            True,
            (),
            np.zeros(parts.sizes[k], dtype=np.bool_),
            conformed.frame.iloc[ends[k] - parts.sizes[k] : ends[k]].reset_index(drop=True),
            conformed.notes,
        )
        for k, i in enumerate(together)
        if keeps[k]
    }


# --- by pandera ---------------------------------------------------------------------------------------------

_Found = tuple[str, str | None, NDArray[np.bool_], tuple[Any, ...]]


def _pandera_failures(
    contract: SourceContract,
    conformed: Conformed,
    present: Sequence[str],
    partition: Window | None,
    now: datetime | None,
) -> list[_Found]:
    """(rule, column, rows, sample) of every rule that pandera found broken, in the order of the columns."""
    n = len(conformed.frame)
    errors = _pandera_errors(contract, conformed.frame, present, _Parts.of([n], [partition]), now)
    broken = [_translate(error, conformed, n) for error in errors]
    order = {name: i for i, name in enumerate(contract.columns)}
    kept = [f for f in broken if f is not None]
    if not _in_band(contract, n):
        kept.append(("row_count", None, np.zeros(n, dtype=np.bool_), ()))
    return sorted(kept, key=lambda f: (-1 if f[1] is None else order[f[1]], f[0]))


def _in_band(contract: SourceContract, n: int) -> bool:
    return contract.min_rows <= n and (contract.max_rows is None or n <= contract.max_rows)


def _pandera_errors(
    contract: SourceContract, frame: pd.DataFrame, present: Sequence[str], parts: _Parts, now: datetime | None
) -> list[Any]:
    """What pandera finds broken in a conformed frame of one or several partitions."""
    import pandera.pandas as pandera

    checked = frame[list(present)]
    if len(parts.sizes) > 1:
        checked = checked.assign(**{_part_beside(present): parts.codes})
    try:
        _schema(contract, present, parts, now).validate(checked, lazy=True)
    except pandera.errors.SchemaErrors as caught:
        return list(caught.schema_errors)
    return []


def _schema(contract: SourceContract, present: Sequence[str], parts: _Parts, now: datetime | None) -> Any:
    """The contract as a pandera schema over the columns that the file has."""
    import pandera.pandas as pandera

    dtypes = {
        "string": "string",
        "integer": "Int64",
        "number": "float64",
        "boolean": "boolean",
        "timestamp": pd.DatetimeTZDtype("us", "UTC"),
        "date": object,
    }
    columns = {
        name: pandera.Column(
            dtypes[contract.columns[name].type],
            checks=_column_checks(contract, name, parts, now),
            nullable=name not in contract.never_null,
        )
        for name in present
    }
    unique = [c for c in contract.unique if c in present]
    if len(unique) < len(contract.unique):
        unique = []
    elif unique and len(parts.sizes) > 1:
        unique.append(_part_beside(present))
    return pandera.DataFrameSchema(columns, unique=unique or None, report_duplicates="all")


def _column_checks(contract: SourceContract, name: str, parts: _Parts, now: datetime | None) -> list[Any]:
    import pandera.pandas as pandera

    column = contract.columns[name]
    checks: list[Any] = []
    if column.min is not None:
        low = _bound(column, column.min, contract.tz)
        checks.append(pandera.Check(lambda s: s >= low, name="min"))
    if column.max is not None:
        high = _bound(column, column.max, contract.tz)
        checks.append(pandera.Check(lambda s: s <= high, name="max"))
    if column.usual is not None:
        (start, end), odd = column.usual, column.unusual_share
        checks.append(pandera.Check(lambda s: parts.excuse(s.between(start, end), odd), name="usual"))
    if column.allowed is not None:
        allowed, limit = set(column.allowed), column.new_category_share
        checks.append(pandera.Check(lambda s: parts.excuse(s.isin(allowed), limit), name="allowed"))
    if column.max_null_share is not None:
        share = column.max_null_share
        checks.append(pandera.Check(lambda s: parts.excuse(s.notna(), share), name="null_share", ignore_na=False))
    if name == contract.event_time and parts.windows[0] is not None:
        checks.append(pandera.Check(parts.inside, name="partition"))
    if name == contract.event_time and contract.no_future and now is not None:
        moment = pd.Timestamp(now)
        checks.append(pandera.Check(lambda s: s <= moment, name="future"))
    return checks


def _bound(column: Column, value: Any, tz: str) -> Any:
    if column.type == "timestamp":
        return to_utc(pd.Series([value], dtype=object), tz).iloc[0]
    if column.type == "date":
        return to_date(to_utc(pd.Series([value], dtype=object), "UTC")).iloc[0]
    return value


def _translate(error: Any, conformed: Conformed, n: int) -> _Found | None:
    """One pandera error as (rule, column, rows, sample); None if a failed cast has already told it."""
    rows = _marked(error, n)
    named = str(getattr(error.check, "name", None) or error.check)
    rule = {"multiple_fields_uniqueness": "unique", "not_nullable": "null"}.get(named, named)
    column = None if error.column_name is None else str(error.column_name)
    if rule.startswith("dtype"):
        rule = "type"
    if rule in ("null", "null_share") and column is not None and column in conformed.bad_cells:
        rows &= ~conformed.bad_cells[column]
        if not rows.any():
            return None
    shown = conformed.frame[column] if column is not None else None
    sample = () if shown is None or rule.startswith("null") else sample_of(shown[rows])
    return rule, column, rows, sample


def _marked(error: Any, n: int) -> NDArray[np.bool_]:
    """The rows that a pandera error is about; all of them where it is about the column or names none."""
    cases = error.failure_cases
    if not isinstance(cases, pd.DataFrame) or "index" not in cases or cases["index"].isna().all():
        return np.ones(n, dtype=np.bool_)
    rows = np.zeros(n, dtype=np.bool_)
    rows[cases["index"].dropna().astype(np.int64).to_numpy()] = True
    return rows
