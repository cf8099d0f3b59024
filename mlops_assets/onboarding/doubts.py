"""Columns that cannot have been known at the event, by what they hold.

Here: times after the event, columns that are there exactly where the label is, and near-perfect predictors of a sample.
Not here: how well a column predicts (`suspects`), what is done about it (`plan`).
"""

from __future__ import annotations

from mlops_assets.core.values.sql import free_name, quoted
from mlops_assets.onboarding.columns import role_of
from mlops_assets.onboarding.labels import Label
from mlops_assets.onboarding.suspects import SAMPLE, suspects
from mlops_assets.onboarding.table import Table
from mlops_assets.onboarding.times import TimeColumn


def doubted(table: Table, time: TimeColumn, label: Label) -> dict[str, str]:
    """Columns that were not known at the event, by what they hold: why."""
    found: dict[str, str] = {}
    rows = table.rows
    for name, facts in table.facts.items():
        if name in (time.name, label.name) or facts.missing == rows:
            continue
        column = quoted(name)
        if facts.is_time:
            later = _count(
                table, f"{column}::timestamptz > {time.sql}" + (" + interval '1 day'" if facts.dtype == "DATE" else "")
            )
            if later > 0.01 * (rows - facts.missing):
                found[name] = f"it lies after {time.name} in {later / (rows - facts.missing):.0%} of its rows"
        elif 0.01 < facts.missing_share < 0.99 and 0.01 < label.missing_share < 0.99:
            apart = _count(table, f"({column} is null) <> ({quoted(label.name)} is null)")
            if apart < 0.001 * rows:
                found[name] = "it is there exactly where the label is"
    sql = label.sql.replace("{column}", quoted(label.name))
    target = free_name("the label", table.facts)
    sample = table.connection.execute(
        f"select *, {sql} as {quoted(target)} from {table.relation} using sample {SAMPLE} rows (reservoir, 13)"
    ).df()
    judged = [
        n
        for n, f in table.facts.items()
        if n not in (time.name, label.name) and role_of(f)[0] != "left out" and not f.is_time
    ]
    return {**suspects(sample[judged], sample[target], label.task), **found}


def _count(table: Table, condition: str) -> int:
    return int(table.first(f"select count(*) from {table.relation} where {condition}")[0])
