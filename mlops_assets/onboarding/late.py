"""Labels that come in a table of their own, later than the rows they are about.

Here: reading that table, joining it to the rows so that both can be looked at together. Not here: what the label
makes of the model (`labels`), the source that it becomes (`files`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.table import TABLE, Table, by_digits, facts_of, read_table
from mlops_assets.onboarding.texts import Reading
from mlops_assets.onboarding.times import TimeColumn, refuse_strays, time_column

LABELS = "labels_landed"
JOINED = "rows_with_labels"


class CannotJoin(ValueError):
    """The labels do not belong to the rows; the message ends in the remedy."""


@dataclass(frozen=True)
class LateLabels:
    """A table of labels.

    Attributes:
        table: its rows.
        time: when a label became known.
        key: the column that both tables have and that names a row.
        column: the label's.
        waits_days: the longest time from a row to its label, in days; a label of a day is known when that is over.
        unknown: labels whose row is not there.
    """

    table: Table
    time: TimeColumn
    key: str
    column: str
    waits_days: int
    unknown: int

    def known_sql(self, landed: str, zone: str) -> str:
        """When a label became known, over its landed time: at the end of its day, where only that was written."""
        if self.time.has_hours:
            return landed
        return f"(({landed} at time zone '{zone}')::date + 1)::timestamp at time zone '{zone}'"


def with_labels(
    rows: Table,
    time: TimeColumn,
    pattern: str,
    *,
    key: str | None,
    label: str | None,
    known: str | None,
    zone: str,
    reading: Reading,
) -> tuple[Table, Table, LateLabels]:
    """The rows, the same with the label as one more column, and the labels by themselves.

    Args:
        rows: without labels.
        time: of the rows.
        pattern: files of the labels.
        key: the column that both have; None: the only one.
        label: the column; None: the only one besides key and time.
        known: the column that says when a label became known; None: the likeliest.
        zone: of times without an offset.
        reading: how texts are to be read.

    Raises:
        CannotJoin: key or label cannot be told, or a row would get two labels.
    """
    table = read_table(pattern, reading=reading, beside=rows, relation=LABELS)
    key = key or _only([name for name in table.facts if name in rows.facts], "key that both tables have", "--key")
    if key not in table.facts or key not in rows.facts:
        raise CannotJoin(f"--key {key}: rows have {', '.join(rows.facts)}; labels {', '.join(table.facts)}.")
    rows, table = by_digits(rows, key), by_digits(table, key)
    if table.facts[key].distinct < table.rows or rows.facts[key].distinct < rows.rows:
        twice = rows.repeated(key) or table.repeated(key)
        raise CannotJoin(
            f"{key} does not name one row each: {rows.rows:,} rows have {rows.facts[key].distinct:,} of it, "
            f"{table.rows:,} labels {table.facts[key].distinct:,}{twice and f'; {twice}'}. Correct these rows, or name "
            "another with --key. Nothing was written."
        )
    at = time_column(table, known, zone)
    refuse_strays(table, at)
    rest = [name for name in table.facts if name not in (key, at.name)]
    column = label or _only(rest, "label among its columns", "--label")
    if column not in rest or column in rows.facts:
        raise CannotJoin(f"--label {column}: name one of {', '.join(rest)}, which the rows do not have themselves.")
    joined = (
        f"create or replace table {JOINED} as select {TABLE}.*, labels.{quoted(column)} from {TABLE} "
        f"left join {LABELS} as labels on {TABLE}.{quoted(key)}::varchar = labels.{quoted(key)}::varchar"
    )
    rows.connection.execute(joined)
    waited, unknown = _waits(rows, time, at, key, zone)
    found = replace(rows, facts=facts_of(rows.connection, JOINED), relation=JOINED)
    return rows, found, LateLabels(table, at, key, column, math.ceil(waited / 86_400), unknown)


def _waits(rows: Table, time: TimeColumn, at: TimeColumn, key: str, zone: str) -> tuple[float, int]:
    """The longest wait in seconds, and how many labels have no row."""
    end = at.sql if at.has_hours else f"timezone('{zone}', (timezone('{zone}', {at.sql}))::date + interval 1 day)"
    known = f"select {quoted(key)}::varchar as k, {end} as at from {LABELS}"
    happened = f"select {quoted(key)}::varchar as k, {time.sql} as at from {TABLE}"
    longest, early, unknown = rows.connection.execute(
        "select max(date_diff('second', happened.at, known.at)), count(*) filter (known.at < happened.at), "
        f"count(*) filter (happened.k is null) from ({known}) as known left join ({happened}) as happened using (k)"
    ).fetchall()[0]
    if early:
        raise CannotJoin(
            f"{early:,} labels are known before their row happens ({at.name} before {time.name}). Correct the times, "
            "or name other columns with --label-time and --time. Nothing was written."
        )
    return float(longest or 0), int(unknown)


def _only(names: list[str], what: str, option: str) -> str:
    if len(names) != 1:
        told = f"{len(names)}: {', '.join(names)}" if names else "none"
        raise CannotJoin(f"There must be one {what}, and there are {told}. Name it with {option}. Nothing was written.")
    return names[0]
