"""Several Parquet files as the rows of one table, each file read for what it is.

Here: a file's columns that are no data, that are missing throughout, that are times without a zone where other files
have one, or floats or texts where others have integers. Not here: reading the table (`loading`), the few types that its
columns have in the end (`exact_types`).

DuckDB reads files as one by the widest type among them: a column of floats, as pandas writes integers beside a gap,
makes floats of all identifiers, and a column of moments makes moments in UTC of all clock times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.values.display import row_numbers, shown
from mlops_assets.core.values.exact import FLOAT_WHOLE, whole_up_to
from mlops_assets.core.values.sql import exact, free_name, is_blank, literal, quoted
from mlops_assets.onboarding.reading.exact_types import digits_of_floats
from mlops_assets.onboarding.reading.instructions import Reading, Undecided
from mlops_assets.world.files.parquet_rows import row_numbers_in

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_LED = r"'\s*0[0-9]+\s*'"
"""Digits after a zero: the text of a code."""


@dataclass(frozen=True)
class _Column:
    """A column of a file, by DuckDB's type."""

    file: Path
    name: str
    dtype: str

    @property
    def is_moment(self) -> bool:
        return self.dtype in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")

    @property
    def is_local_time(self) -> bool:
        return self.dtype.startswith(("DATE", "TIMESTAMP")) and not self.is_moment

    @property
    def is_float(self) -> bool:
        return self.dtype in ("FLOAT", "DOUBLE")

    @property
    def is_exact(self) -> bool:
        """Whether it is of integers or decimals."""
        return "INT" in self.dtype or self.dtype.startswith("DECIMAL")

    @property
    def whole_up_to(self) -> int:
        """Up to here its floats hold every whole number."""
        if self.dtype != "FLOAT":
            return FLOAT_WHOLE
        is_half = pa.types.is_float16(pq.read_schema(self.file).field(self.name).type)
        return whole_up_to("float16" if is_half else "float32")


def union_of(
    connection: duckdb.DuckDBPyConnection, files: Sequence[Path], reading: Reading
) -> tuple[str, tuple[str, ...]]:
    """A query for the rows of all files, in their order, and what was assumed.

    Args:
        connection: where it will run.
        files: at least one, each with a column that is data.
        reading: the zone in which times without one are read where other files' have one, the columns that are texts.

    Raises:
        Undecided: a column is of integers in one file, and another has lost digits or zeros of it.
    """
    notes = list(_index_note(files))
    columns: dict[str, list[_Column]] = {}
    for file in files:
        for name, dtype, *_ in connection.execute(f"describe select * from {_read(file)}").fetchall():
            columns.setdefault(str(name).casefold(), []).append(_Column(file, str(name), str(dtype)))
    changes = {file: _lengths(file) for file in files}
    for same in columns.values():
        if len({column.dtype for column in same}) > 1:
            known = [column for column in same if _has_values(connection, column)]
            changed = _changed(same, known, reading.zone or "UTC") | _exactly(connection, known, reading)
            notes += _type_note(known)
            for column, value in changed.items():
                changes[column.file][column.name] = value
    ways = {file: _way(file, changes[file]) for file in files}
    parts = []
    for way, some in groupby(files, key=lambda file: ways[file]):
        names = ", ".join(literal(exact(file)) for file in some)
        parts.append(f"select {way} from read_parquet([{names}], union_by_name = true, hive_partitioning = false)")
    return " union all by name ".join(parts), tuple(notes)


def _index_note(files: Sequence[Path]) -> tuple[str, ...]:
    """A sentence on what pandas wrote beside the data, if it wrote something."""
    left_out = dict.fromkeys(name for file in files for name in row_numbers_in(pq.read_schema(file)))
    if not left_out:
        return ()
    index = "the index of a pandas frame, without a name, and left out (name it, and it is a column like any other)"
    return (f"{', '.join(left_out)} is {index}.",)


