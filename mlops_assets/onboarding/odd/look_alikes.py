"""Columns that are one by their look or by what they hold: named otherwise in some files, or there under two names.

Here: names that differ in what nobody sees, columns that some files lack or folders alone have, copies of a column. Not
here: values in several spellings (`spellings`), names that a table cannot have (`core.values.column_names`).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, groupby
from pathlib import Path

from mlops_assets.core.values.column_names import apart, look_of
from mlops_assets.core.values.display import shown, some
from mlops_assets.core.values.sql import quoted
from mlops_assets.onboarding.reading.places import names_in
from mlops_assets.onboarding.reading.table import Table

_MOST = 5
"""Columns that a sentence names."""


def uneven_columns(files: Sequence[Path]) -> list[str]:
    """Sentences on columns that some files lack, each with two files."""
    names = {file: names_in(file) for file in files}
    written = {key: name for spelled in reversed(names.values()) for key, name in spelled.items()}
    every = list(dict.fromkeys(key for spelled in names.values() for key in spelled))
    there = {key: [file for file in files if key in names[file]] for key in every}
    uneven = {key: of for key, of in there.items() if len(of) < len(files)}
    renamed = [
        (column, other)
        for column, other in combinations(uneven, 2)
        if not {*uneven[column]} & {*uneven[other]} and len(uneven[column]) + len(uneven[other]) == len(files)
    ]
    said = [
        f"{shown(written[column])} is a column of {_some_files(uneven[column])}, and {shown(written[other])} of "
        f"{_some_files(uneven[other])} in its place: they are two columns, each missing in the other files"
        f"{_alike(written[column], written[other])}. If one is the other by a new name, write one name into all files."
        for column, other in renamed
    ]
    alone = [key for key in uneven if not any(key in pair for pair in renamed)]
    for key in alone[:_MOST]:
        lacking = [file for file in files if file not in uneven[key]]
        has = "have" if len(uneven[key]) > 1 else "has"
        said.append(
            f"{shown(written[key])} is no column of {_some_files(lacking)}, and missing in their rows; "
            f"{_some_files(uneven[key])} {has} it."
        )
    more = len(alone) - _MOST
    return [*said, f"{more:,} more columns are missing in some files."] if more > 0 else said


def columns_in_folders(table: Table) -> list[str]:
    """Warnings about columns that stand in the names of folders alone, as in `color=red/p.parquet`."""
    values: dict[str, dict[str, None]] = {}
    for file in table.files:
        for folder in file.parent.parts:
            name, sign, value = folder.partition("=")
            if sign and name and name not in table.facts:
                values.setdefault(name, {})[value] = None
    return [
        f"{shown(name)} stands in the names of folders ({some([shown(f'{name}={value}') for value in known], 3)}), as "
        "Spark and pandas write it, and in no file: it is left out. Write it into the files as a column, if it matters."
        for name, known in values.items()
        if len(known) > 1
    ]


def copies(table: Table, without: Sequence[str] = ()) -> list[str]:
    """Sentences on columns that hold the same in every row.

    Args:
        table: the rows.
        without: columns of which it is not said.
    """
    columns = [facts for name, facts in table.facts.items() if name not in without and facts.distinct > 1]

    def make(facts: object) -> tuple[object, ...]:
        return tuple(getattr(facts, field) for field in ("dtype", "distinct", "missing", "low", "high"))

    alike = [list(group) for _, group in groupby(sorted(columns, key=lambda first: repr(make(first))), key=make)]
    pairs = [(first.name, other.name) for group in alike for first, other in combinations(group, 2)]
    order = list(table.facts)
    same: dict[str, str] = {}
    for first, other in (sorted(pair, key=order.index) for pair in pairs):
        differ = (
            f"select exists (select 1 from {table.relation} where {quoted(first)} is distinct from {quoted(other)})"
        )
        if other not in same and not table.first(differ)[0]:
            same[other] = same.get(first, first)
    return [
        f"{shown(other)} is {shown(first)} in every row: as two features they tell one thing twice, and share "
        "what it is worth. Leave one out of the file, or of the feature view."
        for other, first in same.items()
    ]


def _some_files(files: Sequence[Path]) -> str:
    return some([file.name for file in files], 1)


def _alike(name: str, other: str) -> str:
    return (
        f" (they look alike: {' and '.join(apart([name, other]))})"
        if look_of(name).casefold() == look_of(other).casefold()
        else ""
    )
