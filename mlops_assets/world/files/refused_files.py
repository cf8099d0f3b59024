"""Files that no way in reads: empty ones, what is no table, columns that are there twice, too many bytes.

Here: the looks that cost little, before a row is read. Not here: counting bytes (`unpacked_size`, `parquet_rows`),
quotes that swallow rows (`core.values.csv_quotes`), what stands in the rows (`table_files`, `onboarding.loading`).
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from mlops_assets.core.values.column_names import apart, look_of
from mlops_assets.core.values.csv_head import EMPTY, NoHead
from mlops_assets.core.values.csv_quotes import fault_of_quotes
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.file_kinds import START, fault_inside, fault_of_kind
from mlops_assets.world.files.csv_lines import csv_head
from mlops_assets.world.files.parquet_rows import ParquetRows
from mlops_assets.world.files.unpacked_size import HoldsNul, TooLarge, refuse_nul, unpacks_to_more

PARQUET = (".parquet", ".pq")
_CHUNK = 2**20
DENSE = 100
"""So many times its size on disk no table of data unpacks to; CSV in gzip is 3 to 20 times as large."""


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet by its name."""
    return path.name.lower().endswith(PARQUET)


def refuse_file(path: Path, limit: int, *, with_texts: bool = False) -> None:
    """Refuse a file that holds no table, or that unpacks to more than the limit and to more than data do.

    Args:
        path: CSV or Parquet by its name.
        limit: bytes.
        with_texts: whether texts of Parquet are counted as often as they stand in rows, as they are in memory.

    Raises:
        ValueError: naming the file, with the remedy.
    """
    why = _fault(path) or _fault_of_size(path, limit, with_texts=with_texts) or _fault_of_names(path, limit)
    why = why or _fault_of_quotes(path)
    if why == EMPTY:
        why += ": it is still being written, or its writer failed. Wait, or write it again"
    if why:
        raise ValueError(f"{path} {why}. Nothing was changed.")


def _fault(path: Path) -> str:
    """That it is empty, or not what its name says."""
    size, name = path.stat().st_size, path.name
    with path.open("rb") as file:
        start = file.read(START)
    if why := fault_of_kind(name, start):
        return why
    if is_parquet(path):
        return "" if size else EMPTY
    if path.suffix.lower() == ".gz" and size:
        with gzip.open(path, "rb") as file:
            start = file.read(START)
        return fault_inside(name, start)
    return ""


def _fault_of_size(path: Path, limit: int, *, with_texts: bool) -> str:
    most = max(limit, DENSE * path.stat().st_size)
    try:
        if is_parquet(path):
            ParquetRows(path, limit).refuse_more_than(most, with_texts=with_texts)
        elif unpacks_to_more(path, most):
            raise TooLarge(limit)
        else:
            with path.open("rb") as content:
                refuse_nul(path.name, content)
    except (TooLarge, HoldsNul) as error:
        return f"cannot be read: {error}"
    return ""


def _fault_of_names(path: Path, limit: int) -> str:
    """That it has no columns, or one of them twice: readers take the first, or call the second something else."""
    if is_parquet(path):
        names = ParquetRows(path, limit).schema.names
        if not names:
            return "has no columns. Write it again with some"
        return _twice(list(map(look_of, names)), names, "")
    # What is not UTF-8 the reader tells, with the remedy.
    with suppress(UnicodeDecodeError):
        try:
            names = [name.strip() for name in csv_head(path).names]
        except NoHead as error:
            return str(error)
        alike = " (names that differ in capitals or blanks are one)"
        return _twice([look_of(name).casefold() for name in names], names, alike)
    return ""


def _fault_of_quotes(path: Path) -> str:
    """That a quote swallows rows."""
    if is_parquet(path):
        return ""
    is_packed = path.suffix.lower() == ".gz"
    with (gzip.open if is_packed else open)(path, "rb") as content:
        if not any(b'"' in piece for piece in iter(partial(content.read, _CHUNK), b"")):
            return ""
        content.seek(0)
        # What is not UTF-8 the reader tells, with the remedy.
        with suppress(UnicodeDecodeError):
            return fault_of_quotes(iter(content), csv_head(path))
    return ""


def _twice(keys: Sequence[str], names: Sequence[str], alike: str) -> str:
    counts = Counter(keys)
    twice = {name: key for key, name in zip(keys, names, strict=True) if key and counts[key] > 1}
    alike = " (they look alike)" if len({name.casefold().strip() for name in twice}) > len({*twice.values()}) else alike
    return f"has the column {', '.join(_shown(twice))} twice{alike}. Rename or remove one" if twice else ""


def _shown(names: Collection[str]) -> list[str]:
    return list(map(shown, names)) if all(map(str.isascii, names)) else apart(names)