def _changed(same: Sequence[_Column], known: Sequence[_Column], zone: str) -> dict[_Column, str]:
    """What stands for a column of several files in those whose own type would change what others hold."""
    if not known:
        return {}
    changed = {column: f"null::{known[0].dtype}" for column in same if column not in known}
    if any(column.is_moment for column in known):
        local = (column for column in known if column.is_local_time)
        changed |= {column: f"timezone({literal(zone)}, {quoted(column.name)}::timestamp)" for column in local}
    return changed


def _exactly(connection: duckdb.DuckDBPyConnection, known: Sequence[_Column], reading: Reading) -> dict[_Column, str]:
    """What stands for floats beside integers or texts of other files, so that none of them loses a digit or a zero.

    Raises:
        Undecided: one has lost some already.
    """
    floats = [column for column in known if column.is_float]
    wholes = [column for column in known if column.is_exact and _is_whole(connection, column)]
    texts = [column for column in known if column.dtype == "VARCHAR"]
    is_text = any(column.name in reading.texts for column in known)
    if texts and not is_text:
        _refuse_zeros(connection, [column for column in known if column.is_float or column.is_exact], texts, reading)
    if not floats or not (wholes or texts):
        return {}
    if texts or is_text or all(_is_whole(connection, column) for column in floats):
        for column in floats:
            _refuse_rounded(connection, column, wholes or texts)
        return {column: _digits(column.name, as_text=bool(texts) or is_text) for column in floats}
    # A fraction makes floats of all.
    for column in wholes:
        _refuse_rounded(connection, column, floats)
    return {column: f"{quoted(column.name)}::double" for column in floats}


def _digits(name: str, *, as_text: bool) -> str:
    """Floats that are whole numbers by their digits, 17.0 as 17."""
    column = quoted(name)
    return digits_of_floats(name) if as_text else f"case when isfinite({column}) then {column}::bigint end"


def _is_whole(connection: duckdb.DuckDBPyConnection, column: _Column) -> bool:
    """Whether all values are whole numbers."""
    name = quoted(column.name)
    if column.is_exact and (not column.dtype.startswith("DECIMAL") or column.dtype.endswith(",0)")):
        return True
    odd = f"{name} <> trunc({name})"
    if column.is_float:
        odd = f"not isnan({name}) and (isinf({name}) or {odd})"
    return _first(connection, column, odd) is None


def _refuse_rounded(connection: duckdb.DuckDBPyConnection, column: _Column, others: Sequence[_Column]) -> None:
    """Refuse a column of whole numbers that its floats have rounded, or that those of other files would round.

    Raises:
        Undecided: naming the first of them.
    """
    name = quoted(column.name)
    most, is_number = (column.whole_up_to, f"isfinite({name}) and") if column.is_float else (FLOAT_WHOLE, "")
    if (place := _first(connection, column, f"{is_number} abs({name}) > {most}")) is None:
        return
    kind = "texts" if others[0].dtype == "VARCHAR" else "integers" if others[0].is_exact else "fractions"
    own, lost = ("floats", "have lost") if column.is_float else ("integers", "would lose")
    raise Undecided(
        f"{column.name} has {own} beyond 2^{most.bit_length() - 1} in {column.file.name} (such as {place}), and {kind} "
        f"in {others[0].file.name}: as floats they {lost} their last digits. If the column names things, write it as "
        "integers or as text in all files (pandas keeps integers beside missing values in Int64); if it measures "
        "something, as 64-bit floats in all. Nothing was written."
    )


def _refuse_zeros(
    connection: duckdb.DuckDBPyConnection, numbers: Sequence[_Column], texts: Sequence[_Column], reading: Reading
) -> None:
    """Refuse a number of one file that may be a text of another without its leading zeros.

    Numbers of as many digits as these texts have lost none: of 01234 and 56789 each has five.

    Raises:
        Undecided: naming the first of both.
    """
    for text in texts:
        name = quoted(text.name)
        is_led = f"regexp_full_match({name}, {_LED})"
        if (led := _first(connection, text, is_led)) is None:
            continue
        longest = f"select max(length(trim({name}))) from {_read(text.file)} where {is_led}"
        (digits,) = connection.execute(longest).fetchall()[0]
        for number in numbers:
            column = quoted(number.name)
            short = _first(connection, number, f"{column} >= 0 and {column} < {10 ** (min(digits, 18) - 1)}")
            if short is not None:
                raise Undecided(
                    f"{text.name} has numbers in {number.file.name} (such as {short}) and texts with leading zeros in "
                    f"{text.file.name} (such as {led}): whether 7 is 007 nobody can tell. Write the column as text, "
                    f"with its zeros, in all files; if these are different things, "
                    f"say {reading.remedies.text.format(name=text.name)}. Nothing was written."
                )


