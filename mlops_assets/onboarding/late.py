"""Labels that come in a table of their own, later than the rows they are about.

Here: reading that table, joining it to the rows so that both can be looked at together. Not here: what the label
makes of the model (`labels`), the source that it becomes (`files`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlops_assets.core.values.display import shown
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.calendar import refuse_strays
from mlops_assets.onboarding.reading.instructions import Reading
from mlops_assets.onboarding.reading.table import TABLE, Table, by_digits, facts_of, read_table
from mlops_assets.onboarding.times import TimeColumn, time_column

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
        raise CannotJoin(f"{typed('--key', key)}: rows have {', '.join(rows.facts)}; labels {', '.join(table.facts)}.")
    rows, table = by_digits(rows, key), by_digits(table, key)
    if table.facts[key].distinct < table.rows or rows.facts[key].distinct < rows.rows:
        twice = rows.repeated(key) or table.repeated(key)
        raise CannotJoin(
            f"{key} does not name one row each: {rows.rows:,} rows have {rows.facts[key].distinct:,} of it, "
            f"{table.rows:,} labels {table.facts[key].distinct:,}{twice and f'; {twice}'}. Correct these rows, or name "
            "another with `--key`. Nothing was written."
        )
    at = time_column(table, known, zone)
    refuse_strays(table, at)
    rest = [name for name in table.facts if name not in (key, at.name)]
    column = label or _only(rest, "label among its columns", "--label")
    if column not in rest or column in rows.facts:
        raise CannotJoin(
            f"{typed('--label', column)}: name one of {', '.join(rest)}, which the rows do not have themselves."
        )
    joined = (
        f"create or replace table {JOINED} as select {TABLE}.*, labels.{quoted(column)} from {TABLE} "
        f"left join {LABELS} as labels on {TABLE}.{quoted(key)}::varchar = labels.{quoted(key)}::varchar"
    )
    rows.connection.execute(joined)
    _refuse_other_spellings(rows, table, key)
    waited, unknown = _waits(rows, time, at, key, zone)
    labelled = replace(rows, facts=facts_of(rows.connection, JOINED), relation=JOINED)
    return rows, labelled, LateLabels(table, at, key, column, math.ceil(waited / 86_400), unknown)


def _refuse_other_spellings(rows: Table, labels: Table, key: str) -> None:
    """Refuse labels whose key is that of a row but for zeros, capitals, blanks, or the `.0` of a float.

    Raises:
        CannotJoin: naming the first of them and how many there are; or no label belongs to a row.
    """
    column = f"trim({quoted(key)}::varchar)"
    plain = rf"lower(regexp_replace({column}, '^0*([0-9]+)(\.0*)?$', '\1'))"
    named = f"select {quoted(key)}::varchar as key, {plain} as plain, rowid as row from"
    query = (
        f"with happened as ({named} {TABLE}), known as ({named} {LABELS}), alone as (select * from known where key not "
        "in (select key from happened where key is not null)) select count(distinct alone.row), "
        "(select count(*) from alone), arg_min(happened.key, alone.row), arg_min(alone.key, alone.row), "
        "min(alone.row), arg_min(happened.row, alone.row) from alone join happened using (plain)"
    )
    alike, alone, theirs, own, row, other = rows.connection.execute(query).fetchall()[0]
    if alike:
        raise CannotJoin(
            f"{key} is {shown(own)!r} in {labels.place(f'rowid = {row}')}, and {shown(theirs)!r} in "
            f"{rows.place(f'rowid = {other}')}: {alike:,} of {labels.rows:,} labels belong to a row but for how the "
            "key is written (zeros, capitals, blanks). Write it alike in both, as text with its zeros. Nothing was "
            "written."
        )
    if alone == labels.rows:
        low, other_low = (shown(str(table.facts[key].low)) for table in (labels, rows))
        raise CannotJoin(
            f"None of {labels.rows:,} labels belongs to a row: {key} is such as {low!r} in the labels, and "
            f"{other_low!r} in the rows. Give the labels of these rows, or name "
            "another column with `--key`. Nothing was written."
        )


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
            "or name other columns with `--label-time` and --time. Nothing was written."
        )
    return float(longest or 0), int(unknown)


def _only(names: list[str], what: str, option: str) -> str:
    if len(names) != 1:
        hits = f"{len(names)}: {', '.join(names)}" if names else "none"
        raise CannotJoin(f"There must be one {what}, and there are {hits}. Name it with {option}. Nothing was written.")
    return names[0]
