"""What the text columns of a person's table are: times, numbers, or texts.

Here: deciding over all rows of all files how the times and numbers of a column are written, and asking where it stays
open. Not here: what a person says about it (`instructions`), reading one text (`core.values.text_times`,
`core.values.text_numbers`), other facts (`table`), strange values (`oddities`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa

from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import (
    DATE_ORDERS,
    NUMBER_FORMATS,
    NUMBERS_IN_WORDS,
    TIMES_IN_WORDS,
    DateOrder,
    Mark,
    NumberFormat,
)
from mlops_assets.core.values.text_numbers import NumberTexts, in_doubt, plain_numbers, read_number
from mlops_assets.core.values.text_times import TimeTexts, read_text, read_times
from mlops_assets.onboarding.reading.instructions import OPTIONS, Reading, Remedies, Undecided
from mlops_assets.onboarding.reading.places import Cells
from mlops_assets.world.files.text_columns import Reader, look_at_points, look_at_texts, replace_texts

Looks = Mapping[str, TimeTexts | NumberTexts | None]
"""What stands in a column of texts; None where most are neither times nor numbers."""


@dataclass(frozen=True)
class Texts:
    """What was decided about the text columns.

    Attributes:
        formats: column -> how it is written, as the contract says it; those that need no word are not in it.
        notes: what was assumed.
        warnings: what to look at.
        unread: column -> a text that is no time or number, where nearly all others of the column are.
        amounts: columns of texts that are numbers, all or nearly all of them: they name nothing.
        mixed: columns of times of which some have an offset and some wait for a zone: texts still, in ISO 8601.
        remedies: what a person can change.
    """

    formats: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unread: dict[str, str] = field(default_factory=dict)
    amounts: frozenset[str] = frozenset()
    mixed: frozenset[str] = frozenset()
    remedies: Remedies = OPTIONS


def looks_of(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str], reading: Reading) -> Looks:
    """What stands in columns of type VARCHAR, but for those that are declared as texts."""
    return {name: look_at_texts(connection, table, name) for name in columns if name not in reading.texts}


def has_commas(looks: Looks, reading: Reading) -> bool:
    """Whether a table has numbers with decimal commas."""
    return "comma" in {reading.decimal, *_marks(looks)}


def may_have_commas(looks: Looks) -> bool:
    """Whether a number with a decimal comma stands among words, where it proves nothing."""
    return any(look.comma for look in _numbers(looks).values() if look.failed)


def points_of(connection: duckdb.DuckDBPyConnection, texts: str, columns: list[str]) -> dict[str, NumberTexts]:
    """What the points say in columns that DuckDB takes for numbers, in a file whose decimal mark is a comma or open.

    Args:
        connection: of the table.
        texts: a table of the cells as they stand in the file.
        columns: of numbers.
    """
    looks = {name: look_at_points(connection, texts, name) for name in columns}
    return {name: look for name, look in looks.items() if not look.failed}


def _numbers(looks: Looks) -> dict[str, NumberTexts]:
    return {name: look for name, look in looks.items() if isinstance(look, NumberTexts)}


def _marks(looks: Looks) -> set[Mark]:
    """The decimal marks that are proven; among words a number proves nothing."""
    known = [look for look in _numbers(looks).values() if not look.failed and not look.triples]
    marks: dict[Mark, bool] = {"point": any(look.point for look in known), "comma": any(look.comma for look in known)}
    return {mark for mark, is_proven in marks.items() if is_proven}


def settle_texts(table: Cells, looks: Looks, reading: Reading, points: Mapping[str, NumberTexts]) -> Texts:
    """Write times and numbers in the place of the texts that tell them.

    Args:
        table: as it was read.
        looks: at the columns of type VARCHAR.
        reading: what is known.
        points: columns of numbers where the decimal mark is a comma or open. Where it is a comma, those with a point
            are of type VARCHAR: 2.989 is two thousand and more to whoever writes 3,5 beside it.

    Raises:
        Undecided: day and month, or decimal point and comma, can be told either way.
    """
    times = {name: look for name, look in looks.items() if isinstance(look, TimeTexts)}
    unread = {name: look.unread[0] for name, look in looks.items() if look is not None and look.failed}
    settled = _Found({name: column.format for name, column in reading.declared.items() if column.format})
    _settle_times(settled, {name: look for name, look in times.items() if name not in unread}, reading)
    has_comma = has_commas(looks, reading)
    # Beside points alone, which programs write, a text such as 1,234 is still asked about.
    proven = _marks(looks) | _marks(points)
    marks = proven if has_comma else _marks(looks)
    for name, look in _numbers(looks).items():
        _refuse_marks(table, name, look, reading)
        # Digits that stand as texts are codes, whose zeros and length count.
        if name in unread or (look.special is None and name not in reading.written):
            continue
        if look.why_not:
            settled.warnings.append(f"{name} holds numbers and is taken as texts, since {look.why_not}.")
            continue
        written = look.format(_mark(name, look, reading, marks))
        _refuse_doubts(table, name, look, written)
        if name not in reading.written:
            settled.number(name, look, written)
    for name, look in points.items():
        if not has_comma:
            if look.count and not reading.declared:
                _mark(name, look, reading, proven)
        elif look.count:
            # Where a point stands for sure, it does so whatever is asked for columns in doubt.
            settled.number(name, look, look.format("point" if look.point else _mark(name, look, reading, marks)))
        elif reading.decimal == "comma" or marks == {"comma"}:
            settled.formats[name] = "comma"  # so that 1.234 is read tomorrow as it would have been today
    replace_texts(table.connection, table.relation, settled.readers)
    mixed = frozenset(name for name, (_, kind) in settled.readers.items() if name in times and kind == pa.string())
    left = {name for name, look in _numbers(looks).items() if name in unread or (look.why_not and not look.triples)}
    return Texts(
        settled.formats, tuple(settled.notes), tuple(settled.warnings), unread, frozenset(left), mixed, reading.remedies
    )


@dataclass
class _Found:
    """What is decided, column by column."""

    formats: dict[str, str]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    readers: dict[str, tuple[Reader, pa.DataType]] = field(default_factory=dict)

    def number(self, name: str, look: NumberTexts, written: NumberFormat) -> None:
        """A column holds numbers that are written so."""
        self.formats[name] = written
        self.readers[name] = (_number_reader(written), pa.float64())
        either = f" ({look.either} is {read_number(look.either, written)})" if look.either else ""
        self.notes.append(f"{name} has {NUMBERS_IN_WORDS[written]}{either}; its `format` in the YAML says so.")
        if look.bracketed:
            read = read_number(look.bracketed, written)
            how = "in brackets" if look.bracketed.startswith("(") else "with a minus behind them"
            self.notes.append(f"{name} has numbers {how}, read as below zero: {look.bracketed} is {read}.")


def _settle_times(settled: _Found, times: Mapping[str, TimeTexts], reading: Reading) -> None:
    proven = {look.order for look in times.values()} - {None}
    for name, time in times.items():
        if not time.count:
            continue
        order = _order(name, time, reading, proven)
        settled.readers[name] = _time_reader(time, order, reading.zone)
        if order is not None:
            settled.formats[name] = order
            proof = _proof(time, order)
            settled.notes.append(f"{name} has {TIMES_IN_WORDS[order]}{proof}; its `format` in the YAML says so.")


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
            f"{asked} says. Correct it, or say otherwise: "
            f"{reading.remedies.for_orders(name, 'mdy' if asked == 'dmy' else 'dmy')}. Nothing was written."
        )
    if (order := asked or look.order) is not None:
        return order
    if len(proven) == 1:
        return next(iter(proven))
    raise Undecided(
        f"{name} has dates such as {look.either}, and no row tells whether the day or the month stands first. Say it: "
        f"{reading.remedies.for_orders(name, *DATE_ORDERS)}. Nothing was written."
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
    moment = None if text is None else read_text(text, order)
    return moment.isoformat() if moment else None


def _asked(name: str, reading: Reading) -> Mark | None:
    """The decimal mark that the contract or a person says a column has."""
    declared: Any = reading.declared[name].format if name in reading.declared else None
    return declared.partition(" ")[0] if declared in NUMBER_FORMATS else reading.decimal


def _refuse_marks(table: Cells, name: str, look: NumberTexts, reading: Reading) -> None:
    """Refuse a cell with the other decimal mark than the one that is said, and both marks in a column of numbers.

    Raises:
        Undecided: naming the cell.
    """
    if look.triples:
        return
    asked, marks = _asked(name, reading), {"point": look.point, "comma": look.comma}
    declared = name in reading.declared and reading.declared[name].type in ("number", "integer")
    if not declared and (look.special is None or look.failed):
        return
    other: Mark = "comma" if asked == "point" else "point"
    if asked and (odd := marks[other]):
        remedy = f"Correct it, or say otherwise: {reading.remedies.for_marks(name, other)}"
        if own := marks[asked]:
            remedy = f"{own} in {table.place_of(name, own)} has one: {_one_mark(name, reading)}"
        raise Undecided(
            f"{name} has {odd} in {table.place_of(name, odd)}, which is no number with a decimal {asked}. {remedy}. "
            "Nothing was written."
        )
    if look.point and look.comma:
        raise Undecided(
            f"{name} has a decimal point in {table.place_of(name, look.point)} ({look.point}) and a decimal comma in "
            f"{table.place_of(name, look.comma)} ({look.comma}): {_one_mark(name, reading)}. Nothing was written."
        )


def _one_mark(name: str, reading: Reading) -> str:
    """What to do about both marks in a column."""
    keep = (
        "" if name in reading.declared else f", or keep the column as text: {reading.remedies.text.format(name=name)}"
    )
    return f"write all with one mark{keep}"


def _mark(name: str, look: NumberTexts, reading: Reading, proven: set[Mark]) -> Mark:
    """The decimal mark of a column."""
    mark = _asked(name, reading) or look.mark or (next(iter(proven)) if len(proven) == 1 else None)
    if mark is None and look.either is None:
        return "point"
    if mark is None:
        remedy = f"Say it: {reading.remedies.for_marks(name, 'comma', 'point')}"
        if proven:
            remedy = "Others have decimal commas, and others decimal points: write all with one mark"
        raise Undecided(
            f"{name} has numbers such as {look.either}, and no row tells whether that is the decimal mark. {remedy}. "
            "Nothing was written."
        )
    return mark


def _refuse_doubts(table: Cells, name: str, look: NumberTexts, written: NumberFormat) -> None:
    if not look.either:
        return
    column = quoted(name)
    rows = table.connection.execute(f"select distinct trim({column}) from {table.relation} where {column} is not null")
    doubted = in_doubt([text for (text,) in rows.fetchall()], written)
    if doubted:
        raise Undecided(
            f"{name} has numbers such as {min(doubted)}, which {NUMBERS_IN_WORDS[written]} have as thousands, beside "
            "others with three places behind the decimal mark. Write all with one mark. Nothing was written."
        )


def _number_reader(written: NumberFormat) -> Callable[[pd.Series], pa.Array]:
    return lambda texts: pa.array(pd.to_numeric(plain_numbers(texts, written)), pa.float64(), from_pandas=True)
