"""Texts of CSV files that are read as numbers, and say more than the number does: codes that look like decimals.

Here: the versions 1.1 and 1.10, the part numbers 1E10 and 10E9, identifiers whose digits a spreadsheet has rounded
(4.90123E+11), and what is said of each. Not here: integers beyond 2^53 (`exact_types`, `table`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import duckdb

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.identifiers import ID_NAMES
from mlops_assets.core.values.quoted_commands import typed
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.reading.exact_types import columns_of

_FEW = 255
"""With more different numbers a column measures something: two writers may have written it."""
_EXPONENT = "'[0-9]+[eE][0-9]+'"
"""Programs write a sign, or a point, where they mean an exponent."""
ROUNDED = r"'[+-]?[0-9](\.[0-9]+)?E\+[0-9]{2,3}'"
"""As spreadsheets show a number of many digits in a narrow cell, and save it."""
LEFT_OUT = (
    "of which a spreadsheet has left out the last digits: different things have become one. Format the column as text "
    "or as a number without places in the spreadsheet, and save it again"
)
"""What is said of such a number."""
_PLACES = "case when contains(cell, '.') and not has_e then length(cell) - strpos(cell, '.') end"
_LOST = (
    f"(has_e and regexp_full_match(cell, {ROUNDED}) and try_cast(split_part(cell, 'E+', 2) as int) > "
    "length(split_part(split_part(cell, 'E+', 1), '.', 2)))"
)
_LOOK = (
    f"min({_PLACES}) < max({_PLACES}) and bool_or({_PLACES} > 1 and ends_with(cell, '0')), "
    f"bool_or(has_e and regexp_full_match(cell, {_EXPONENT})), any_value(cell) filter ({_LOST}), bool_and({_LOST})"
)
"""Of each column: zeros at the end of some places only, exponents without a sign, a rounded number, all such."""


@dataclass(frozen=True)
class Merged:
    """What the texts of a column tell that its numbers do not.

    Attributes:
        numbers: how many numbers stand there in several spellings.
        spellings: of the first of them.
        rounded: a number whose last digits a spreadsheet has left out; empty for none.
        is_rounded: whether all numbers of the column are written so.
    """

    numbers: int = 0
    spellings: tuple[str, ...] = ()
    rounded: str = ""
    is_rounded: bool = False

    def in_words(self, name: str) -> str:
        """Why the column of this name cannot name things; empty where it can."""
        if self.rounded:
            return f"numbers such as {self.rounded}, {LEFT_OUT}"
        if self.numbers:
            return f"{self.alike}, and as numbers they are one. If they are different things, {_as_text(name)}"
        return ""

    @property
    def alike(self) -> str:
        """The spellings of a number: `the texts '1.1' and '1.10'`."""
        return f"the texts {' and '.join(repr(shown(text)) for text in self.spellings)}"


def _as_text(name: str) -> str:
    return f"keep the column as text: {typed('--text', name)}"


def _more(count: int) -> str:
    return f", and so are {counted(count, 'more number')} in several spellings" if count else ""


def merged_codes(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    read: str,
    given: Mapping[str, object],
    naming: Collection[str] | None = None,
) -> dict[str, Merged]:
    """The columns of numbers whose texts tell more than the numbers.

    A number is in several spellings where its texts differ in zeros at the end (1.10 and 1.1; 17.0 is pandas's 17),
    or one has an exponent without a sign. Fixed places are one spelling, and so is the shortest form.

    The file is read again for columns alone of which something may be said: those that name things, those of few
    numbers, and those whose numbers all end in a zero, as rounded ones do.

    Args:
        connection: of the relation.
        relation: what was read.
        read: the call of `read_csv` that it was read by.
        given: its parameters.
        naming: columns that may name things, beside those that are called so; None: all.
    """
    names = _to_look_at(connection, relation, naming)
    if not names:
        return {}
    texts = f"{read[:-1]}, all_varchar = true)"
    # One query whose text does not grow with the columns: a thousand of them would take minutes to plan.
    rows = connection.execute(
        f"select name, {_LOOK} from (select name, trim(value) as cell, contains(value, 'e') or contains(value, 'E') as "
        f"has_e from (unpivot (select {', '.join(map(quoted, names))} from {texts}) on columns(*))) group by name",
        dict(given),
    ).fetchall()
    by_column = {}
    for name, is_uneven, has_exponent, rounded, is_rounded in rows:
        alike = _spellings(connection, name, texts, given) if is_uneven or has_exponent else []
        first = tuple(alike[0]) if alike else ()
        if alike or rounded:
            by_column[name] = Merged(len(alike), first, rounded or "", bool(is_rounded))
    return by_column


def _to_look_at(connection: duckdb.DuckDBPyConnection, relation: str, naming: Collection[str] | None) -> list[str]:
    # Texts of digits alone, which DuckDB reads as integers, have one spelling; `settle_types` makes some of floats.
    numbers = [
        name
        for name, dtype in columns_of(connection, relation)
        if dtype == "DOUBLE" or (dtype == "BIGINT" and (naming is None or name in naming or ID_NAMES.search(name)))
    ]
    named = {name for name in numbers if naming is None or name in naming or ID_NAMES.search(name)}
    if not numbers:
        return []
    # The count is an estimate, a few hundredths off.
    asked = ", ".join(
        f"approx_count_distinct({column}) <= {2 * _FEW} or coalesce(bool_and({column} % 10 = 0), false)"
        for column in map(quoted, numbers)
    )
    (answers,) = connection.execute(f"select {asked} from {relation}").fetchall()
    return [name for name, is_odd in zip(numbers, answers, strict=True) if is_odd or name in named]


def _spellings(
    connection: duckdb.DuckDBPyConnection, name: str, texts: str, given: Mapping[str, object]
) -> list[list[str]]:
    """The spellings of each number that has several, the most frequent number first."""
    rows = connection.execute(
        f"with cells as (select trim({quoted(name)}) as cell from {texts} where {quoted(name)} is not null), "
        "counts as (select cell, count(*) as times, "
        f"contains(cell, '.') and not contains(lower(cell), 'e') as has_places, "
        f"regexp_full_match(cell, {_EXPONENT}) as has_exponent from cells group by cell), "
        "spelled as (select *, case when has_places then regexp_replace(ltrim(cell, '+'), '0+$', '') "
        "when has_exponent or regexp_full_match(cell, '[0-9]{1,15}') then try_cast(cell as double)::varchar end "
        "as number from counts) "
        "select list(cell order by length(cell), cell) from spelled where number is not null group by number "
        "having count(distinct ltrim(cell, '+')) > 1 and (bool_or(has_places) or bool_or(has_exponent)) "
        "order by sum(times) desc, number",
        dict(given),
    ).fetchall()
    return [cells for (cells,) in rows]


def code_warnings(codes: Mapping[str, Merged], distinct: Mapping[str, int], without: Collection[str]) -> list[str]:
    """What to look at, in sentences.

    Args:
        codes: by column.
        distinct: different numbers of each column.
        without: columns of which it is not said.
    """
    said = []
    for name, merged in codes.items():
        if name in without:
            continue
        if merged.is_rounded:
            said.append(
                f"{name} holds {merged.in_words(name)}; if it measures something, and these digits do not count, "
                "leave it as it is."
            )
        elif merged.numbers and distinct.get(name, 0) <= _FEW:
            said.append(
                f"{name} has {merged.alike}, which are one number{_more(merged.numbers - 1)}: they are one value to "
                f"the model. If they are codes, {_as_text(name)}."
            )
    return said
