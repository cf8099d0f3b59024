"""From a frame to the matrix that XGBoost sees, and what is wrong with rows that nobody can learn from.

Here: `FeatureColumn`, named columns to float32 codes and numbers, categories, missing values, the checks of
labels and features, and their errors. Not here: recipes and fits (`model`), the search (`training`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from mlops_assets.core.stats.classes import MOST_CLASSES
from mlops_assets.core.stats.metrics import Task
from mlops_assets.core.values.display import some

if TYPE_CHECKING:
    import pandas as pd

ColumnKind = Literal["numeric", "categorical", "boolean"]
FloatMatrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]

MAX_CATEGORIES = 255
"""Categories kept of one column, the most frequent ones: with more, a bin index no longer fits a byte. Other
values are read as missing."""
BLOCK = 2_048
"""Rows of a matrix that are filled at once, column by column: they stay in the processor's cache. A column over all of
1,000,000 x 50 rows at a time took six times as long."""
MIN_ROWS = 500
"""Fewer labelled rows than this are not trained on, unless the settings say otherwise."""


class CannotTrain(Exception):
    """The data cannot make a model that deserves the name.

    Args:
        why: what is wrong, with numbers.
        remedy: what a person can do about it.
    """

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why, remedy)
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        return f"Cannot train: {self.why}. {self.remedy} Champion and data are as they were."


class TransformerFault(CannotTrain):
    """The transformer of `training.pipeline` does not take the rows, or is not one that a model can rest on."""


class CannotTransform(ValueError):
    """The transformer of a model does not take rows that are to be scored.

    Args:
        why: what it said.
        row: position of the first row that it does not take; None where only some of them together are not taken.
    """

    def __init__(self, why: str, row: int | None) -> None:
        super().__init__(why, row)
        self.why = why
        self.row = row

    def __str__(self) -> str:
        return (
            f"The model's transformer does not take these rows ({self.why}). Correct the file that "
            "training.pipeline names, and train again; or promote a version that takes them."
        )


class WrongColumns(ValueError):
    """A frame does not have the columns of the model, or not of their kind."""


@dataclass(frozen=True)
class FeatureColumn:
    """One feature: its column's name and how its values are read.

    Attributes:
        name: name of the column in every frame.
        kind: `numeric`, `boolean` (true, false, missing) or `categorical` (texts or whole numbers).
    """

    name: str
    kind: ColumnKind = "numeric"

    def __post_init__(self) -> None:
        if self.kind not in ("numeric", "categorical", "boolean"):
            raise ValueError(f"feature {self.name!r}: kind {self.kind!r} must be numeric, categorical or boolean")


def types_of(columns: Sequence[FeatureColumn]) -> list[str]:
    """XGBoost's feature types: `c` for categories, `q` for the rest."""
    return ["c" if column.kind == "categorical" else "q" for column in columns]


def check_labels(y: Any, task: Task, *, rows: int) -> np.ndarray:
    """Labels as float32 of shape (n,), or the reason why they cannot be trained on.

    Raises:
        CannotTrain: see `fit`.
    """
    import pandas as pd

    with np.errstate(over="ignore"):
        labels = _numbers(pd.Series(y).reset_index(drop=True), "the label").astype(np.float32, copy=False)
    if len(labels) != rows:
        raise ValueError(f"{len(labels):,} labels for {rows:,} rows: pass one label a row")
    if rows == 0:
        raise CannotTrain("there are no labelled rows", "Wait for labels, or widen training.window.")
    odd = int(np.sum(~np.isfinite(labels)))
    if odd:
        raise CannotTrain(
            f"{odd:,} of {rows:,} labels are missing or infinite",
            "Let the label model give NULL and leave such rows out, or bound the label there.",
        )
    if task == "regression":
        if labels.min() == labels.max():
            raise CannotTrain(f"all {rows:,} labels are {labels[0]:g}", "Widen training.window until they differ.")
        return labels
    return _check_classes(labels, task)


def _check_classes(labels: np.ndarray, task: Task) -> np.ndarray:
    values = np.unique(labels)
    if np.any(values != np.floor(values)) or values[0] < 0 or (task == "binary" and values[-1] > 1):
        wanted = "0 and 1" if task == "binary" else "class codes 0, 1, 2, ..."
        raise CannotTrain(
            f"labels such as {values[0]:g} and {values[-1]:g} are not {wanted}",
            "Map the label to them in the label model.",
        )
    if values[-1] >= MOST_CLASSES:
        raise CannotTrain(
            f"the label {values[-1]:g} is no class code: they count from 0 and stay below {MOST_CLASSES:,}",
            "Map the label to 0, 1, 2, ... in the label model.",
        )
    if len(values) == 1:
        raise CannotTrain(
            f"all {len(labels):,} labels are {values[0]:g}, one class only",
            "Widen training.window until another class occurs, or check the label model.",
        )
    return labels


