"""Values that are hardly what they seem: numbers and days that programs write where they know none, units, hours.

Here: finding them and naming the first row of each, with the remedy. Not here: rows that are far from all others in
time (`times` refuses them), columns that give the label away (`suspects`).
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.number_times import units_of
from mlops_assets.core.values.sql import quoted
from mlops_assets.core.values.text_formats import TIMES_IN_WORDS
from mlops_assets.onboarding.columns import TIME_NAMES, is_code
from mlops_assets.onboarding.odd.merged_codes import code_warnings
from mlops_assets.onboarding.odd.spellings import places_of, spelled, spelled_numbers, texts_of
from mlops_assets.onboarding.table import Facts, Table
from mlops_assets.onboarding.times import TimeColumn
from mlops_assets.world.files.table_files import is_parquet

SENTINELS = frozenset(sign * float("9" * digits) for sign in (1, -1) for digits in range(2, 10)) | {
    -1.0, -2.0**31, 2.0**31 - 1, -2.0**63, 2.0**63, 1e20, -1e20, 1e30, -1e30
}  # fmt: skip
"""Numbers that programs write for a missing one."""
FEW = 20
"""With fewer different values one such as 99 may be one of them, see `_is_apart`."""
_FAR = 10
"""So many times as far as the others are apart lies none of them."""
DEAR = 9_999
"""Lesser numbers of nines are prices."""
FEWEST = 3
"""Other values that make a scale of which -1 is no part; -1, 0 and 1 are one."""
ODD_DAYS = (
    "year({day}) < 1902 or year({day}) > 2199 or {day} in (date '1970-01-01', date '1969-12-31', date '2099-12-31')"
)
"""Days that programs write where they know none."""


def oddities(table: Table, time: TimeColumn, zone: str) -> list[str]:
    """What to look at, in sentences: each names a column, a value, its first row, and what to do."""
    found = [said for facts in table.facts.values() if (said := _odd(table, facts, time))]
    distinct = {name: facts.distinct for name, facts in table.facts.items() if facts.is_number}
    codes = code_warnings(table.codes, distinct, without=(time.name,))
    return [*table.texts.warnings, *_unread(table, time), *codes, *found, *_hours(table, time, zone)]


def _unread(table: Table, time: TimeColumn) -> list[str]:
    """Columns of texts that are times or numbers but for a few."""
    return [
        f"{name} is {shown(text)!r} in {_place(table, name, text)}, where most others are times or numbers: the column "
        f"is taken as texts. Correct it, or say that it means missing: --missing {shown(text)!r}."
        for name, text in table.texts.unread.items()
        if name != time.name
    ]


def _place(table: Table, name: str, text: str) -> str:
    return table.place(f"trim({quoted(name)}) = $text", {"text": text})


def _odd(table: Table, facts: Facts, time: TimeColumn) -> str:
    if facts.name == time.name or not facts.distinct:
        return ""
    if facts.is_time:
        return _odd_day(table, facts)
    if not facts.is_number:
        return _spellings(table, facts)
    unit = next(iter(units_of(float(facts.low or 0), float(facts.high or 0), datetime.now(UTC))), None)
    if unit is not None and unit != "yyyy" and TIME_NAMES.search(facts.name):
        first = table.place(f"{quoted(facts.name)} is not null")
        return (
            f"{facts.name} seems to hold {TIMES_IN_WORDS[unit]} (from {facts.low}; {first}), and is no time to the "
            f"model. If it is one, say so: --moment {shlex.quote(facts.name)}; its `format` in the YAML is then {unit}."
        )
    return _sentinel(table, facts)


def _spellings(table: Table, facts: Facts) -> str:
    """A text that is one value in several spellings, which are classes of their own to a model."""
    found = spelled(texts_of(table, facts)) or spelled_numbers(table, facts)
    return (
        f"{facts.name} has {places_of(table, facts, found)}, and each is a class of its own to the model: if they mean "
        "the same, write all in one spelling."
        if found
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
        "it means that none is known, leave the cell empty, or name the text as it stands with --missing."
    )


def _sentinel(table: Table, facts: Facts) -> str:
    """Numbers that programs write for a missing one, where they stand apart from all others."""
    if is_code(facts):
        return ""
    x = f"{quoted(facts.name)}::double"
    given: dict[str, object] = {"sentinels": sorted(SENTINELS)}
    counts = dict(
        table.connection.execute(
            f"select {x}, count(*) from {table.relation} where list_contains($sentinels, {x}) group by 1 order by 1",
            given,
        ).fetchall()
    )
    if not counts:
        return ""
    low, high, distinct, zeros, ones = table.first(
        f"select min({x}), max({x}), count(distinct {x}), count(*) filter ({x} = 0), count(*) filter ({x} = 1) "
        f"from {table.relation} where isfinite({x}) and not list_contains($sentinels, {x})",
        given,
    )
    if not distinct:
        return ""
    found = [
        value
        for value, count in counts.items()
        if (
            _is_below_a_wall(count, low, distinct, zeros, ones)
            if value == -1
            else _is_apart(value, low, high, distinct)
        )
    ]
    if not found:
        return ""
    texts = [f"{value:.6g}" for value in found]
    told = ", and ".join(
        f"{text} in {table.place(f'{x} = $value', {'value': value})}, in {counted(counts[value], 'row')} in all"
        for value, text in zip(found, texts, strict=True)
    )
    # An option reads texts; a number of a Parquet file is none.
    said = "" if is_parquet(table.files[0]) else f", or say so: {' '.join(f'--missing {text}' for text in texts)}"
    return (
        f"{facts.name} is {told}, where the others are {low:g} to {high:g}: if it means missing, leave the cell "
        f"empty{said}."
    )


def _is_apart(value: float, low: float, high: float, distinct: int) -> bool:
    """Whether a number lies further from the others, or below zero alone, than an ordinary one.

    Of few values one may be far from the others by itself, as the price 99 beside 19 and 49: then these must be half of
    the whole numbers between them, as 1 to 12 are, or it must lie further by far and be no usual price.
    """
    gap, span = max(low - value, value - high), high - low
    if value < 0 <= low:
        return True
    is_scale = distinct > FEW or span < 2 * distinct
    return distinct > 1 and gap > span and (is_scale or (gap > _FAR * span and not 0 < value < DEAR))


def _is_below_a_wall(count: int, low: float, distinct: int, zeros: int, ones: int) -> bool:
    """Whether -1 is more than the last of a tail: numbers begin at once at 0 or above it, or it is more frequent.

    A tail thins out, so that a value next to its last is to the last as the one after is to it, or less.
    """
    if count < 2 or low < 0 or distinct < FEWEST:
        return False
    return not zeros or zeros >= ones / 2 or count * ones > 2 * zeros**2


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
    found = []
    for condition, how in said.items():
        count = table.first(f"select count(*) from {table.relation} where {condition}")[0]
        if count:
            found.append(
                f"{time.name} lies in an hour that the clocks of {zone} {how} ({table.place(condition)}, {count:,} "
                "rows in all). Write times with an offset to be sure."
            )
    return found
