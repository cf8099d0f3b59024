"""The lines of a CSV file: its head, and the first line that is no row of it.

Here: the head of a file, rows with more or fewer cells than the header has names, bytes that are no text. Not here: the
head of a text (`core.values.csv_head`), the rows (`csv_tables`), rows without a value (`empty_rows`).
"""

from __future__ import annotations

import codecs
import csv
import gzip
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.csv_head import LONGEST_CELL, CsvHead, head_of


def csv_head(path: Path) -> CsvHead:
    """The names of a CSV file's columns and how it is written.

    Raises:
        NoHead: it begins with no names.
        UnicodeDecodeError: its beginning is not UTF-8.
    """
    with gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb") as file:
        start = file.read(LONGEST_CELL)
    # What is cut off in the middle of a letter is no fault.
    return head_of(codecs.getincrementaldecoder("utf-8")().decode(start), is_cut=len(start) == LONGEST_CELL)


def uneven_row(path: Path) -> str:
    """The first row with more or fewer cells than the header has names, in words; empty where there is none."""
    is_packed = path.suffix.lower() == ".gz"
    with (gzip.open if is_packed else open)(path, "rb") as file:
        return _row_unlike(file, csv_head(path), lambda cells, names: cells != names)


def long_row(content: Iterable[bytes], head: CsvHead) -> str:
    """The first row of a file with more cells than the header has names, in words, with what to do."""
    row = _row_unlike(content, head, int.__gt__)
    return row and f"{row}: put what holds a separator into quotes, or leave out the separator behind the last cell"


def _row_unlike(content: Iterable[bytes], head: CsvHead, is_unlike: Callable[[int, int], bool]) -> str:
    lines = (line.decode("utf-8", errors="replace").removeprefix("\ufeff") for line in content)
    rows = csv.reader(islice(lines, head.skipped, None), delimiter=head.separator)
    with suppress(csv.Error):  # a cell that is longer than Python's limit
        for row in rows:
            if row and is_unlike(len(row), len(head.names)):
                line = rows.line_num + head.skipped
                cells, names = counted(len(row), "cell"), counted(len(head.names), "name")
                return f"line {line:,} has {cells} and its header {names}"
    return ""


def not_utf8(content: bytes) -> str:
    """What is wrong with text that is not UTF-8, and what to do."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"is not UTF-8 in line {line:,}: convert it, for example with `iconv -f latin1 -t utf-8 OLD > NEW`"
    return ""
