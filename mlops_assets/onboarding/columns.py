"""What each column of a table is to a model, judged by its facts alone.

Here: roles (key, time, label, feature, left out) and plain names for SQL. Not here: counting (`table`), columns that
give the label away (`suspects`), the files that follow (`files`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from mlops_assets.core.values.exact import FLOAT_WHOLE
from mlops_assets.core.values.identifiers import FEWEST, ID_NAMES, names_rows
from mlops_assets.onboarding.reading.table import Facts

Role = Literal["numeric", "boolean", "categorical", "moment", "left out"]

LABEL_NAMES = ("label", "target", "y", "class", "outcome", "response")
USUAL_TIME = re.compile(r"(event_?|record_?)?(time|timestamp|datetime|date|at|ts|dt|when)", re.IGNORECASE)
TIME_NAMES = re.compile(r"(^|_)(when|time|timestamp|date|datetime|at|ts|dt|day|month|year)($|_)", re.IGNORECASE)
MOST_CATEGORIES = 255
"""With more values the rarest are read as missing (`core.models.matrix`)."""
COMES_BACK = 1.5
"""Rows of each thing, on average, from which on it has a history worth having."""
LONGEST = 48
"""Of a plain name: with its view's before it, it still fits where names are shortest (63 characters in PostgreSQL)."""
RESERVED = frozenset(
    {"partition", "landed", "file_row_number", "event_timestamp", "created_timestamp", "label_available_at"}
    | {"event_hour", "event_weekday", "event_day_of_year"}
    | {"yes", "no", "on", "off", "true", "false", "null"}
)
"""Names that the generated models use themselves, and those that YAML reads as something else."""


@dataclass(frozen=True)
class Column:
    """One column of the table and what becomes of it.

    Attributes:
        facts: what is in it.
        name: its plain name from staging on.
        role: how a model takes it; `left out`: it is landed and checked, and no feature is made of it.
        why: the reason, where it is left out.
        is_name: whether its numbers name rows.
    """

    facts: Facts
    name: str
    role: Role
    why: str = ""
    is_name: bool = False


def role_of(facts: Facts) -> tuple[Role, str]:
    """How a model takes a column, and why not at all."""
    known = facts.rows - facts.missing
    if facts.distinct == 0:
        return "left out", "it has no value in any row"
    if facts.distinct == 1 and not facts.missing:
        return "left out", f"it is {facts.low} in all rows"
    if facts.is_time:
        return "moment", ""
    if facts.dtype == "BOOLEAN":
        return "boolean", ""
    if is_identifier(facts):
        return "left out", f"an identifier: {facts.distinct:,} different values in {known:,} rows"
    if is_code(facts):
        if facts.distinct <= MOST_CATEGORIES:
            return "categorical", ""
        return "left out", f"numbers beyond 2^53, which no model tells apart: {facts.distinct:,} different identifiers"
    if facts.is_number:
        return "numeric", ""
    if facts.distinct > MOST_CATEGORIES and facts.distinct > 0.5 * known:
        return "left out", f"free text: {facts.distinct:,} different values in {known:,} rows"
    return "categorical", ""


def is_code(facts: Facts) -> bool:
    """Whether a column holds whole numbers that a float would round: they name things and measure nothing."""
    largest = max(abs(int(facts.high or 0)), abs(int(facts.low or 0))) if facts.dtype == "BIGINT" else 0
    return largest > FLOAT_WHOLE


def is_identifier(facts: Facts) -> bool:
    """Whether a column names rows: (nearly) every value once, and whole numbers without gaps or a name like id."""
    if facts.dtype not in ("BIGINT", "VARCHAR"):
        return False
    span = None if facts.dtype == "VARCHAR" else int(facts.high or 0) - int(facts.low or 0) + 1
    return names_rows(facts.name, distinct=facts.distinct, known=facts.rows - facts.missing, span=span)


def is_key(facts: Facts) -> bool:
    """Whether a column identifies each row: texts that merely differ, as prices and comments do, name nothing."""
    is_named = facts.dtype != "VARCHAR" or _is_called_so(facts)
    return facts.distinct == facts.rows and is_named and is_identifier(facts)


def is_nearly_key(facts: Facts) -> bool:
    """Whether a column would identify each row, were it not for a few that share a value or have none."""
    return facts.distinct < facts.rows and _is_called_so(facts) and is_identifier(facts)


def _is_called_so(facts: Facts) -> bool:
    return facts.is_code or ID_NAMES.search(facts.name) is not None


def is_whom(facts: Facts, *, is_measured: bool = False) -> bool:
    """Whether rows may be about what a column names: many things, each in several rows, by its name or as texts.

    Texts of which nearly all are numbers or times of day (`is_measured`) name things if they are called so.
    """
    known = facts.rows - facts.missing
    if facts.dtype not in ("BIGINT", "VARCHAR") or not FEWEST <= facts.distinct <= known / COMES_BACK:
        return False
    is_named = ID_NAMES.search(facts.name) is not None
    return is_named or (facts.dtype == "VARCHAR" and not is_measured and facts.distinct > MOST_CATEGORIES)


def plain_names(names: Iterable[str], keywords: Collection[str], *, taken: Collection[str] = ()) -> dict[str, str]:
    """A name for each column that SQL takes without quotes: small letters, digits, underscores; never a keyword."""
    renamed: dict[str, str] = {}
    used = {*RESERVED, *taken}
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "_", _latin(name).lower()).strip("_")[:LONGEST].rstrip("_") or "column"
        if plain[0].isdigit():
            plain = f"n_{plain}"
        if plain in keywords or plain in used:
            plain = f"{plain}_value"
        number = 2
        while plain in used:
            plain, number = f"{plain.rstrip('0123456789_')}_{number}", number + 1
        used.add(plain)
        renamed[name] = plain
    return renamed


def _latin(name: str) -> str:
    """Without accents, as far as Unicode can take them apart; between two words of camelCase an underscore."""
    import unicodedata

    apart = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    without = "".join(letter for letter in apart if not unicodedata.combining(letter))
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", without)
