"""Which names a column may have, wherever it comes from.

Here: what a heading must not hold, and text of data made harmless for a file that is a template. Not here: the plain
names that SQL takes (`onboarding.columns`), quoting (`sql`).

A heading reaches dbt's SQL and YAML and Dagster's YAML, and both are Jinja templates: what stands in `{{ }}` there is
run. Quotes protect from SQL and from YAML; from Jinja, which comes after both, nothing does.
"""

from __future__ import annotations

import unicodedata

TEMPLATE_MARKS = ("{{", "{%", "{#")
LONGEST = 200
"""YAML takes keys of up to 1,024 characters, databases names of 63 to 255."""
OF_THE_LAKE = frozenset({"partition", "file_row_number"})
"""Columns that DuckDB adds to the rows of the lake when it reads them: each name only once in a table."""


def has_template(text: str) -> bool:
    """Whether Jinja would run some of a text."""
    return any(mark in text for mark in TEMPLATE_MARKS)


def without_template(text: str) -> str:
    """A text that people read, with a space in each mark of Jinja, so that none of it is run."""
    for mark in TEMPLATE_MARKS:
        # Twice, for `{{{` holds the mark again once its first is apart.
        text = text.replace(mark, f"{mark[0]} {mark[1]}").replace(mark, f"{mark[0]} {mark[1]}")
    return text


def fault_of_name(name: str) -> str:
    """Why a column cannot be called so, with the remedy; empty if it can."""
    if not name.strip():
        return "has no name: write one into the header"
    if name.casefold() in OF_THE_LAKE:
        return f"is called {name}, which the lake needs for itself: rename it"
    if len(name) > LONGEST:
        return f"has a name of {len(name):,} characters: shorten it to {LONGEST}"
    if has_template(name):
        return (
            f"has {' or '.join(TEMPLATE_MARKS)} in its name, which dbt and Dagster would run as a template: rename it"
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\t\n\r" for letter in name):
        return "has control characters in its name: rename it"
    return ""
