"""Values that are hardly what they seem: days that programs write where they know none, units, hours, and all the rest.

Here: finding them and naming the first row of each, with the remedy. Not here: numbers for a missing one (`sentinels`),
times of day (`times_of_day`), rows that are far from all others in time (`calendar` refuses them), columns that give
the label away (`suspects`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mlops_assets.core.values.display import shown
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import MISSING, TIMES_IN_WORDS
from mlops_assets.onboarding.odd.merged_codes import code_warnings
from mlops_assets.onboarding.odd.of_spreadsheets import marked_texts, rounded_texts
from mlops_assets.onboarding.odd.sentinels import impossible_zeros, sentinels
from mlops_assets.onboarding.odd.spellings import is_answer, is_flag, places_of, spelled, spelled_numbers, texts_of
from mlops_assets.onboarding.odd.times_of_day import clocks_in
from mlops_assets.onboarding.odd.twelve_hours import clocks_of_twelve
from mlops_assets.onboarding.reading.table import Facts, Table
from mlops_assets.onboarding.times import TimeColumn, seeming_unit

ODD_DAYS = (
    "year({day}) < 1902 or year({day}) > 2199 or {day} in (date '1970-01-01', date '1969-12-31', date '2099-12-31')"
)
"""Days that programs write where they know none."""

_LIKE_MISSING = re.compile(
    r"n[./ ]+[ad]\.?|k\.? ?a\.|nil|nul|missing|undefined|blank|empty|leer|vide|keine angabe|sans objet"
    r"|not? (available|applicable|given|known|data|value)|[(\[{<](null?|nil|none|nan|n/?a)[)\]}>]",
    re.IGNORECASE,
)
"""Texts that people write where they know no value, and that are values elsewhere."""
_MISSING_IN_FLAGS = frozenset(word.casefold() for word in MISSING if word.isalpha())
"""In any capitals: `na` may be a state and `none` a choice, and beside yes and no they are neither."""
_UNKNOWN = re.compile(
    r"unknown|unkn?\.?|u|un(specified|determined|clear|sure)|not sure|(don'?t|do not) know|dk|no (answer|response)|tbd"
    r"|unbekannt|wei(ß|ss) nicht|inconnue?|desconocid[oa]|sconosciut[oa]|onbekend|[+-]?[0-9]+([.,][0-9]+)?",
    re.IGNORECASE,
)
"""Texts, and numbers, that say beside yes and no that nobody knows which; among other words they are a category."""

_TEXT_MARK = '="[^"]*"|\'[^\']+'
_MOST = 3
"""Texts of a column that a sentence names."""


def oddities(table: Table, time: TimeColumn, zone: str) -> list[str]:
    """What to look at, in sentences: each names a column, a value, its first row, and what to do."""
    warnings = [said for facts in table.facts.values() for said in _odd(table, facts, time) if said]
    numbers = [facts for facts in table.facts.values() if facts.is_number and facts.name != time.name]
    warnings += [said for facts in numbers if (said := impossible_zeros(table, facts, time, zone))]
    distinct = {name: facts.distinct for name, facts in table.facts.items() if facts.is_number}
    codes = code_warnings(table.codes, distinct, without=(time.name,))
    return [
        *table.texts.warnings,
        *_unread(table, time),
        *codes,
        *warnings,
        *_hours(table, time, zone),
        *clocks_of_twelve(table),
    ]


def _unread(table: Table, time: TimeColumn) -> list[str]:
    """Columns of texts that are times or numbers but for a few."""
    return [
        f"{name} is {shown(text)!r} in {_place(table, name, text)}, where most others are times or numbers: the column "
        f"is taken as texts. Correct it, or say that it means missing: {_as_missing(name, text)}."
        for name, text in table.texts.unread.items()
        if name != time.name
    ]


def _as_missing(name: str, text: str) -> str:
    """The option that makes a text missing in a column; a text that no sentence shows whole is to be put in."""
    return typed("--missing", f"{name}={text if shown(text) == text else 'TEXT'}")


def _place(table: Table, name: str, text: str) -> str:
    return table.place(f"trim({quoted(name)}) = $text", {"text": text})


def _odd(table: Table, facts: Facts, time: TimeColumn) -> list[str]:
    """Sentences, of which some may be empty."""
    if facts.name == time.name or not facts.distinct:
        return []
    if facts.is_time:
        return [_odd_day(table, facts)]
    if not facts.is_number:
        clocks = clocks_in(table, facts, time)
        others = (_like_missing, _spellings, marked_texts, rounded_texts)
        return [clocks] if clocks else [look(table, facts) for look in others]
    if (unit := seeming_unit(table, facts, time)) is not None:
        first = table.place(f"{quoted(facts.name)} is not null")
        return [
            f"{facts.name} seems to hold {TIMES_IN_WORDS[unit]} (from {facts.low}; {first}), and is no time to the "
            f"model. If it is one, say so: {typed('--moment', facts.name)}; its `format` in the YAML is then {unit}."
        ]
    return [sentinels(table, facts)]


def _like_missing(table: Table, facts: Facts) -> str:
    """A category that reads like a word for a missing value, and is none of those that mean it everywhere."""
    texts = sorted(texts_of(table, facts))
    alike = [text for text in texts if _LIKE_MISSING.fullmatch(text.strip())][:1] or _beside_flags(texts)
    # What stands among times or numbers is said of them (`_unread`), with the same remedy.
    alike = [text for text in alike if text.strip() != table.texts.unread.get(facts.name, "").strip()]
    if not alike:
        return ""
    places = " and ".join(f"{shown(text)!r} in {_place(table, facts.name, text.strip())}" for text in alike)
    means, is_one = " ".join(_as_missing(facts.name, text.strip()) for text in alike), len(alike) == 1
    return (
        f"{facts.name} is {places}, and {'that is a category' if is_one else 'each is a category'} to the model: if "
        f"{'it means' if is_one else 'they mean'} missing, leave the cell{'' if is_one else 's'} empty, or say so: "
        f"{means}."
    )


def _beside_flags(texts: Sequence[str]) -> list[str]:
    """Those among texts that say beside a yes and a no that nobody knows which; at most a few."""
    unknown = [
        text
        for text in texts
        if text.strip().casefold() in _MISSING_IN_FLAGS or (not is_answer(text) and _UNKNOWN.fullmatch(text.strip()))
    ]
    return unknown[:_MOST] if unknown and is_flag([text for text in texts if text not in unknown]) else []


def _spellings(table: Table, facts: Facts) -> str:
    """A text that is one value in several spellings, which are classes of their own to a model."""
    alike = spelled(texts_of(table, facts)) or spelled_numbers(table, facts)
    return (
        f"{facts.name} has {places_of(table, facts, alike)}, and each is a class of its own to the model: if they mean "
        "the same, write all in one spelling."
        if alike
        else ""
    )


def _odd_day(table: Table, facts: Facts) -> str:
    column = quoted(facts.name)
    condition = ODD_DAYS.format(day=f"{column}::date")
    count, low = table.first(f"select count(*), min({column}::date) from {table.relation} where {condition}")
    if not count:
        return ""
    return (
        f"{facts.name} is {low} in {table.place(condition)}, and {count:,} of {facts.rows:,} rows have such a day: if "
        f"it means that none is known, leave the cell empty, or say so: {typed('--missing', f'{facts.name}=TEXT')}, as "
        "it stands."
    )


def _hours(table: Table, time: TimeColumn, zone: str) -> list[str]:
    """Local times of the event in an hour that the clocks have twice, or skip."""
    facts = table.facts[time.name]
    if facts.dtype != "TIMESTAMP":
        return []
    column = quoted(time.name)
    moment = f"timezone('{zone}', {column})"
    said = {
        f"timezone('{zone}', {moment} - interval 1 hour) = {column}": "have twice: it is read as the second one",
        f"timezone('{zone}', {moment}) <> {column}": "skip: it is counted on from the hour before",
    }
    warnings = []
    for condition, how in said.items():
        count = table.first(f"select count(*) from {table.relation} where {condition}")[0]
        if count:
            warnings.append(
                f"{time.name} lies in an hour that the clocks of {zone} {how} ({table.place(condition)}, {count:,} "
                "rows in all). Write times with an offset to be sure."
            )
    return warnings
