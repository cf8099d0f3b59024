"""The transformer of a recipe: read, fitted on rows, and applied to rows.

Here: what may be a transformer, its fit with all that is tried before a model rests on it, what it makes of rows and
which row it cannot take. Not here: the family behind it (`transformed`), the file format of scikit-learn
(`skops_file`), where the user's file lies (`steps.promote`).
"""

from __future__ import annotations

import base64
import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.families import Rows
from mlops_assets.core.models.families.linear import one_thread
from mlops_assets.core.models.families.skops_file import load_trusted, packed
from mlops_assets.core.models.matrix import CannotTransform, FloatMatrix, TransformerFault, encode
from mlops_assets.core.models.recipe import Recipe
from mlops_assets.core.models.sample_rows import sample_rows
from mlops_assets.core.values.display import some

_RANDOM = "random_state"
_NO_SEED = (None, "deprecated")
"""Values of a seed that was left open; the second is `TargetEncoder`'s from scikit-learn 1.9 on, which shuffles all the
same: without a seed no fit could be made again."""
_FAULTS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, AssertionError, RuntimeError)
"""What scikit-learn and the functions in a transformer raise of data that it cannot take; memory and disk are not
its fault."""


def unfitted(content: bytes, place: str) -> str:
    """The text of a transformer for a recipe, from its file.

    Args:
        content: of a file that `skops.io.dump` has written.
        place: of the file, for messages.

    Raises:
        ValueError: it is no such file, holds types that are not scikit-learn's or numpy's, or no transformer.
    """
    transformer = load_trusted(content, place)
    last = transformer.steps[-1][1] if hasattr(transformer, "steps") else transformer
    if not (hasattr(transformer, "transform") and hasattr(transformer, "fit_transform")):
        raise ValueError(
            f"{place} holds {type(last).__name__}, which is not a transformer: leave the model out of the pipeline, "
            "and name its kind under training.families"
        )
    # Written anew, since skops names parts by their addresses: equal transformers are equal texts.
    return base64.b64encode(zlib.compress(packed(transformer, {}), 9)).decode("ascii")


def is_same(before: str, now: str) -> bool:
    """Whether two texts that `unfitted` has given are of one transformer: another release may write it otherwise."""
    return before == now or len({unfitted(zlib.decompress(base64.b64decode(text)), "") for text in (before, now)}) == 1


