r"""Quotes of a CSV file that readers take for others: `"5 inch` begins a cell, and the next quote, rows later, ends it.

Here: finding a cell whose lines are rows by themselves, a quote that none follows, and one that ends a cell before its
text does (`"5\" pipe"`, `"A" team`). Not here: cells of several lines as addresses and comments have them, which are
left alone; reading rows.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from mlops_assets.core.values.csv_head import CsvHead
from mlops_assets.core.values.display import shown

_SAMPLE = 200
"""Rows by which it is known what a column looks like, and lines of a cell that are looked at."""
_FEW = 8
"""Different values of a column that has few; its square is the number of rows by which that is known."""
_DIGITS = re.compile(r" ?[-+]?\d[\d.,:/ TZ+-]*")
"""Numbers, days and times."""
_TIME = re.compile("9[-:/]9")
_MANY_COLUMNS = 4
"""With so many, a line of a text hardly has as many separators as a row."""
_REMEDY = 'Leave the quote out, or put the cell into quotes and write each quote of its text twice: "5"" pipe"'


@dataclass(frozen=True)
class _Cell:
    """A cell of several lines: the lines, of which the first `_SAMPLE` and the last are kept, and their numbers.

    Where a quote ends a cell before its text does (`early`), they may be one.
    """

    lines: list[str]
    first: int
    last: int
    ends: bool
    early: bool = False


def fault_of_quotes(lines: Iterator[bytes], head: CsvHead) -> str:
    """What is wrong with the first cell whose quotes do not hold it, in a sentence without its full stop; or nothing.

    Args:
        lines: of the file, from its beginning, each with its line break.
        head: how it begins.
    """
    rows: list[list[str]] = []
    waiting: list[_Cell] = []
    for cell in _long_cells(lines, head, rows):
        waiting.append(cell)
        if len(rows) == _SAMPLE or len(waiting) == _SAMPLE:
            if fault := _first_fault(waiting, rows, head):
                return fault
            waiting.clear()
    return _first_fault(waiting, rows, head)


def _first_fault(cells: Sequence[_Cell], rows: Sequence[list[str]], head: CsvHead) -> str:
    for cell in cells:
        if cell.early and cell.first == cell.last:
            return _ended_early(cell, head)
        start = f"has a quote in line {cell.first:,} that begins a cell"
        begun = _start(cell.lines[0], head)
        if not cell.ends:
            return f"{start}, and none that ends it ({begun}). {_REMEDY}"
        if _are_rows(cell.lines, rows, head):
            between = cell.last - cell.first - 1
            which = f"the {between:,} line{'s' if between > 1 else ''} between them" if between else "both"
            return (
                f"{start}, and the next one, in line {cell.last:,}, ends it ({begun}): each line is a row by itself, "
                f"and {which} would be one cell. {_REMEDY}"
            )
        if cell.early:
            return (
                f"{start}, and the next one, in line {cell.last:,}, ends it before its text does ({begun}). {_REMEDY}"
            )
    return ""


def _ended_early(cell: _Cell, head: CsvHead) -> str:
    """The sentence on a row in which a quote ends a cell before its text does."""
    text = cell.lines[0]
    early = re.search(rf'(?:^|{re.escape(head.separator)})("(?:[^"]|"")*"[^"{re.escape(head.separator)}]+)', text)
    begun = shown(early[1] if early else text)
    if '\\"' in text:
        return (
            f"has a quote behind a backslash in line {cell.first:,} ({begun}), which ends the cell: in CSV a quote of "
            'a text is written twice, as in "5"" pipe". Have the file written so (of a program that escapes: without '
            "backslashes), or as Parquet"
        )
    return f"has a quote in line {cell.first:,} that ends a cell before its text does ({begun}). {_REMEDY}"


def _ends_early(line: bytes, lone: re.Pattern[bytes], head: CsvHead) -> bool:
    """Whether a quote ends a cell of a row before its text does; in a cell that begins without one it is a text's."""
    if b'"' not in line or lone.search(line) is None:
        return False
    # Readers leave out blanks behind a cell in quotes.
    text = re.sub(rf'"[ \t]+(?={re.escape(head.separator)}|$)', '"', _text(line))
    try:
        next(csv.reader([text], delimiter=head.separator, strict=True))
    except csv.Error as error:
        return "expected after" in str(error)  # not: a cell that is longer than Python's limit
    return False


def _long_cells(lines: Iterator[bytes], head: CsvHead, rows: list[list[str]]) -> Iterator[_Cell]:
    """The cells of several lines, and rows in which a cell ends early; `rows` is filled with the first of one line."""
    above = head.skipped + 1 + sum(name.count("\n") for name in head.names)
    separator = head.separator.encode()
    lone = re.compile(rb'[^"\r\n%b]"[^"\r\n%b]' % ((re.escape(separator),) * 2))
    numbered = enumerate(islice(lines, above, None), start=above + 1)
    for number, line in numbered:
        if not _may_open(line, separator) or not _is_open(_text(line), head):
            if len(rows) < _SAMPLE and len(row := _cells(_text(line), head)) == len(head.names):
                rows.append(row)
            if _ends_early(line, lone, head):
                yield _Cell([_text(line)], number, number, ends=True, early=True)
            continue
        inside, last, ends, early = _rest_of(line, number, numbered, head)
        yield _Cell(inside, number, last, ends, early)


