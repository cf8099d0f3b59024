"""The time column: which one it is, how its values are read, how the rows lie in time.

Here: guessing and reading times in DuckDB, the grain, gaps. Not here: other columns (`columns`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise

from mlops_assets.core.source_settings import ModelGrain, partition_end, partition_of
from mlops_assets.core.sql import quoted
from mlops_assets.onboarding.columns import TIME_NAMES, USUAL_TIME
from mlops_assets.onboarding.table import Facts, Table

LONG = 400
"""Days of history from which on rows are landed by month, unless they are asked for otherwise."""
_DAYS = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
_TEXTS = (
    "%Y-%m-%dT%H:%M:%S%z",
    *(f"{day}{clock}" for day in _DAYS for clock in (" %H:%M:%S", " %H:%M", "")),
    *("%Y-%m", "%b %Y", "%d %b %Y"),
)
"""Forms in which times are written, tried in this order."""


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
    """

    name: str
    sql: str
    how: str
    has_hours: bool
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Calendar:
    """How the rows lie in time.

    Attributes:
        grain: length of a partition.
        rows: rows of each partition that has any, by its first day.
        days: how many calendar days have rows.
        first: first day with rows.
        last: last day with rows.
    """

    grain: ModelGrain
    rows: dict[date, int]
    days: int
    first: date
    last: date

    @property
    def span(self) -> int:
        """Days from the first to the last, both included."""
        return (self.last - self.first).days + 1

    @property
    def gaps(self) -> list[tuple[date, date]]:
        """Stretches without a partition: the first missing one, and the one that ends it."""
        following = [(partition_end(day, self.grain), other) for day, other in pairwise(self.rows)]
        return [(missing, other) for missing, other in following if missing != other]


def time_column(table: Table, asked: str | None, zone: str) -> TimeColumn:
    """The time column that was asked for, or the most likely one.

    Raises:
        NoTime: there is none, or it is missing in some rows.
    """
    if asked is not None and asked not in table.facts:
        raise NoTime(f"There is no column {asked!r} to take the time from; there are {', '.join(table.facts)}.")
    names = [asked] if asked else _candidates(table)
    read = {name: found for name in names if (found := _read(table, table.facts[name], zone)) is not None}
    if read:
        missing = {name: _missing(table, found) for name, found in read.items()}
        # Of several, one that each row has; in the order of likelihood.
        name = next((name for name in read if not missing[name]), next(iter(read)))
        if missing[name]:
            raise NoTime(
                f"{missing[name]:,} of {table.rows:,} rows have no time in {name}. Remove these rows, or name another "
                "column with --time. Nothing was written."
            )
        return replace(read[name], others=tuple(other for other in read if other != name and not missing[other]))
    if asked:
        example = table.facts[asked].low
        raise NoTime(
            f"{asked} holds no times that can be read (such as {example!r}). Write them as 2024-01-31 or "
            "2024-01-31T13:45:00Z, or name another column with --time. Nothing was written."
        )
    raise NoTime(
        f"No column says when a row is about, among {', '.join(table.facts)}. A model is watched over time: add the "
        "time of the event as a column, or name it with --time. Nothing was written."
    )


def calendar(table: Table, time: TimeColumn, zone: str, asked: ModelGrain | None) -> Calendar:
    """How the rows lie in time, in days of a zone; the grain that was asked for, or one that suits them."""
    found = table.connection.execute(
        f"select (timezone('{zone}', {time.sql}))::date as day, count(*) from {table.relation} group by 1 order by 1"
    ).fetchall()
    days = {day: int(count) for day, count in found}
    first, last = min(days), max(days)
    grain = asked or _grain(list(days))
    rows: dict[date, int] = {}
    for day, count in days.items():
        key = partition_of(day, grain)
        rows[key] = rows.get(key, 0) + count
    return Calendar(grain, rows, len(days), first, last)


def _grain(days: list[date]) -> ModelGrain:
    span = (days[-1] - days[0]).days + 1
    usual = span / len(days)
    if span > LONG or usual > 20:
        return "month"
    return "week" if usual > 5 else "day"


def _candidates(table: Table) -> list[str]:
    """Columns that may be the time, those called like one first; a text may be one whatever it is called."""
    times = [
        name
        for name, facts in table.facts.items()
        if facts.is_time or facts.dtype == "VARCHAR" or (facts.dtype == "BIGINT" and TIME_NAMES.search(name))
    ]
    return sorted(
        times,
        key=lambda name: (not USUAL_TIME.fullmatch(name), not TIME_NAMES.search(name), not table.facts[name].is_time),
    )


def _missing(table: Table, time: TimeColumn) -> int:
    return int(table.first(f"select count(*) from {table.relation} where {time.sql} is null")[0])


def _read(table: Table, facts: Facts, zone: str) -> TimeColumn | None:
    column = quoted(facts.name)
    if facts.dtype == "TIMESTAMP WITH TIME ZONE":
        return TimeColumn(facts.name, column, "", has_hours=True)
    if facts.is_time:
        has_hours = facts.dtype == "TIMESTAMP" and _any(table, f"{column} <> date_trunc('day', {column})")
        return TimeColumn(facts.name, f"timezone('{zone}', {column}::timestamp)", "", has_hours=has_hours)
    if facts.dtype == "VARCHAR":
        return _from_text(table, facts.name, column, zone)
    return _from_number(facts, column, zone) if facts.dtype == "BIGINT" else None


def _from_text(table: Table, name: str, column: str, zone: str) -> TimeColumn | None:
    for form in _TEXTS:
        read = f"try_strptime({column}, '{form}')"
        if not _any(table, f"{column} is not null and {read} is null"):
            aware = "%z" in form
            sql = f"try_strptime({column}, '{form}')" if aware else f"timezone('{zone}', {read})"
            return TimeColumn(name, sql, f"texts written as {form}", has_hours="%H" in form)
    return None


def _from_number(facts: Facts, column: str, zone: str) -> TimeColumn | None:
    low, high = int(facts.low or 0), int(facts.high or 0)
    if low >= 19000101 and high <= 21001231:
        read, how, hours = f"strptime({column}::varchar, '%Y%m%d')", "numbers such as 20240131", False
    elif low >= 190001 and high <= 210012:
        read, how, hours = f"strptime({column}::varchar, '%Y%m')", "numbers such as 202401", False
    elif low >= 1900 and high <= 2100:
        read, how, hours = f"make_timestamp({column}, 1, 1, 0, 0, 0)", "years", False
    elif low >= 500_000_000 and high <= 5_000_000_000:
        return TimeColumn(facts.name, f"to_timestamp({column})", "seconds since 1970", has_hours=True)
    elif low >= 500_000_000_000 and high <= 5_000_000_000_000:
        return TimeColumn(facts.name, f"to_timestamp({column} / 1000)", "milliseconds since 1970", has_hours=True)
    else:
        return None
    return TimeColumn(facts.name, f"timezone('{zone}', {read})", how, has_hours=hours)


def _any(table: Table, condition: str) -> bool:
    return bool(table.first(f"select exists(select 1 from {table.relation} where {condition})")[0])
