"""How the rows of a table lie in time.

Here: the days or months that they land by, gaps, rows that are far from all others. Not here: which column says when,
and how it is read (`times`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import accumulate, pairwise

from mlops_assets.core.sources.settings import ModelGrain, partition_end, partition_of
from mlops_assets.onboarding.reading.table import Table
from mlops_assets.onboarding.times import NoTime, TimeColumn

_LONG = 400
"""Days of history from which on rows are landed by month, unless they are asked for otherwise."""
STRAY_SHARE = 0.01
"""So few rows far from all others are no history: they are rows without a time, as some program writes it."""
STRAY_GAP = 366
"""Days from them to the others, at least; and longer than all others together."""


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


def calendar(table: Table, time: TimeColumn, zone: str, asked: ModelGrain | None) -> Calendar:
    """How the rows lie in time, in days of a zone; the grain that was asked for, or one that suits them."""
    local = _day(f"timezone('{zone}', {time.sql})")
    counts = table.connection.execute(
        f"select {local} as day, count(*) from {table.relation} group by 1 order by 1"
    ).fetchall()
    days = {day: int(count) for day, count in counts}
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
    if span > _LONG or usual > 20:
        return "month"
    return "week" if usual > 5 else "day"


def refuse_strays(table: Table, time: TimeColumn) -> None:
    """Refuse a few rows whose time is far from that of all others.

    Raises:
        NoTime: naming the first of them.
    """
    counts = table.connection.execute(
        f"select {_day(time.sql)} as day, count(*) from {table.relation} group by 1 order by 1"
    ).fetchall()
    days = [day for day, _ in counts]
    until = list(accumulate(int(count) for _, count in counts))
    for cut in range(1, len(days)):
        before, after = until[cut - 1], until[-1] - until[cut - 1]
        few_first = before < after
        rest = (days[-1] - days[cut]).days if few_first else (days[cut - 1] - days[0]).days
        if min(before, after) <= STRAY_SHARE * table.rows and (days[cut] - days[cut - 1]).days > max(STRAY_GAP, rest):
            odd, last = (days[cut - 1], "before") if few_first else (days[cut], "after")
            place = table.place(f"{_day(time.sql)} = $day", {"day": odd})
            raise NoTime(
                f"{time.name} is {odd} in {place}, and {min(before, after):,} of {table.rows:,} rows lie "
                f"{abs((days[cut] - days[cut - 1]).days) // 365:,} years or more {last} all others. Correct or remove "
                f"what is no time of an event, or {table.texts.remedies.time}. Nothing was written."
            )


def _day(moment: str) -> str:
    """The day of a moment; in another zone those at the ends of the calendar lie beyond it."""
    return f"greatest(least(({moment})::date, date '{date.max}'), date '{date.min}')"