def _type_note(known: Sequence[_Column]) -> list[str]:
    """A sentence on a column that is text in some files and numbers in others."""
    text = next((column for column in known if column.dtype == "VARCHAR"), None)
    number = next((column for column in known if column.is_float or column.is_exact), None)
    if text is None or number is None:
        return []
    return [
        f"{text.name} is numbers in {number.file.name} and texts in {text.file.name}: it is read as text in all files."
    ]


def _first(connection: duckdb.DuckDBPyConnection, column: _Column, condition: str) -> str | None:
    """The first value for which a condition holds, with its row; None where there is none."""
    name = quoted(column.name)
    value = f"printf('%.0f', {name})" if column.is_float else f"{name}::varchar"
    row = quoted(free_name("the row", [column.name]))
    rows = connection.execute(
        f"select {value}, {row} from (select {name}, row_number() over () - 1 as {row} from {_read(column.file)}) "
        f"where {condition} order by {row} limit 1"
    ).fetchall()
    return "".join(f"{shown(text)} in {row_numbers([row])}" for text, row in rows) or None


def _has_values(connection: duckdb.DuckDBPyConnection, column: _Column) -> bool:
    """Whether anything but missing values stands in it; to some writers they are NaN."""
    name = quoted(column.name)
    is_value = f"{name} is not null"
    if column.dtype in ("FLOAT", "DOUBLE"):
        is_value = f"not isnan({name})"
    elif column.dtype == "VARCHAR":
        is_value = f"not {is_blank(name)}"
    query = f"select exists (select 1 from {_read(column.file)} where {is_value})"
    return bool(connection.execute(query).fetchall()[0][0])


def _way(file: Path, changes: Mapping[str, str]) -> str:
    """All columns of a file that are data, some of them changed."""
    left_out = ", ".join(map(quoted, row_numbers_in(pq.read_schema(file))))
    return "*" + (f" exclude ({left_out})" if left_out else "") + _replaced(changes)


def _replaced(changes: Mapping[str, str]) -> str:
    values = ", ".join(f"{value} as {quoted(name)}" for name, value in changes.items())
    return f" replace ({values})" if values else ""


def _read(file: Path) -> str:
    read = f"read_parquet({literal(exact(file))}, hive_partitioning = false)"
    return f"(select *{_replaced(lengths)} from {read})" if (lengths := _lengths(file)) else read


def _lengths(file: Path) -> dict[str, str]:
    """Columns of lengths of time, which are integers to DuckDB, as landing writes them: 0 days 00:01:30."""
    durations = (field for field in pq.read_schema(file) if pa.types.is_duration(field.type))
    return {field.name: _length(quoted(field.name), _PER_SECOND[field.type.unit]) for field in durations}


def _length(column: str, per_second: int) -> str:
    """A length of time, counted in parts of a second, as the text that pandas gives it."""
    day = 86_400 * per_second
    rest = f"((({column} % {day}) + {day}) % {day})"
    days, seconds = f"(({column} - {rest}) // {day})", f"({rest} // {per_second})"
    after = f"({rest} % {per_second} * {10**9 // per_second})"
    clock = f"if({days} < 0, '+', ''), {seconds} // 3600, {seconds} // 60 % 60, {seconds} % 60"
    return (
        f"printf('%d days %s%02d:%02d:%02d', {days}, {clock}) || case when {after} = 0 then '' "
        f"when {after} % 1000 = 0 then printf('.%06d', {after} // 1000) else printf('.%09d', {after}) end"
    )
