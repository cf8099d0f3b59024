"""One value in several spellings: NYC and nyc, yes and Y, 7 and 007, words with characters that nobody sees.

Here: which texts of a column mean the same, and where they stand. Not here: columns of true and false in the spellings
that are read as such (`world.files.flag_columns`), what follows for a label (`labels`) or a feature (`oddities`).
"""

from __future__ import annotations

import re
from collections.abc import Collection

from mlops_assets.core.values.column_names import apart, look_of
from mlops_assets.core.values.display import some
from mlops_assets.core.values.exact import FALSE, TRUE
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.columns import MOST_CATEGORIES
from mlops_assets.onboarding.reading.table import Facts, Table

YES = TRUE | {"ja", "j", "oui", "si", "sí", "sì", "sim", "da", "tak", "on", "wahr", "vrai"}
NO = FALSE | {"nein", "non", "nee", "nej", "não", "nao", "nie", "ne", "off", "falsch", "faux"}
"""Words of a flag in the tables of several countries."""
_DIGITS = r"0*([0-9]+)(?:\.0)?"
"""A whole number as programs write it that keep its zeros, lose them, or make it a float."""
_MOST = 8
"""Values, and spellings of each, that a sentence names."""


def texts_of(table: Table, facts: Facts) -> Collection[str]:
    """The different texts of a column that may be a category; none of any other."""
    if facts.dtype != "VARCHAR" or facts.values or facts.distinct > MOST_CATEGORIES:
        return facts.values if facts.dtype == "VARCHAR" else ()
    column = quoted(facts.name)
    cursor = table.connection.execute(f"select distinct {column} from {table.relation} where {column} is not null")
    return [text for (text,) in cursor.fetchall()]


def spelled(texts: Collection[str]) -> list[list[str]]:
    """The texts that mean the same, of each meaning that has several."""
    flags = {text: _flag(text) for text in texts}
    words = {flag for text, flag in flags.items() if flag and text.strip().isalpha() and len(text.strip()) > 1}
    # One letter is a flag beside words alone: Y and yes are one, F and f may be sizes. Digits need more.
    are_flags, have_words = all(flags.values()), words == {"yes", "no"}
    meant: dict[str, list[str]] = {}
    for text in sorted(texts):
        is_one = are_flags or (have_words and text.strip().isalpha())
        number = re.fullmatch(_DIGITS, text.strip(), re.ASCII)
        plain = number[1] if number else look_of(text).casefold()
        meant.setdefault((flags[text] if is_one else "") or plain, []).append(text)
    return [spellings for spellings in meant.values() if len(spellings) > 1]


def spelled_numbers(table: Table, facts: Facts) -> list[list[str]]:
    """The texts that are one whole number, of each that has several, in a column that is no category."""
    if facts.dtype != "VARCHAR" or facts.distinct <= MOST_CATEGORIES:
        return []
    rows = table.connection.execute(
        f"with texts as (select distinct {quoted(facts.name)} as text from {table.relation}) "
        "select list(text order by length(text), text) from texts where regexp_full_match(trim(text), $digits) "
        "group by regexp_extract(trim(text), $digits, 1) having count(*) > 1 order by 1",
        {"digits": _DIGITS},
    )
    return [texts for (texts,) in rows.fetchall()]


def places_of(table: Table, facts: Facts, alike: list[list[str]]) -> str:
    """All spellings with the first row of each: `2 spellings of one value ('NYC' in row 1 of t.csv, ...)`."""
    column = quoted(facts.name)
    said = [
        some(
            [
                f"{where} in {table.place(f'{column} = $text', {'text': text})}"
                for text, where in zip(group, apart(group), strict=True)
            ],
            _MOST,
        )
        for group in alike[:_MOST]
    ]
    more = f", and several of {len(alike) - _MOST} more" if len(alike) > _MOST else ""
    values = (
        f"{len(group)}{' spellings' if not place else ''} of {'one value' if not place else 'another'} ({where})"
        for place, (group, where) in enumerate(zip(alike, said, strict=False))
    )
    return ", ".join(values) + more


def is_flag(texts: Collection[str]) -> bool:
    """Whether texts are a yes and a no, in any spellings, and nothing else."""
    return {_flag(text) for text in texts} == {"yes", "no"}


def is_answer(text: str) -> bool:
    """Whether a text is a yes or a no, in any spelling."""
    return bool(_flag(text))


def _flag(text: str) -> str:
    """What a text says as a flag; empty for none."""
    folded = text.strip().casefold()
    return "yes" if folded in YES else "no" if folded in NO else ""
