"""Whether a column names rows and measures nothing: ids, counters, keys.

Here: the rule, for a new model's columns and for drift between files. Not here: counting (`onboarding.table`,
`drift.sampled_grid`).
"""

from __future__ import annotations

import re

ID_NAMES = re.compile(
    r"(^|[^a-z])(id|ids|key|uuid|guid|index|no|nr|number|rowid)$|(?-i:(?<=[a-z])(Id|Ids|ID|Key|No|Nr|Number))$|^(id|unnamed)",
    re.IGNORECASE,
)
"""Names of columns that name rows or things."""
FEWEST = 20
"""Values below which nothing is said."""
NEARLY_ALL = 0.95
"""Share of the rows with a value of their own, at least."""
GAPS = 1.2
"""Whole numbers of a counter span so many times their number at most."""


def names_rows(name: str, *, distinct: int, known: int, span: float | None = None) -> bool:
    """Whether (nearly) every value is there once, and is text, or a whole number without gaps or of a name like id.

    Args:
        name: of the column.
        distinct: different values.
        known: rows with a value.
        span: of whole numbers the largest less the smallest, plus one; None for texts.
    """
    if distinct < max(FEWEST, NEARLY_ALL * known):
        return False
    return span is None or bool(ID_NAMES.search(name)) or span <= GAPS * distinct