def _rest_of(
    line: bytes, number: int, numbered: Iterator[tuple[int, bytes]], head: CsvHead
) -> tuple[list[str], int, bool, bool]:
    """The lines of a row that goes on, the number of its last one, whether a quote ends its cell, and too early."""
    inside, last, has_more, is_odd = [_text(line)], number, True, False
    blanks = re.compile(rf'"[ \t]+(?={re.escape(head.separator)}|$)')

    def lines() -> Iterator[str]:
        nonlocal last, has_more, is_odd
        yield inside[0] + "\n"
        for at, following in numbered:
            last, is_odd = at, following.count(b'"') % 2 == 1
            if len(inside) == _SAMPLE:
                inside.pop()
            inside.append(_text(following))
            # Readers leave out blanks behind a cell in quotes.
            yield blanks.sub('"', inside[-1]) + "\n"
        has_more = False

    coming = lines()
    try:
        next(csv.reader(coming, delimiter=head.separator, strict=True))
    except csv.Error as error:
        if "expected after" in str(error):  # a quote, and behind it neither a separator nor the end of the line
            return inside, last, True, True
        # A cell that is longer than Python's limit: in a sound file an odd number of quotes ends it.
        while not is_odd and next(coming, None) is not None:
            pass
    return inside, last, has_more, False


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r\n")


def _may_open(line: bytes, separator: bytes) -> bool:
    """Whether a line may end within quotes: these are odd, or more begin a cell than end one."""
    quotes = line.count(b'"')
    if not quotes:
        return False
    stripped = line.rstrip(b"\r\n")
    opens = stripped.count(separator + b'"') + stripped.startswith(b'"')
    closes = stripped.count(b'"' + separator) + stripped.endswith(b'"')
    return quotes % 2 == 1 or opens != closes


def _is_open(line: str, head: CsvHead) -> bool:
    """Whether readers go on to the next line for the rest of a cell."""
    reader = csv.reader([line + "\n", "\n"], delimiter=head.separator)
    try:
        next(reader)
    except csv.Error:  # a cell that is longer than Python's limit: the readers of the rows take it
        return False
    return reader.line_num > 1


def _cells(line: str, head: CsvHead) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=head.separator), [])
    except csv.Error:
        return []


def _start(line: str, head: CsvHead) -> str:
    """The cell that a quote begins, as far as its line goes."""
    begins = max(line.rfind(f'{head.separator}"') + 1, 0)
    return shown(line[begins:].split(head.separator)[0])


def _are_rows(inside: Sequence[str], rows: Sequence[list[str]], head: CsvHead) -> bool:
    """Whether each line would be a row, but for a stray quote: so many cells, which look as those of other rows do."""
    n = len(head.names)
    # Other cells of these lines may be in quotes, with separators in them.
    begins = inside[0].rfind(f'{head.separator}"') + 1
    lines = [inside[0][:begins] + inside[0][begins + 1 :], *inside[1:]]
    split = [line.split(head.separator) for line in lines]
    split = [cells if len(cells) == n else _cells(line, head) for line, cells in zip(lines, split, strict=True)]
    if n < 2 or any(len(cells) != n for cells in split) or (n == 2 and len(inside) < 4):
        return False
    fits = {place: fit for place in range(n) if (fit := _fit([row[place] for row in rows])) is not None}
    if not fits:
        return n >= _MANY_COLUMNS and len(inside) > 2
    return all('"' in cells[place] or fit(cells[place]) for cells in split[1:] for place, fit in fits.items())


def _fit(cells: Sequence[str]) -> Callable[[str], bool] | None:
    """Whether a cell looks as those of a column do: one of few values, or digits; None of a column of texts."""
    values, are_many = {"", *cells}, len(cells) >= _FEW**2
    if len(values) <= _FEW and are_many:
        return values.__contains__
    if not cells or not all(map(_is_digits, values)):
        return None
    makes = {_make(cell) for cell in cells if cell}
    # Numbers of one length are so by chance where they are few; days and times are not.
    is_one = len(makes) == 1 and (are_many or _TIME.search(next(iter(makes))) is not None)
    return (lambda cell: not cell or _make(cell) in makes) if is_one else _is_digits


def _make(cell: str) -> str:
    return re.sub(r"\d", "9", cell)


def _is_digits(cell: str) -> bool:
    return not cell or _DIGITS.fullmatch(cell) is not None
