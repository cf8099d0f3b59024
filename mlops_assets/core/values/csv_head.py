"""The head of a CSV file: the names of its columns, and how it is written.

Here: the separator, the line that Excel writes to name it (`sep=;`), names of several lines or with separators in them.
Not here: rows (DuckDB and pandas read them), files (`world.files.table_files`, `onboarding.table`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from mlops_assets.core.values.sql import literal

SEPARATORS = ",;\t|"
LONGEST_CELL = 2**20
"""Characters of a file in which its head must end."""
EMPTY = "is empty, without even a header"
"""What is said of a file without a single name."""
Newline = Literal["\n", "\r\n", "\r"]


class NoHead(ValueError):
    """The first line holds no names; the message says what it must hold."""


@dataclass(frozen=True)
class CsvHead:
    """How a CSV file begins.

    Attributes:
        names: of the columns, as they stand in it.
        separator: between cells.
        skipped: lines before the names.
        newline: what ends a row, where names have line breaks in them; None where it need not be said.
    """

    names: tuple[str, ...]
    separator: str
    skipped: int
    newline: Newline | None

    def has_word(self, missing: Collection[str]) -> bool:
        """Whether a name is one of the words that mean missing in cells, such as NA for sodium."""
        return any(name and name in missing for name in map(str.strip, self.names))

    def duckdb(self, missing: Collection[str] = ()) -> str:
        """What DuckDB's `read_csv` is to be told, which would guess it by the first rows.

        Args:
            missing: the words that mean missing in cells: a name that is one would be taken for none.
        """
        newline = "" if self.newline is None else f", new_line = '{repr(self.newline)[1:-1]}'"
        separator = self.separator.replace("'", "''")
        options = f"header = true, delim = '{separator}', quote = '\"', escape = '\"', skip = {self.skipped}{newline}"
        if not self.has_word(missing):
            return options
        names = (literal(name.strip() or f"column{place}") for place, name in enumerate(self.names))
        return f"{options}, names = [{', '.join(names)}]"


def head_of(text: str, *, is_cut: bool = False) -> CsvHead:
    """The head of a file, from its first characters.

    Args:
        text: as many as a head may have, at most.
        is_cut: whether more stand behind them.

    Raises:
        NoHead: there is no line, an empty one, or one that is longer than that.
    """
    has_mark, text = text.startswith("\ufeff"), text.removeprefix("\ufeff")
    if not text.strip():
        raise NoHead(EMPTY)
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    said = re.fullmatch(r"\"?sep=(.)\"?\s*", lines[0]) if lines else None
    skipped = 1 if said else 0
    if said and has_mark and text.startswith('"'):
        # DuckDB, told to skip a line, looks for quotes before it has dropped the mark: the second one opens a cell.
        raise NoHead(
            f"begins with {lines[0].strip()} in quotes behind a byte order mark: remove that line, or its quotes"
        )
    if not "".join(lines[skipped : skipped + 1]).strip():
        raise NoHead("begins with an empty line: the first line must hold the names of the columns")
    best: CsvHead | None = None
    for separator in said[1] if said else SEPARATORS:
        rows = csv.reader(lines[skipped:], delimiter=separator, strict=True)
        try:
            names = next(rows)
        except (csv.Error, StopIteration):
            continue  # a quote that ends in the middle of a cell: it is another one
        last = lines[skipped + rows.line_num - 1]
        if is_cut and rows.line_num + skipped == len(lines) and not last.endswith(("\r", "\n")):
            raise NoHead(f"begins with names of more than {LONGEST_CELL:,} bytes in all: leave out what no model needs")
        newline: Newline | None = None
        if rows.line_num > 1:
            newline = "\r\n" if last.endswith("\r\n") else "\r" if last.endswith("\r") else "\n"
        if best is None or len(names) > len(best.names):
            best = CsvHead(tuple(names), separator, skipped, newline)
    if best is None:
        raise NoHead("begins with a line whose quotes do not match: correct the names of the columns")
    return best
