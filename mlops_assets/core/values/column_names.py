"""Which names a column may have, wherever it comes from.

Here: what a heading must not hold, names and values that look alike, and text of data made harmless for a file that is
a template. Not here: the plain names that SQL takes (`onboarding.columns`), quoting (`sql`).

A heading reaches dbt's SQL and YAML and Dagster's YAML, and both are Jinja templates: what stands in `{{ }}` there is
run. Quotes protect from SQL and from YAML; from Jinja, which comes after both, nothing does.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from mlops_assets.core.values.display import shown

TEMPLATE_MARKS = ("{{", "{%", "{#")
LONGEST = 200
"""YAML takes keys of up to 1,024 characters, databases names of 63 to 255."""
OF_THE_LAKE = frozenset({"partition", "file_row_number"})
"""Columns that DuckDB adds to the rows of the lake when it reads them: each name only once in a table."""


_LATIN = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеоѕіјрсухԁԛԝհոսΑΒΕΖΗΙΚΜΝΟΡΤΥΧο", "ABESIJKMHOPCTYXaeosijpcyxdqwhnuABEZHIKMNOPTYXo"
)
"""Letters of other scripts that look as Latin ones do, of Unicode's confusables those that are the same in print."""


def look_of(text: str) -> str:
    """How a text looks: equal for two that differ only in characters that nobody sees, or that look the same.

    These are blanks around and between words, accents written as one character or two, characters without width, and
    letters of another script inside a Latin word.
    """
    seen = "".join(
        letter
        for letter in unicodedata.normalize("NFC", text)
        if letter.isspace() or unicodedata.category(letter) not in ("Cf", "Cc")
    )
    latin = seen.translate(_LATIN)
    # A word that is all in another script is what it looks like there.
    seen = latin if latin.isascii() or any("a" <= letter.casefold() <= "z" for letter in seen) else seen
    return " ".join((seen if seen.strip() else text).split())


def apart(texts: Iterable[str]) -> list[str]:
    """Texts that look alike, each so that it is seen how it differs, with what nobody sees as its code."""
    listed = list(texts)
    differs_in_case = len({" ".join(text.casefold().split()) for text in listed}) == 1
    return [repr(text) if differs_in_case else ascii(text) for text in map(shown, listed)]


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