def fit_transformer(recipe: Recipe, rows: Rows) -> tuple[dict[str, Any], FloatMatrix]:
    """The recipe's transformer fitted on rows, and what a family is fitted on.

    As in scikit-learn's `Pipeline`, that is what `fit_transform` gives: an encoder of the label (`TargetEncoder`)
    encodes each row there by other rows, and `transform` of the same rows would hand their labels to the family.

    Returns:
        The transformer with the number of columns that it makes and a usual value of each feature; the rows' numbers.

    Raises:
        TransformerFault: it does not take these rows, or not every row that can come, or cannot be read from a file.
    """
    transformer = load_trusted(zlib.decompress(base64.b64decode(recipe.transformer or "")), "the recipe")
    params = transformer.get_params().items()
    open_seeds = [name for name, value in params if name.endswith(_RANDOM) and value in _NO_SEED]
    transformer.set_params(**dict.fromkeys(open_seeds, recipe.seed))
    frame = _frame(recipe, rows.matrix)
    try:
        with one_thread(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*random_state.*deprecated", FutureWarning)
            numbers = _dense(transformer.fit_transform(frame, rows.y), len(frame))
        if not numbers.shape[1]:
            raise ValueError("it makes no column")
    except _FAULTS as error:
        raise TransformerFault(
            f"the transformer of training.pipeline cannot be fitted ({_first_line(error)})",
            f"Correct it, or the features that it names; there are {', '.join(recipe.names)}.",
        ) from error
    held = {"transformer": transformer, "columns": numbers.shape[1], "usual": _usual_values(recipe, rows.matrix)}
    _try_reading(held)
    _try_samples(recipe, held)
    return held, numbers


def _try_reading(held: Mapping[str, Any]) -> None:
    """Write the fitted transformer and read it, as whoever scores will: the fit may have put other types into it."""
    try:
        load_trusted(packed(held["transformer"], {}), "its file")
    except _FAULTS as error:
        raise TransformerFault(
            f"the transformer of training.pipeline can be fitted, but not be read back from a version's file ({error})",
            "Leave that step out, or take another one for the same purpose.",
        ) from error


def _try_samples(recipe: Recipe, held: Mapping[str, Any]) -> None:
    """Transform the rows that the online service tries before a version answers."""
    samples = sample_rows(recipe)
    matrix = encode(pd.DataFrame(samples, columns=list(recipe.names)), recipe.columns, recipe.categories)
    try:
        with np.errstate(all="ignore"):
            transformed_rows(recipe, held, matrix)
    except CannotTransform as error:
        if error.row == 0:
            raise TransformerFault(
                f"the transformer of training.pipeline takes no row in which everything is missing ({error.why})",
                "Any feature may be missing, or have a new category, when it is asked for: fill gaps with "
                "SimpleImputer, and set handle_unknown='ignore' where it encodes.",
            ) from error
        known = {} if error.row is None else samples[error.row]
        values = some([f"{name}={value}" for name, value in known.items() if value is not None], 5)
        raise TransformerFault(
            "the transformer of training.pipeline does not take every value that a feature may have "
            f"({error.why}){f', for example in a row with {values}' if values else ''}",
            "Whatever is sent has to be answered, and the online service tries such a row before it takes a version: "
            "use steps that take any number, such as PowerTransformer(method='yeo-johnson') or "
            "SplineTransformer(extrapolation='constant').",
        ) from error


def _first_line(error: Exception) -> str:
    """What an error says, without the advice of several lines that scikit-learn adds."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")


def _usual_values(recipe: Recipe, matrix: FloatMatrix) -> np.ndarray:
    """The mean of each number, the most frequent category; missing where there is nothing else."""
    values = np.full(len(recipe.columns), np.nan, dtype=np.float32)
    for place, column in enumerate(recipe.columns):
        known = matrix[:, place][~np.isnan(matrix[:, place])]
        if len(known):
            is_code = column.kind == "categorical"
            values[place] = np.bincount(known.astype(np.int64)).argmax() if is_code else known.mean(dtype=np.float64)
    return values


def _frame(recipe: Recipe, matrix: FloatMatrix) -> pd.DataFrame:
    """Encoded rows as a transformer sees them: features by name, categories as texts, None where one is missing."""
    values: dict[str, Any] = {}
    for place, column in enumerate(recipe.columns):
        numbers = matrix[:, place]
        if column.kind == "categorical":
            known = np.array([*recipe.categories.get(column.name, ()), None], dtype=object)
            values[column.name] = known[np.where(np.isnan(numbers), len(known) - 1, numbers).astype(np.int64)]
        else:
            values[column.name] = numbers.astype(np.float64)
    return pd.DataFrame(values)


def transformed_rows(recipe: Recipe, held: Mapping[str, Any], matrix: FloatMatrix) -> FloatMatrix:
    """What the fitted transformer makes of encoded rows, infinite values as missing.

    Raises:
        CannotTransform: it does not take them; with the position of the first row that it does not take alone.
    """
    frame = _frame(recipe, matrix)
    try:
        return _applied(held, frame)
    except _FAULTS as error:
        raise CannotTransform(_first_line(error), _first_at_fault(held, frame)) from error


def _applied(held: Mapping[str, Any], frame: pd.DataFrame) -> FloatMatrix:
    with one_thread():
        numbers = _dense(held["transformer"].transform(frame), len(frame))
    if numbers.shape[1] != int(held["columns"]):
        raise ValueError(f"it makes {numbers.shape[1]:,} columns here, and made {held['columns']:,} when it was fitted")
    return numbers


def _first_at_fault(held: Mapping[str, Any], frame: pd.DataFrame) -> int | None:
    """Position of the first row that is not taken, by halving; None where only some rows together are not."""
    start, stop = 0, len(frame)
    while stop - start > 1:
        middle = (start + stop) // 2
        if _fails(held, frame.iloc[start:middle]):
            stop = middle
        elif _fails(held, frame.iloc[middle:stop]):
            start = middle
        else:
            return None
    return start


def _fails(held: Mapping[str, Any], frame: pd.DataFrame) -> bool:
    try:
        _applied(held, frame)
    except _FAULTS:
        return True
    return False


def _dense(made: Any, rows: int) -> FloatMatrix:
    """What a transformer gave as float32 of shape (rows, columns), infinite values as missing.

    Raises:
        ValueError: it is something else.
    """
    dense = made.toarray() if hasattr(made, "toarray") else np.asarray(made)
    if dense.ndim != 2 or len(dense) != rows:
        raise ValueError(f"it makes an array of shape {dense.shape} of {rows:,} rows: give one row of numbers a row")
    try:
        with np.errstate(over="ignore"):
            numbers: FloatMatrix = np.ascontiguousarray(dense, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"it lets values through that are not numbers: {error}; encode such columns, or drop them "
            "(remainder='drop')"
        ) from error
    numbers[np.isinf(numbers)] = np.nan
    return numbers
