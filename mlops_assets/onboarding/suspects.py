"""Columns that cannot have been known at the event, by what they hold: too good to be true, or there too late.

Here: how well each column alone predicts the label on rows it was not fitted on, times after the event, columns that
are there exactly where the label is. Not here: what is done about it (`plan`).

A column is cut into groups (its values, or 50 quantile bins; missing is a group), each group predicts what the label
is there on one half of the rows, and is judged on the other. No single honest column of a hard problem does that
nearly without a fault; a column that is filled in after the outcome does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import Task, metric
from mlops_assets.core.values.sql import free_name, quoted
from mlops_assets.onboarding.columns import role_of
from mlops_assets.onboarding.labels import Label
from mlops_assets.onboarding.reading.table import Table
from mlops_assets.onboarding.times import TimeColumn

LIMIT = 0.98
"""AUC, share of variance, or share of right classes from which on a column is suspected."""
_BINS = 50
_SAMPLE = 50_000
"""Rows looked at."""
_MIN_ROWS = 100
_WORDS: Mapping[Task, str] = {
    "binary": "it ranks the label with an AUC of {score:.3f}",
    "regression": "it explains {score:.1%} of the label's variance",
    "multiclass": "it gives the right class in {score:.1%} of rows",
}


def doubted(table: Table, time: TimeColumn, label: Label) -> dict[str, str]:
    """Columns that were not known at the event, by what they hold: why."""
    reasons: dict[str, str] = {}
    rows = table.rows
    for name, facts in table.facts.items():
        if name in (time.name, label.name) or facts.missing == rows:
            continue
        column = quoted(name)
        if facts.is_time:
            later = _count(
                table, f"{column}::timestamptz > {time.sql}" + (" + interval '1 day'" if facts.dtype == "DATE" else "")
            )
            if later > 0.01 * (rows - facts.missing):
                reasons[name] = f"it lies after {time.name} in {later / (rows - facts.missing):.0%} of its rows"
        elif 0.01 < facts.missing_share < 0.99 and 0.01 < label.missing_share < 0.99:
            apart = _count(table, f"({column} is null) <> ({quoted(label.name)} is null)")
            if apart < 0.001 * rows:
                reasons[name] = "it is there exactly where the label is"
    sql = label.sql.replace("{column}", quoted(label.name))
    target = free_name("the label", table.facts)
    sample = table.connection.execute(
        f"select *, {sql} as {quoted(target)} from {table.relation} using sample {_SAMPLE} rows (reservoir, 13)"
    ).df()
    judged = [
        n
        for n, f in table.facts.items()
        if n not in (time.name, label.name) and role_of(f)[0] != "left out" and not f.is_time
    ]
    return {**suspects(sample[judged], sample[target], label.task), **reasons}


def _count(table: Table, condition: str) -> int:
    return int(table.first(f"select count(*) from {table.relation} where {condition}")[0])


def suspects(frame: pd.DataFrame, label: pd.Series, task: Task) -> dict[str, str]:
    """Columns that nearly determine the label, each with a sentence that says so.

    Args:
        frame: columns as they are, n rows in random order.
        label: shape (n,): 0 or 1, numbers, or class codes; rows where it is missing do not count.
        task: of the model.
    """
    known = label.notna().to_numpy()
    y = label[known].to_numpy(dtype=np.float64)
    if len(y) < _MIN_ROWS:
        return {}
    reasons = {}
    for name in frame.columns:
        score = predictive(frame.loc[known, name], y, task)
        if score is not None and score >= LIMIT:
            reasons[name] = f"by itself {_WORDS[task].format(score=score)}"
    return reasons


def predictive(column: pd.Series, y: np.ndarray, task: Task) -> float | None:
    """How well a column alone predicts, on the half of the rows it did not learn from; None where it cannot be told."""
    groups = _groups(column)
    half = np.arange(len(y)) % 2 == 0
    count = int(groups.max()) + 1
    if task == "multiclass":
        classes, codes = np.unique(y, return_inverse=True)
        seen = np.zeros((count, len(classes)))
        np.add.at(seen, (groups[half], codes[half]), 1)
        commonest = np.bincount(codes[half], minlength=len(classes)).max() / half.sum()
        right = float((seen.argmax(axis=1)[groups[~half]] == codes[~half]).mean())
        # Where one class is nearly all there is, everything is right nearly always.
        return right if commonest < LIMIT - 0.03 else None
    # As shares of the largest, which changes neither score: the square of 1e155 is beyond a double.
    y = y / (np.abs(y).max() or 1.0)
    sums = np.bincount(groups[half], weights=y[half], minlength=count)
    sizes = np.bincount(groups[half], minlength=count)
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), y[half].mean())
    try:
        return metric("roc_auc" if task == "binary" else "r2").score(y[~half], means[groups[~half]])
    except CannotJudge:
        return None


def _groups(column: pd.Series) -> np.ndarray:
    """Codes 0, 1, ... of a column's values or quantile bins; missing is the last."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and column.nunique() > _BINS:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        edges = np.unique(np.nanquantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
        codes = np.searchsorted(edges, values)
        return np.where(np.isnan(values), len(edges) + 1, codes)
    codes, uniques = pd.factorize(column)
    return np.where(codes < 0, len(uniques), codes)
