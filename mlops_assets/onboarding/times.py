"""The time column: which one it is, and how its values are read.

Here: guessing and reading times in DuckDB, numbers that are times. Not here: how the rows lie in time (`calendar`),
other columns (`columns`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from mlops_assets.core.values.display import shown, some
from mlops_assets.core.values.number_times import COUNTED, DIGITS, YEARS, bounds, units_of
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import DATE_ORDERS, TIME_FORMATS, TIMES_IN_WORDS, TimeFormat
from mlops_assets.core.values.text_times import hint
from mlops_assets.onboarding.columns import TIME_NAMES, USUAL_TIME
from mlops_assets.onboarding.reading.places import names_in
from mlops_assets.onboarding.reading.table import Facts, Table, facts_of

_MANY = 20
"""Different numbers, each a year and a month: by chance one in eight is."""
_OFFSET = r"(Z|[+-]\d\d:\d\d(:\d\d)?)$"
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": 1_000_000_000}
_NEAR_EVENT = 10 * 365.25 * 86400
"""Seconds between an event and another time of its row, at most."""
_PACE = 0.5
"""Days more or fewer by which such times go on, a day."""


class NoTime(ValueError):
    """No column says when a row is about, or not in every row; the message ends in the remedy."""


@dataclass(frozen=True)
class TimeColumn:
    """The column that places rows in time.

    Attributes:
        name: as in the file.
        sql: an expression over the table: a moment (timestamptz).
        how: how it is read, for a person; empty where nothing is converted.
        has_hours: whether it tells more than days.
        others: columns that would do as well.
        unit: of numbers, as the contract says it.
        later: those of the others that it was preferred to, since it is never later than they are.
    """

    name: str
    sql: str
    how: str
    has_hours: bool
    others: tuple[str, ...] = ()
    unit: TimeFormat | None = None
    later: tuple[str, ...] = ()


def time_column(table: Table, asked: str | None, zone: str) -> TimeColumn:
    """The time column that was asked for, or the most likely one.

    Raises:
        NoTime: there is none, or it is missing in some rows.
    """
    names, elsewhere = [asked] if asked else _candidates(table), table.texts.remedies.time
    if asked is not None and asked not in table.facts:
        raise NoTime(
            f"There is no column {asked!r} to take the time from; there are {', '.join(table.facts)}. Correct its "
            f"name in the file, or {elsewhere}. Nothing was written."
        )
    read = {name: time for name in names if (time := _read(table, table.facts[name], zone)) is not None}
    if read:
        missing = {name: _missing(table, time) for name, time in read.items()}
        # Of several, one that each row has; in the order of likelihood.
        name = next((name for name in read if not missing[name]), next(iter(read)))
        if missing[name]:
            _refuse_files_without(table, name)
            place = table.place(f"{read[name].sql} is null")
            verb = "has" if missing[name] == 1 else "have"
            raise NoTime(
                f"{missing[name]:,} of {table.rows:,} rows {verb} no time in {name}, "
                f"the first of them {place}: such rows are often empty or totals. Remove these rows, or {elsewhere}. "
                "Nothing was written."
            )
        return replace(read[name], others=tuple(other for other in read if other != name and not missing[other]))
    for name in names:
        if (text := table.texts.unread.get(name)) and (asked or TIME_NAMES.search(name)):
            place = table.place(f"trim({quoted(name)}) = $text", {"text": text})
            said = hint(text)
            raise NoTime(
                f"{name} is {shown(text)!r} in {place}, which is no time{said and f' ({said})'}. Correct or remove "
                f"that row, or {elsewhere}. Nothing was written."
            )
        facts = table.facts[name]
        if facts.is_number and (asked or TIME_NAMES.search(name)) and (said := _odd_number(table, facts)):
            raise NoTime(said)
    if asked:
        example = table.facts[asked].low or ""
        said = hint(example)
        raise NoTime(
            f"{asked} holds no times that can be read, such as {shown(example)!r}{said and f' ({said})'}. Write them "
            f"as 2024-01-31 or 2024-01-31T13:45:00Z, or {elsewhere}. Nothing was written."
        )
    raise NoTime(
        f"No column says when a row is about, among {', '.join(table.facts)}. A model is watched over time: add the "
        "time of the event as a column, or name it with `--time`. Nothing was written."
    )


def _refuse_files_without(table: Table, name: str) -> None:
    """Refuse a file that has no such column; often its first line is a row.

    Raises:
        NoTime: naming it, and the names that it has.
    """
    for file in table.files:
        names = list(names_in(file).values())
        if name.casefold() not in map(str.casefold, names):
            raise NoTime(
                f"{file.name} has no column {name}, but {some([shown(other) for other in names], 4)}: if these are "
                "values, its header is missing. Write the names of the columns into its first line, or leave the file "
                "out. Nothing was written."
            )


def _candidates(table: Table) -> list[str]:
    """Columns that may be the time, those called like one first; a text may be one whatever it is called."""
    times = [
        name
        for name, facts in table.facts.items()
        if facts.is_time
        or name in table.texts.mixed
        or name in table.texts.unread
        or (facts.is_number and TIME_NAMES.search(name))
    ]
    return sorted(
        times,
        key=lambda name: (not USUAL_TIME.fullmatch(name), not TIME_NAMES.search(name), not table.facts[name].is_time),
    )


def _missing(table: Table, time: TimeColumn) -> int:
    return int(table.first(f"select count(*) from {table.relation} where {time.sql} is null")[0])


def _read(table: Table, facts: Facts, zone: str) -> TimeColumn | None:
    column, name = quoted(facts.name), facts.name
    how = next((TIMES_IN_WORDS[order] for order in DATE_ORDERS if order == table.texts.formats.get(name)), "")
    if facts.dtype == "TIMESTAMP WITH TIME ZONE":
        return TimeColumn(name, column, how, has_hours=True)
    if facts.is_time:
        has_hours = facts.dtype == "TIMESTAMP" and _any(table, f"{column} <> date_trunc('day', {column})")
        return TimeColumn(name, f"timezone('{zone}', {column}::timestamp)", how, has_hours=has_hours)
    if name in table.texts.mixed:
        local = f"timezone('{zone}', {column}::timestamp)"
        sql = f"case when regexp_matches({column}, '{_OFFSET}') then {column}::timestamptz else {local} end"
        return TimeColumn(name, sql, "", has_hours=True)
    return _from_number(table, facts, zone, datetime.now(UTC)) if facts.is_number else None


def _from_number(table: Table, facts: Facts, zone: str, now: datetime | None) -> TimeColumn | None:
    """Times by the unit that all numbers of the column lie in, none of them after now where one is given.

    Raises:
        NoTime: they are times in several.
    """
    name, column = facts.name, quoted(facts.name)
    declared = next((unit for unit in TIME_FORMATS if unit == table.texts.formats.get(name)), None)
    units = _units(table, facts, now) if declared is None else [declared]
    if len(units) > 1:
        first = table.place(f"{column} is not null")
        raise NoTime(
            f"{name} can be read as {' or as '.join(TIMES_IN_WORDS[unit] for unit in units)} in all rows ({first}: "
            f"{hint(facts.low)}), and nobody can tell. Write the times as 2024-01-31T13:45:00Z, "
            f"or {table.texts.remedies.time}. Nothing was written."
        )
    unit = next(iter(units), None)
    if unit is None or unit in DATE_ORDERS or (facts.dtype == "DOUBLE" and unit in ("us", "ns")):
        return None
    if unit in DIGITS or unit == "excel":
        has_hours = "hh" in unit or (unit == "excel" and _any(table, f"{column} <> floor({column})"))
        return TimeColumn(
            name, f"timezone('{zone}', {_local(column, unit)})", TIMES_IN_WORDS[unit], has_hours, unit=unit
        )
    moment = {"s": f"{column} * 1000000", "ms": f"{column} * 1000", "us": column, "ns": f"{column} // 1000"}[unit]
    sql = f"make_timestamptz(round({moment})::bigint)"
    return TimeColumn(name, sql, TIMES_IN_WORDS[unit], has_hours=True, unit=unit)


def _units(table: Table, facts: Facts, now: datetime | None) -> list[TimeFormat]:
    """The units in which each number of a column is a time, none of them after now where one is given."""
    units = units_of(float(facts.low or 0), float(facts.high or 0), now)
    column = quoted(facts.name)
    return [unit for unit in units if not _any(table, f"{column} is not null and not {_is_time(column, unit, now)}")]


def counted_near(table: Table, facts: Facts, time: TimeColumn) -> TimeFormat | None:
    """The unit since 1970, or 1900, in which each number of a column is a time near its row's own event.

    Days as Excel counts them are also prices of houses: they must go on by a day a day.
    """
    value, event = quoted(facts.name), f"epoch({time.sql})"
    for unit in units_of(float(facts.low or 0), float(facts.high or 0)):
        if unit not in COUNTED or facts.distinct < _MANY // 2:
            continue
        per = _PER_SECOND.get(unit)
        seconds = f"{value} / {per}" if per else f"({value} - 25569) * 86400"
        far, slope = table.first(
            f"select max(abs({seconds} - {event})), regr_slope({seconds}, {event}) from {table.relation}"
        )
        if far is not None and far <= _NEAR_EVENT and (per or abs((slope or 0.0) - 1.0) <= _PACE):
            return unit
    return None


def seeming_unit(table: Table, facts: Facts, time: TimeColumn) -> TimeFormat | None:
    """The unit in which a column of numbers seems to hold times, by its name or by its values; a year alone is none."""
    if TIME_NAMES.search(facts.name):
        unit = next(iter(units_of(float(facts.low or 0), float(facts.high or 0))), None)
    else:
        unit = digits_of_dates(table, facts) or counted_near(table, facts, time)
    return None if unit == "yyyy" else unit


def digits_of_dates(table: Table, facts: Facts) -> TimeFormat | None:
    """The unit in which so many different numbers are all dates without anything between their digits that they are."""
    units = [unit for unit in _units(table, facts, None) if unit in DIGITS and unit != "yyyy"]
    return next((unit for unit in units if facts.distinct >= (_MANY if unit == "yyyymm" else _MANY // 2)), None)


def _is_time(column: str, unit: TimeFormat, now: datetime | None) -> str:
    """A condition: whether a number is a time of our days in this unit."""
    if unit in DIGITS:
        whole = f"{column} = floor({column})"
        return f"coalesce({whole} and year({_local(column, unit)}) between {YEARS[0]} and {YEARS[1]}, false)"
    least, most = bounds(unit, now)
    return f"{column} between {least!r} and {most!r}"


def _local(column: str, unit: TimeFormat) -> str:
    """A number as a time without a zone; NULL where it is none."""
    if unit == "excel":
        return f"timestamp '1899-12-30' + to_milliseconds(round({column} * 86400000)::bigint)"
    digits = f"try_cast({column} as bigint)::varchar"
    if unit == "yymmddhhmm":
        digits = f"printf('%010d', try_cast({column} as bigint))"
        digits = f"(case when {digits} >= '69' then '19' else '20' end || {digits})"
    width = len(unit) + 2 * (unit == "yymmddhhmm")
    return f"case when length({digits}) = {width} then try_strptime({digits}, '{DIGITS[unit]}') end"


def _odd_number(table: Table, facts: Facts) -> str:
    """A number that is no time in the unit in which most others are, with its row; empty where most are in none."""
    column = quoted(facts.name)
    now = datetime.now(UTC)
    counts = {unit: f"count(*) filter ({_is_time(column, unit, now)})" for unit in (*COUNTED, *DIGITS)}
    totals = table.first(f"select {', '.join(counts.values())} from {table.relation}")
    count, unit = max(zip(totals, counts, strict=True), key=lambda pair: pair[0])
    known = facts.rows - facts.missing
    if not known / 2 < count < known:
        return ""
    odd = f"{column} is not null and not {_is_time(column, unit, now)}"
    value = table.first(f"select arg_min({column}, rowid) from {table.relation} where {odd}")[0]
    said = hint(value)
    return (
        f"{facts.name} is {value} in {table.place(odd)}{said and f' ({said})'}, where {count:,} of {facts.rows:,} rows "
        f"have {TIMES_IN_WORDS[unit]}, none of them after today. Correct or remove that row, or "
        f"{table.texts.remedies.time}. Nothing was written."
    )


def with_moments(table: Table, names: Sequence[str], zone: str) -> Table:
    """The same table with times in the place of numbers that a person says are times.

    Raises:
        NoTime: there is no such column, or its numbers are no times in one unit.
    """
    formats, notes = dict(table.texts.formats), list(table.texts.notes)
    for name in names:
        facts = table.facts.get(name)
        time = _from_number(table, facts, zone, None) if facts is not None and facts.is_number else None
        if time is None or time.unit is None:
            raise NoTime(
                f"{typed('--moment', name)}: name a column of numbers that are times in one unit, such as seconds "
                "since 1970 or days as Excel counts them. Nothing was written."
            )
        change = f"alter {quoted(name)} type timestamp with time zone using {time.sql}"
        table.connection.execute(f"alter table {table.relation} {change}")
        formats[name] = time.unit
        notes.append(f"{name} has {TIMES_IN_WORDS[time.unit]}; its `format` in the YAML says so.")
    if not names:
        return table
    texts = replace(table.texts, formats=formats, notes=tuple(notes))
    return replace(table, facts=facts_of(table.connection, table.relation), texts=texts)


def _any(table: Table, condition: str) -> bool:
    return bool(table.first(f"select exists(select 1 from {table.relation} where {condition})")[0])
