"""How the texts of a person's table are to be read, as far as a person or a contract says, and what they can change.

Here: the instructions, their remedies, and the error that asks for one. Not here: deciding what is left open (`texts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlops_assets.core.sources.contract import Column
from mlops_assets.core.values.text_formats import (
    MISSING,
    NUMBER_FORMATS,
    DateOrder,
    Mark,
)


class Undecided(ValueError):
    """Cells can be read in two ways, or in none; the message ends in the remedy."""


@dataclass(frozen=True)
class Remedies:
    """What a person can change where a table is read, as the ends of sentences that ask; `{name}` is the column.

    In what says how texts are written, `{written}` is one way of it, and `where` stands behind all of them.

    Attributes:
        time: to take the time from elsewhere.
        date_order: to say which of day (`dmy`) and month (`mdy`) stands first.
        decimal: to say that the decimal mark is a `point` or a `comma`.
        where: of what this is said.
        text: to take a column for texts, whatever stands in it.
    """

    time: str
    date_order: str
    decimal: str
    where: str
    text: str

    def for_marks(self, name: str, *marks: Mark) -> str:
        """To say that one of these is the decimal mark of a column."""
        return " or ".join(self.decimal.format(written=mark) for mark in marks) + self.where.format(name=name)

    def for_orders(self, name: str, *orders: DateOrder) -> str:
        """To say that one of these is the order of day and month in a column."""
        return " or ".join(self.date_order.format(written=order) for order in orders) + self.where.format(name=name)


OPTIONS = Remedies(
    time="name another column with `--time`",
    date_order="`--date-order {written}`",
    decimal="`--decimal {written}`",
    where="",
    text="`--text {name}`",
)
"""For a table that is to become a source."""
FIELDS = Remedies(
    time="name another column as `event_time` in the source's YAML",
    date_order="`format: {written}`",
    decimal="`format: {written}`",
    where=" of {name} in the contract",
    text="`type: string` of {name} in the contract",
)
"""For a source that is declared."""


@dataclass(frozen=True)
class Reading:
    """How the texts of a table are to be read, as far as a person or a contract says.

    Attributes:
        zone: in which times without an offset are read where others of their column have one; None: not known yet.
        missing: texts that mean missing.
        date_order: whether day or month stands first where the year stands last.
        decimal: the decimal mark.
        declared: columns of the contract, for a source that has one.
        asked: columns that a person says are texts.
        naming: columns that a person says name things; None: any may.
        in_parquet: whether the texts that mean missing do so in text columns of Parquet files, too.
        missing_in: column -> cells that mean missing in it, beside those of `missing`.
    """

    zone: str | None = None
    missing: tuple[str, ...] = MISSING
    date_order: DateOrder | None = None
    decimal: Mark | None = None
    declared: Mapping[str, Column] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    naming: tuple[str, ...] | None = None
    in_parquet: bool = True
    missing_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def remedies(self) -> Remedies:
        """What a person can change."""
        return FIELDS if self.declared else OPTIONS

    @property
    def texts(self) -> list[str]:
        """Columns that are texts whatever stands in them: they are left as they are."""
        return [*self.asked, *(name for name, column in self.declared.items() if column.type == "string")]

    @property
    def written(self) -> list[str]:
        """Columns whose numbers are declared to be written in some way: they stay texts, which the contract reads."""
        return [name for name, column in self.declared.items() if column.format in NUMBER_FORMATS]