def encode(
    frame: pd.DataFrame, columns: Sequence[FeatureColumn], categories: Mapping[str, Sequence[str]]
) -> FloatMatrix:
    """The matrix that XGBoost sees: float32 (n, k), categories as codes, NaN for missing and unseen.

    Raises:
        WrongColumns: a column is missing (all are named) or its values are not of its kind.
    """
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise WrongColumns(
            f"the frame lacks {len(missing)} of the model's {len(columns)} columns: {', '.join(missing)}. "
            "Add them to the feature views it reads, or train a new model without them."
        )
    read = [_read(frame[column.name], column, categories) for column in columns]
    matrix = np.empty((len(frame), len(columns)), dtype=np.float32)
    with np.errstate(over="ignore"):
        for start in range(0, len(frame), BLOCK):
            rows = slice(start, start + BLOCK)
            for position, values in enumerate(read):
                matrix[rows, position] = values[rows]
    return matrix


def _read(series: pd.Series, column: FeatureColumn, categories: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Numbers, booleans or codes of a column, shape (n,); of the frame's own type where numpy knows it."""
    import pandas as pd

    from mlops_assets.core.values.exact import to_booleans

    if isinstance(series, pd.DataFrame):
        raise WrongColumns(f"column {column.name!r} is there twice. Rename one of them in its feature view.")
    if column.kind == "categorical":
        codes, values = _factorize(series)
        known = {value: code for code, value in enumerate(categories.get(column.name, ()))}
        lookup = np.array([known.get(value, np.nan) for value in values] + [np.nan], dtype=np.float32)
        return cast(np.ndarray, lookup[codes])
    if column.kind == "boolean" and not pd.api.types.is_bool_dtype(series.dtype):
        flags = to_booleans(series)
        if (flags.isna() & series.notna()).any():
            raise _not_of_kind(f"column {column.name!r}", series[flags.isna()], "true or false")
        series = flags
    return _numbers(series, f"column {column.name!r}")


def _numbers(series: pd.Series, what: str) -> np.ndarray:
    """A numeric or boolean series, missing as NaN: as it is, or as float32 where numpy doesn't know its type."""
    import pandas as pd

    if series.dtype == object:
        try:
            series = pd.to_numeric(series)
        except (TypeError, ValueError) as error:
            raise _not_of_kind(what, series, "a number") from error
    if series.dtype.kind not in "iufb":
        raise _not_of_kind(what, series, "a number")
    if isinstance(series.dtype, np.dtype):
        return series.to_numpy()
    return series.to_numpy(dtype=np.float32, na_value=np.nan)


def _not_of_kind(what: str, series: pd.Series, wanted: str) -> WrongColumns:
    known = series.dropna()
    example = f", for example {known.iloc[0]!r}" if len(known) else ""
    return WrongColumns(
        f"{what} holds {series.dtype}{example}, where {wanted} is expected. Cast it in its dbt model, or "
        "declare it categorical."
    )


def _factorize(series: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Codes (-1: missing) and the distinct values as texts; 1, 1.0 and "1" are one category."""
    import pandas as pd

    codes, values = pd.factorize(series)
    return codes, [category(value) for value in values]


def category(value: Any) -> str:
    """A categorical value as its text; whole floats as whole numbers."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def categories_of(
    frame: pd.DataFrame, columns: Sequence[FeatureColumn], *, known: Mapping[str, Sequence[str]] | None = None
) -> dict[str, tuple[str, ...]]:
    """The categories of each categorical column: the known ones, then new ones, the most frequent first.

    At most `MAX_CATEGORIES` a column; equally frequent ones in alphabetical order.
    """
    categories: dict[str, tuple[str, ...]] = {}
    for column in columns:
        if column.kind != "categorical" or column.name not in frame.columns:
            continue
        codes, values = _factorize(frame[column.name])
        counts = np.bincount(codes[codes >= 0], minlength=len(values))
        old = tuple((known or {}).get(column.name, ()))
        total: dict[str, int] = {}
        for value, count in zip(values, counts.tolist(), strict=True):
            total[value] = total.get(value, 0) + count
        new = sorted(set(total) - set(old), key=lambda value: (-total[value], value))
        categories[column.name] = (*old, *new)[:MAX_CATEGORIES]
    return categories


def check_finite(matrix: FloatMatrix, columns: Sequence[FeatureColumn]) -> None:
    """Refuse infinities in features.

    Raises:
        CannotTrain: naming the columns.
    """
    # One pass without a temporary of the matrix's size: a sum is infinite or NaN when a value is.
    suspects = np.flatnonzero(~np.isfinite(np.add.reduce(matrix, axis=0, dtype=np.float64)))
    bad = [columns[position].name for position in suspects.tolist() if np.isinf(matrix[:, position]).any()]
    if bad:
        raise CannotTrain(
            f"infinite values in {', '.join(bad)}", "Guard the division in its dbt model with nullif(..., 0)."
        )


def constant_columns(matrix: FloatMatrix, columns: Sequence[FeatureColumn]) -> tuple[str, ...]:
    """Names of the columns that have one value in all rows (or none at all)."""
    head = matrix[:1000]
    names = []
    for position, column in enumerate(columns):
        if _is_constant(head[:, position]) and _is_constant(matrix[:, position]):
            names.append(column.name)
    return tuple(names)


def _is_constant(values: np.ndarray) -> bool:
    if not len(values) or np.isnan(values[0]):
        return bool(np.isnan(values).all())
    return bool((values == values[0]).all())


def all_constant(names: Sequence[str]) -> CannotTrain:
    """The error when no feature varies."""
    return CannotTrain(
        f"all {len(names)} features are constant ({some(names, 10)})",
        "Check the feature views' joins and ttl: such features usually found no rows.",
    )
