"""Drift between any two tables of files, without a home, a model or a lake.

Here: choosing the columns, the passes over the files, statistics and verdict. Not here: reading files
(`table_files`), the statistics (`core.drift`), how they are shown (`commands.drift`, `pages.drift`).

The reference is read twice: once to lay the grid (`core.drift.sampled_grid`), once to count on it. The current
files are read once. The counts are of all rows, so the only error is that of the bins, and it is stated with
each statistic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal

import numpy as np

from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS, Grid, Kind, NumericGrid, Unjudged
from mlops_assets.core.drift.policy import DriftPolicy, DriftVerdict, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.sampled_grid import GridBuilder
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.values.display import some
from mlops_assets.core.values.exact import FLOAT_WHOLE
from mlops_assets.world.files.table_files import TableFiles, open_table
from mlops_assets.world.files.type_words import TIME, same_type

TOLD_APART = 32
"""So many floats lie in the range of a column, at least, that is judged."""
_TOLD = 3
"""Columns that the headline names."""
Progress = Callable[[str, int], None]
"""Told after each batch: what is done with which files, and how many rows it was done with."""


class NothingToCompare(ValueError):
    """No column of two tables can be compared; those that are gone or of another type are named.

    Attributes:
        broken: these columns.
    """

    def __init__(self, message: str, broken: tuple[str, ...]) -> None:
        """What to say, with the remedy, and the columns."""
        super().__init__(message)
        self.broken = broken


@dataclass(frozen=True, eq=False)
class FilesDrift:
    """What two tables of files have to do with each other.

    Attributes:
        reference: profile of the reference.
        current: profile of the current rows, on the same grid.
        drifts: statistics by feature, the worst first: drifted ones, then judged, then the rest, each by PSI.
        verdict: by the policy.
        left_out: column -> why it wasn't compared.
        broken: those of them that the reference has and the current files lack, or have in another type.
        notes: how the files differ though their values can be compared, in sentences.
    """

    reference: Profile
    current: Profile
    drifts: tuple[FeatureDrift, ...]
    verdict: DriftVerdict
    left_out: Mapping[str, str]
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The answer in a line: columns that are gone or of another type come before how the others moved."""
        answer = {True: "No drift", False: "Drift", None: "Cannot judge"}[self.verdict.passed]
        if not self.broken:
            return answer
        changed = [f"{name}: {self.left_out[name].partition(': ')[0]}" for name in self.broken]
        return f"Columns changed ({some(changed, _TOLD, between='; ')}). {answer} in the others"


def compare_files(
    reference: str,
    current: str,
    *,
    policy: DriftPolicy,
    columns: Sequence[str] = (),
    ignore: Sequence[str] = (),
    progress: Progress = lambda what, rows: None,
) -> FilesDrift:
    """Compare two tables of Parquet or CSV files, column by column.

    Args:
        reference: a file, a folder or a glob.
        current: the same.
        policy: the limits.
        columns: those to compare; by default all that both have.
        ignore: those to leave out.
        progress: told after each batch.

    Raises:
        FileNotFoundError: no file matches.
        NothingToCompare: no column can be compared.
        ValueError: a file cannot be read, or a named column doesn't exist.
        CannotJudge: the reference has fewer than 100 rows, or the current files none.
    """
    old, new = open_table(reference), open_table(current)
    kinds, left_out = _chosen(old, new, columns, ignore)
    flags = old.flags | new.flags
    builder = GridBuilder(kinds)
    for frame in old.batches(kinds, flags):
        builder.add(frame)
        progress(f"Laying the grid over {reference}", builder.rows)
    if not builder.rows:
        raise _no_rows(reference)
    if builder.rows < MIN_REFERENCE_ROWS:
        raise CannotJudge(
            f"{reference} has {builder.rows} rows and a reference needs at least {MIN_REFERENCE_ROWS}",
            "Give more files, for example as a glob in quotes: 'days/*.parquet'",
        )
    ids = {name: why for name, why in builder.identifiers().items() if name not in columns}
    # Where there is nothing else, they are told of as columns that cannot be judged.
    ids = ids if len(ids) < len(kinds) else {}
    kinds, left_out = {n: kind for n, kind in kinds.items() if n not in ids}, left_out | ids
    grid = builder.grid(without=ids)
    grid = Grid.of({**grid.features, **{name: why for name in kinds if (why := _too_long(name, grid, old, new))}})
    del builder  # its sample is the largest thing in memory
    before = profile_files(old, kinds, grid, progress, flags)
    after = profile_files(new, kinds, grid, progress, flags)
    if after.rows == 0:
        raise _no_rows(current)
    drifts = compare(before, after)
    verdict = drift_verdict(drifts, policy)
    drifts.sort(key=lambda d: (d.feature not in verdict.findings, d.why is not None, -(d.psi or 0.0), d.feature))
    broken = tuple(name for name in left_out if _is_broken(name, old, new))
    notes = (*_two_marks(kinds, old, new), *old.notes, *new.notes)
    return FilesDrift(before, after, tuple(drifts), verdict, left_out, broken, notes)


def _two_marks(kinds: Mapping[str, Kind], old: TableFiles, new: TableFiles) -> tuple[str, ...]:
    """What is said of columns that have a decimal point in one file and a decimal comma in another."""
    both = {name: new.marks(name) | old.marks(name) for name, kind in kinds.items() if kind == "numeric"}
    both = {name: marks for name, marks in both.items() if len(marks) > 1}
    if not both:
        return ()
    files = next(iter(both.values()))
    return (
        f"{some([*both], _TOLD)} {'has' if len(both) == 1 else 'have'} a decimal point in {files['point'].name} and a "
        f"decimal comma in {files['comma'].name}: each file is read by its own mark here, and refused where both are "
        "landed or become one model. Write all with one mark.",
    )


