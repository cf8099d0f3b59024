"""What the text columns of a person's table are: times, numbers, or texts.

Here: deciding over all rows of all files how the times and numbers of a column are written, and asking where it stays
open. Not here: reading one text (`core.values.text_times`, `core.values.text_numbers`), other facts (`table`), strange
values (`oddities`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from mlops_assets.core.sources.contract import Column
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import (
    DATE_ORDERS,
    MISSING,
    NUMBER_FORMATS,
    NUMBERS_IN_WORDS,
    TIMES_IN_WORDS,
    DateOrder,
    Mark,
    NumberFormat,
)
from mlops_assets.core.values.text_numbers import NumberTexts, in_doubt, plain_numbers, read_number
from mlops_assets.core.values.text_times import TimeTexts, read_text, read_times
from mlops_assets.world.files.text_columns import Reader, look_at_texts, replace_texts


class Undecided(ValueError):
    """Texts can be read in two ways, or in none; the message ends in the remedy."""


@dataclass(frozen=True)
class Reading:
    """How the texts of a table are to be read, as far as a person or a contract says.

    Attributes:
        zone: in which times without an offset are read where others of their column have one; None: not known yet.
        missing: texts that mean missing.
        date_order: whether day or month stands first where the year stands last.
        decimal: the decimal mark.
        declared: columns of the contract, for a source that has one.
    """

    zone: str | None = None
    missing: tuple[str, ...] = MISSING
    date_order: DateOrder | None = None
    decimal: Mark | None = None
    declared: Mapping[str, Column] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """Columns that are declared as texts: they are left as they are."""
        return [name for name, column in self.declared.items() if column.type == "string"]


@dataclass(frozen=True)
class Texts:
    """What was decided about the text columns.

    Attributes:
        formats: column -> how it is written, as the contract says it; those that need no word are not in it.
        notes: what was assumed.
        warnings: what to look at.
        unread: column -> a text that is no time or number, where nearly all others of the column are.
        mixed: columns of times of which some have an offset and some wait for a zone: texts still, in ISO 8601.
    """

    formats: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unread: dict[str, str] = field(default_factory=dict)
    mixed: frozenset[str] = frozenset()


def settle_texts(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str], reading: Reading) -> Texts:
    """Write times and numbers in the place of the texts that tell them.

    Args:
        connection: of the table.
        table: its name.
        columns: those of type VARCHAR.
        reading: what is known.

    Raises:
        Undecided: day and month, or decimal point and comma, can be told either way.
    """
    looks = {name: look_at_texts(connection, table, name) for name in columns if name not in reading.texts}
    times = {name: look for name, look in looks.items() if isinstance(look, TimeTexts)}
    numbers = {name: look for name, look in looks.items() if isinstance(look, NumberTexts)}
    unread = {name: look.unread[0] for name, look in looks.items() if look is not None and look.failed}
    formats: dict[str, str] = {name: column.format for name, column in reading.declared.items() if column.format}
    notes, warnings = list[str](), list[str]()
    readers: dict[str, tuple[Reader, pa.DataType]] = {}
    proven = {look.order for look in times.values()} - {None}
    for name, time in times.items():
        if name in unread or not time.count:
            continue
        order = _order(name, time, reading, proven)
        readers[name] = _time_reader(time, order, reading.zone)
        if order is not None:
            formats[name] = order
            notes.append(f"{name} has {TIMES_IN_WORDS[order]}{_proof(time, order)}; its `format` in the YAML says so.")
    marks = {look.mark for look in numbers.values()} - {None}
    for name, number in numbers.items():
        if name in unread or number.special is None:
            continue  # digits that stand as texts are codes, whose zeros and length count
        if number.why_not:
            warnings.append(f"{name} holds numbers and is taken as texts, since {number.why_not}.")
            continue
        written = number.format(_mark(name, number, reading, marks))
        if number.either:
            _refuse_doubts(connection, table, name, written)
        formats[name] = written
        readers[name] = (_number_reader(written), pa.float64())
        notes.append(f"{name} has {NUMBERS_IN_WORDS[written]}; its `format` in the YAML says so.")
        if number.bracketed:
            read = read_number(number.bracketed, written)
            notes.append(f"{name} has numbers in brackets, read as below zero: {number.bracketed} is {read}.")
    replace_texts(connection, table, readers)
    mixed = frozenset(name for name, (_, kind) in readers.items() if name in times and kind == pa.string())
    return Texts(formats, tuple(notes), tuple(warnings), unread, mixed)


def _order(name: str, look: TimeTexts, reading: Reading, proven: set[Any]) -> DateOrder | None:
    """Whether day or month stands first in a column; None where the year does, in all of its texts."""
    if not look.needs_order:
        return None
    declared: Any = reading.declared[name].format if name in reading.declared else None
    asked: DateOrder | None = declared if declared in DATE_ORDERS else reading.date_order
    against = {"dmy": look.month_first, "mdy": look.day_first}
    if look.day_first and look.month_first:
        raise Undecided(
            f"{name} has dates with the day first ({look.day_first}) and with the month first ({look.month_first}): "
            "nobody can tell which the others are. Write all as 2024-01-31. Nothing was written."
        )
    if asked is not None and against[asked]:
        raise Undecided(
            f"{name} has {against[asked]}, which is no date with the {'day' if asked == 'dmy' else 'month'} first, as "
            f"{asked} says. Correct it, or --date-order (`format` in the contract). Nothing was written."
        )
    if (order := asked or look.order) is not None:
        return order
    if len(proven) == 1:
        return next(iter(proven))
    raise Undecided(
        f"{name} has dates such as {look.either}, and no row tells whether the day or the month stands first. Say it: "
        "--date-order dmy or --date-order mdy. Nothing was written."
    )


def _proof(look: TimeTexts, order: DateOrder) -> str:
    proof = look.day_first if order == "dmy" else look.month_first
    return f", as {proof} shows" if proof else " (--date-order)"


def _time_reader(look: TimeTexts, order: DateOrder | None, zone: str | None) -> tuple[Reader, pa.DataType]:
    if look.aware and look.naive and zone is None:
        return lambda texts: pa.array([_iso(text, order) for text in texts], pa.string()), pa.string()
    if look.aware:
        return lambda texts: pa.array(read_times(texts, zone or "UTC", order)), pa.timestamp("us", tz="UTC")
    kind = pa.timestamp("us") if look.has_clock else pa.date32()
    # As they are written: their zone is not known here.
    return lambda texts: pa.array(read_times(texts, "UTC", order).dt.tz_localize(None)), kind


def _iso(text: str | None, order: DateOrder | None) -> str | None:
    """A time in ISO 8601, with an offset where it had one."""
    found = None if text is None else read_text(text, order)
    return found.isoformat() if found else None


def _mark(name: str, look: NumberTexts, reading: Reading, proven: set[Any]) -> Mark:
    """The decimal mark of a column."""
    declared: Any = reading.declared[name].format if name in reading.declared else None
    asked = declared.removesuffix(" %") if declared in NUMBER_FORMATS else reading.decimal
    against = {"point": look.comma, "comma": look.point}
    if asked is not None and against[asked]:
        raise Undecided(
            f"{name} has {against[asked]}, which is no number with a decimal {asked}. Correct it, or --decimal "
            "(`format` in the contract). Nothing was written."
        )
    mark = asked or look.mark or ("point" if look.either is None else None)
    if mark is None and len(proven) == 1:
        mark = next(iter(proven))
    if mark is None:
        raise Undecided(
            f"{name} has numbers such as {look.either}, and no row tells whether that is the decimal mark. Say it: "
            "--decimal comma or --decimal point. Nothing was written."
        )
    return mark


def _refuse_doubts(connection: duckdb.DuckDBPyConnection, table: str, name: str, written: NumberFormat) -> None:
    rows = connection.execute(f"select distinct trim({quoted(name)}) from {table} where {quoted(name)} is not null")
    doubted = in_doubt([text for (text,) in rows.fetchall()], written)
    if doubted:
        raise Undecided(
            f"{name} has numbers such as {min(doubted)}, which {NUMBERS_IN_WORDS[written]} have as thousands, beside "
            "others with three places behind the decimal mark. Write all with one mark. Nothing was written."
        )


def _number_reader(written: NumberFormat) -> Callable[[pd.Series], pa.Array]:
    return lambda texts: pa.array(pd.to_numeric(plain_numbers(texts, written)), pa.float64(), from_pandas=True)
