"""Golden sets: a few rows whose predictions a person has agreed to, each with a tolerance and until when.

Here: choosing rows for review, the checks of such a table, and the gate's rule on it. Not here: files (`steps`).

A golden set is held against every challenger, so it must be allowed to age: after `expires` a row says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from mlops_assets.core.models.matrix import FeatureColumn, category
from mlops_assets.core.promote.gate import RuleResult
from mlops_assets.core.stats.metrics import THRESHOLD, Task
from mlops_assets.core.values.display import some

_SCORE = "expected_score"
_LABEL = "expected_label"
TOLERANCE = "tolerance"
EXPIRES = "expires"


def choose_rows(
    rows: pd.DataFrame,
    scores: np.ndarray,
    columns: Sequence[FeatureColumn],
    *,
    n: int,
    tolerance: float,
    expires: date,
    keys: Sequence[str] = (),
) -> pd.DataFrame:
    """Rows for review, from the lowest score to the highest in even steps of their rank.

    Args:
        rows: with features.
        scores: of the champion, shape (n,) or (n, k).
        columns: its features.
        n: how many rows.
        tolerance: how far a score may be from the champion's; of classes the label is agreed and not the score.
        expires: the last day on which the rows are held.
        keys: further columns of `rows` that tell a person which row it is.

    Returns:
        `keys`, the expectation, tolerance, `expires`, and the features.
    """
    order = np.argsort(scores if scores.ndim == 1 else scores.max(axis=1), kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(int))]
    expected = (
        {_SCORE: scores[chosen].astype(np.float64), TOLERANCE: tolerance}
        if scores.ndim == 1
        else {_LABEL: scores[chosen].argmax(axis=1)}
    )
    picked = rows.iloc[chosen].reset_index(drop=True)
    features = {
        column.name: picked[column.name].map(category, na_action="ignore")
        if column.kind == "categorical"
        else picked[column.name]
        for column in columns
    }
    return pd.DataFrame({**{key: picked[key] for key in keys}, **expected, EXPIRES: expires.isoformat(), **features})


def checked(frame: pd.DataFrame, columns: Sequence[FeatureColumn], task: Task) -> pd.DataFrame:
    """The table with `expires` as dates, if it can be held against a model.

    Raises:
        ValueError: it cannot; the message says what to change.
    """
    wrong = _wrong(frame, columns, task)
    if wrong:
        raise ValueError(
            f"the golden set {wrong}. Correct it, or write a new one with `mlops golden`; nothing changed."
        )
    return frame.assign(**{EXPIRES: pd.to_datetime(frame[EXPIRES]).dt.date})


def _wrong(frame: pd.DataFrame, columns: Sequence[FeatureColumn], task: Task) -> str:
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        return f"lacks {len(missing)} of the model's features: {', '.join(missing)}"
    if frame.empty:
        return "has no rows"
    if EXPIRES not in frame.columns or pd.to_datetime(frame[EXPIRES], errors="coerce").isna().any():
        return f"needs a date such as 2026-12-31 in every row of `{EXPIRES}`"
    if not {_SCORE, _LABEL} & set(frame.columns):
        return f"needs a column `{_SCORE}` or `{_LABEL}`"
    if _SCORE in frame.columns and task == "multiclass":
        return f"has `{_SCORE}`, but a prediction of classes has many: give `{_LABEL}`"
    if _LABEL in frame.columns and task == "regression":
        return f"has `{_LABEL}`, but a regression has no classes: give `{_SCORE}` with a `{TOLERANCE}`"
    numbers = [name for name in (_SCORE, TOLERANCE, _LABEL) if name in frame.columns]
    if _SCORE in numbers and TOLERANCE not in numbers:
        return f"has `{_SCORE}` without `{TOLERANCE}`"
    for name in numbers:
        values = pd.to_numeric(frame[name], errors="coerce")
        if values.isna().any() or (name == TOLERANCE and (values < 0).any()):
            return f"needs a number{' of zero or more' if name == TOLERANCE else ''} in every row of `{name}`"
    return ""


def golden_rule(frame: pd.DataFrame, scores: np.ndarray, today: date) -> list[RuleResult]:
    """Every row that has not expired is predicted as agreed.

    Args:
        frame: as `checked` gives it.
        scores: of the model that ships, on these rows.
        today: the model's clock; a row is held through its day.

    Returns:
        One result: the value is the number of rows that are off, the limit 0. When all have expired it passes with a
        warning.
    """
    live = (frame[EXPIRES] >= today).to_numpy()
    expired = f" ({int((~live).sum())} more have expired)" if not live.all() else ""
    if not live.any():
        detail = (
            f"WARNING: all {len(frame)} rows of the golden set have expired, the last on {frame[EXPIRES].max()}, so "
            "nothing was held against it. Review it and write a new one with `mlops golden`"
        )
        return [RuleResult("golden_set_holds", True, None, 0.0, detail)]
    off = _off(frame, scores) & live
    if not off.any():
        detail = f"all {int(live.sum())} golden rows are predicted as agreed{expired}"
        return [RuleResult("golden_set_holds", True, 0.0, 0.0, detail)]
    detail = some([_difference(frame.iloc[row], scores[row], row) for row in np.flatnonzero(off).tolist()], 3)
    sentence = f"{int(off.sum())} of {int(live.sum())} golden rows are off: {detail}{expired}"
    return [RuleResult("golden_set_holds", False, float(off.sum()), 0.0, sentence)]


def _off(frame: pd.DataFrame, scores: np.ndarray) -> np.ndarray:
    """Whether a row is off by its score, or by its label."""
    off = np.zeros(len(frame), dtype=bool)
    if _SCORE in frame.columns:
        off |= np.abs(scores - frame[_SCORE].to_numpy(dtype=float)) > frame[TOLERANCE].to_numpy(dtype=float)
    if _LABEL in frame.columns:
        off |= _call(scores) != frame[_LABEL].to_numpy(dtype=float)
    return off


def _call(scores: np.ndarray) -> np.ndarray:
    return scores.argmax(axis=1) if scores.ndim == 2 else (scores >= THRESHOLD).astype(int)


def _difference(row: pd.Series, score: np.ndarray, position: int) -> str:
    said = f"row {position + 1}"
    if _SCORE in row.index:
        said += f" scores {float(score):.4g}, {float(row[_SCORE]):.4g} ± {float(row[TOLERANCE]):.4g} agreed"
    if _LABEL in row.index:
        said += f" is called {int(_call(np.asarray([score]))[0])}, {int(row[_LABEL])} agreed"
    return said
