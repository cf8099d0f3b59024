"""What a spreadsheet leaves in a column of texts: its mark for texts, and numbers whose last digits it has left out.

Here: naming the first row of each, with the remedy. Not here: rounded numbers in a column of numbers (`merged_codes`),
days and serial numbers (`times`), rows and columns without a value (`reading`).
"""

from __future__ import annotations

import re

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.identifiers import NEARLY_ALL
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.odd.merged_codes import LEFT_OUT, ROUNDED
from mlops_assets.onboarding.reading.table import Facts, Table

_MARKED = "'=\"[^\"]*\"|''[^'']+'"
"""`=\"00123\"` and `'00123`, as SQL has it."""
_WHOLE = "'[0-9]{10,}'"
"""A number of so many digits that a narrow cell shows it rounded."""


def marked_texts(table: Table, facts: Facts) -> str:
    """What is said of texts with the mark by which a spreadsheet knows them, a part of the value to all else."""
    cell, count = _first(table, facts, _MARKED)
    if count < max(NEARLY_ALL * (facts.rows - facts.missing), 1):
        return ""
    plain = re.sub(r"^=\"|\"$|^'", "", cell)
    return (
        f"{facts.name} has {shown(cell)} in {_place(table, facts, _MARKED)}, as spreadsheets mark texts, and the mark "
        f"is part of the value: with tables that have {shown(plain)} it has nothing in common. Write it without, and "
        "keep the column as text."
    )


def rounded_texts(table: Table, facts: Facts) -> str:
    """What is said of rounded numbers among others that have all their digits."""
    cell, count = _first(table, facts, ROUNDED)
    if not count or not _first(table, facts, _WHOLE)[1]:
        return ""
    return f"{facts.name} has {cell} in {_place(table, facts, ROUNDED)}, in {counted(count, 'row')} in all, {LEFT_OUT}."


def _first(table: Table, facts: Facts, pattern: str) -> tuple[str, int]:
    """The first text of a column that a pattern fits, and how many it does."""
    if facts.dtype != "VARCHAR":
        return "", 0
    cell, cells = f"trim({quoted(facts.name)})", table.cells
    fits = f"regexp_full_match({cell}, {pattern})"
    first, count = table.first(f"select arg_min({cell}, {cells.row}), count(*) from {cells.numbered} where {fits}")
    return str(first or ""), int(count)


def _place(table: Table, facts: Facts, pattern: str) -> str:
    return table.place(f"regexp_full_match(trim({quoted(facts.name)}), {pattern})")
