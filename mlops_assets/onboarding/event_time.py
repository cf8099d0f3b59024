"""Which of several times of a row says when it is about: the one at which a prediction is needed.

Here: choosing it, where a person says nothing. Not here: which columns are times, and how they are read (`times`).

A row that has `opened` and `closed_at` is about the moment at which it was opened: what comes later is not known then.
"""

from __future__ import annotations

from dataclasses import replace

from mlops_assets.onboarding.columns import USUAL_TIME
from mlops_assets.onboarding.reading.table import Table
from mlops_assets.onboarding.times import TimeColumn, time_column

_LONG_AGO = 0.25
"""A time that lies further before the other, on average and in shares of the table's history, is no beginning of what
the row is about: a date of birth, or since when somebody is a customer."""


def event_time(table: Table, asked: str | None, zone: str) -> TimeColumn:
    """The column that was asked for; else the likeliest, or one that is never later and begins what it ends.

    Raises:
        NoTime: there is none, or it is missing in some rows.
    """
    chosen = time_column(table, asked, zone)
    if asked is not None or USUAL_TIME.fullmatch(chosen.name):
        return chosen
    names = (chosen.name, *chosen.others)
    for name in chosen.others:
        other = time_column(table, name, zone)
        if _begins(table, other, chosen):
            chosen = other
    others = tuple(name for name in names if name != chosen.name)
    later = tuple(name for name in others if _begins(table, chosen, time_column(table, name, zone)))
    return replace(chosen, others=others, later=later)


def _begins(table: Table, time: TimeColumn, other: TimeColumn) -> bool:
    """Whether a time is never later than another in a row, earlier in some, and not long before it.

    Where one of them tells days alone, days are compared: the day of a moment is no earlier time.
    """
    at, then = time.sql, other.sql
    if not (time.has_hours and other.has_hours):
        at, then = f"date_trunc('day', {at})", f"date_trunc('day', {then})"
    lag = f"avg(epoch({then}) - epoch({at}))"
    never_later, earlier, is_near = table.first(
        f"select bool_and({at} <= {then}), bool_or({at} < {then}), "
        f"{lag} <= {_LONG_AGO} * (max(epoch({then})) - min(epoch({then}))) from {table.relation}"
    )
    return bool(never_later and earlier and is_near)