def _no_rows(name: str) -> CannotJudge:
    return CannotJudge(f"{name} has no rows", "Wait until its data has come, or give other files.")


def profile_files(
    table: TableFiles,
    kinds: Mapping[str, Kind],
    grid: Grid,
    progress: Progress = lambda what, rows: None,
    flags: Collection[str] = (),
) -> Profile:
    """Count the rows of a table on a grid, in one pass."""
    whole: Profile | None = None
    # Without a feature that can be judged the rows are counted all the same.
    for frame in table.batches({name: kinds[name] for name in grid.judged} or kinds, flags):
        part = Profile.of(grid, frame)
        whole = part if whole is None else whole + part
        progress(f"Counting {table.name}", whole.rows)
    # A table without a row gives no batch; its profile is that of nothing.
    return whole if whole is not None else Profile.empty(grid)


def _chosen(
    old: TableFiles, new: TableFiles, columns: Sequence[str], ignore: Sequence[str]
) -> tuple[dict[str, Kind], dict[str, str]]:
    everywhere = dict.fromkeys([*old.kinds, *old.left_out, *new.kinds, *new.left_out])
    for name in (*columns, *ignore):
        if name not in everywhere:
            raise ValueError(
                f"Neither {old.name} nor {new.name} has a column {name!r}. They have: {_named(everywhere)}."
            )
    wanted = [name for name in everywhere if name not in ignore and (not columns or name in columns)]
    kinds: dict[str, Kind] = {}
    left_out: dict[str, str] = {}
    for name in wanted:
        if why := _why_not(name, old, new):
            left_out[name] = why
            continue
        both = {old.kinds[name], new.kinds[name]} - {"empty"}
        # Nothing is known of a column without a value on either side; it will be told that it cannot be judged.
        kinds[name] = "categorical" if "categorical" in both else "numeric"
    if not kinds:
        broken = tuple(name for name in left_out if _is_broken(name, old, new))
        changed = "".join(f" {name}: {left_out[name]}." for name in broken)
        raise NothingToCompare(
            f"{old.name} and {new.name} have no column that can be compared. The first has {_named(old.kinds)}; the "
            f"second {_named(new.kinds)}.{changed} Give files whose columns have the same names and hold numbers or "
            "text.",
            broken,
        )
    return kinds, left_out


def _why_not(name: str, old: TableFiles, new: TableFiles) -> str:
    for table, other in ((old, new), (new, old)):
        if name in table.left_out:
            return table.left_out[name]
        if name not in table.kinds:
            return f"only {other.name} has it"
    both = {old.kinds[name], new.kinds[name]} - {"empty"}
    if both == {"numeric", "categorical"}:
        of_numbers, of_texts = (old, new) if old.kinds[name] == "numeric" else (new, old)
        if name in of_texts.flags and of_numbers.holds_flags(name):
            return ""
    if _changed(name, old, new):
        places = " and ".join(f"{_word(name, each)} in {each.name}" for each in (old, new))
        text = of_texts.first_text(name) if both == {"numeric", "categorical"} else ""
        return f"{places}{text}: give it one type"
    return "a time, or another type that has no distribution here" if "other" in both else ""


def _changed(name: str, old: TableFiles, new: TableFiles) -> bool:
    """Whether a column that both have is of another type in one."""
    kinds = {old.kinds[name], new.kinds[name]}
    if kinds == {"other"}:
        return not same_type(old.others[name], new.others[name])
    if kinds == {"categorical"} and (name in old.flags) != (name in new.flags):
        return not (new if name in old.flags else old).holds_flags(name)
    if kinds == {"categorical", "other"} and (old.csv or new.csv):
        # All of CSV is text; in Parquet a column has a type, and who reads it by that type fails on another.
        of_texts, of_times = (old, new) if old.kinds[name] == "categorical" else (new, old)
        return not (same_type(of_times.others[name], TIME) and of_texts.holds_times(name))
    return len(kinds) > 1 and "empty" not in kinds


def _word(name: str, table: TableFiles) -> str:
    if name in table.flags:
        return "true and false"
    return table.others.get(name) or {"numeric": "a number", "categorical": "text"}[table.kinds[name]]


def _too_long(name: str, grid: Grid, old: TableFiles, new: TableFiles) -> Unjudged | None:
    """Why numbers with more digits than a float cannot be told apart; None where they can."""
    laid = grid.features[name]
    if not isinstance(laid, NumericGrid):
        return None
    is_large = bool(np.abs(laid.edges[[0, -1]]).max() > FLOAT_WHOLE)
    known = old.long_ends(name, is_large=is_large)
    both = [*known, *new.long_ends(name, is_large=is_large)]
    if not both:
        return None
    exactly = Context(prec=100)
    low, high = (min(known), max(known)) if len(set(known)) > 1 else (min(both), max(both))
    span, gap = exactly.subtract(high, low), Decimal(math.ulp(float(max(map(abs, both)))))
    if not 0 < span < exactly.multiply(gap, TOLD_APART):
        return None
    return Unjudged(
        f"its numbers have more digits than a float of 64 bits: from {low:f} to {high:f} they are nearly one",
        "Take a number off all of them that lies among them, or leave the column out",
    )


def _is_broken(name: str, old: TableFiles, new: TableFiles) -> bool:
    """Whether a column of the reference is gone, or of another type: no drift, and worse."""
    if name not in old.kinds or name in new.left_out:
        return name in old.kinds
    return name not in new.kinds or _changed(name, old, new)


def _named(names: Mapping[str, object]) -> str:
    return some([*names], 10) or "no columns"
