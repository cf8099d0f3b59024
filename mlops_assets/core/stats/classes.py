"""Class codes: which a model can say, scores of models with other numbers of classes, and classes that come and go.

Here: giving scores a column of zeros for a class their model does not know, putting parts with other numbers of classes
together, and finding new and vanished classes in labels. Not here: the metrics (`metrics`), what a family makes of
the codes (`families`), reading labels and champion (`steps.watch.classes`).

A code stays what it is: a class without rows leaves a gap, and no other class moves into it. A model has one column for
each code up to the highest it was fitted on. A row of a higher code is a row of a class that the model gave no chance:
its call is wrong, its log loss is that of a probability of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops_assets.core.stats.intervals import MIN_BLOCKS, Array, CannotJudge

MOST_CLASSES = 1_000
"""A label with a code from here on is a number and no class: a year, an amount, an identifier."""
MISSED = 20.0
"""Rows of a class that were to be expected before it counts as gone: by chance none of 20 come once in 5e8 cases."""


# --- scores ------------------------------------------------------------------------------------------------


def class_count(labels: Any) -> int:
    """Columns that a model of these class codes has, shape (n,), n > 0: the highest code and one."""
    return int(np.max(labels)) + 1


def codes_of(labels: Array, known: int) -> np.ndarray:
    """Labels as whole numbers.

    Args:
        labels: shape (n,), n > 0.
        known: classes of the model that is judged on them.

    Raises:
        CannotJudge: they are no class codes.
    """
    codes = labels.astype(np.int64)
    if np.any(codes != labels) or codes.min() < 0 or codes.max() >= max(known, MOST_CLASSES):
        odd = labels[(codes != labels) | (codes < 0) | (codes >= max(known, MOST_CLASSES))][0]
        raise CannotJudge(
            f"some labels, such as {odd:g}, are not class codes 0, 1, 2, ... below {max(known, MOST_CLASSES):,}",
            "Map the label to them in the label model",
        )
    return codes


def widened(scores: Any, classes: int) -> Any:
    """Class probabilities with a column of zeros for each class that their model does not know.

    Args:
        scores: shape (n, k); of shape (n,) they are not of classes and come back as they are.
        classes: fewest columns of the result.
    """
    if scores.ndim < 2 or scores.shape[1] >= classes:
        return scores
    return np.pad(scores, ((0, 0), (0, classes - scores.shape[1])))


def alike(*scores: Any) -> tuple[Any, ...]:
    """Scores of several models, each `widened` to the classes of the one that knows most."""
    most = max((array.shape[1] for array in scores if array.ndim == 2), default=0)
    return tuple(widened(array, most) for array in scores)


def stacked(parts: Sequence[Any]) -> Any:
    """Scores of parts of the rows, each by its own model, one after the other."""
    return np.concatenate(alike(*parts))


def placed(total: int, parts: Sequence[tuple[np.ndarray, Any]]) -> Array:
    """Scores of some of `total` rows, by row position; NaN in rows that no part scores.

    Args:
        total: rows in all.
        parts: positions and their scores, at least one.
    """
    values = alike(*(scores for _, scores in parts))
    by_row = np.full((total, *values[0].shape[1:]), np.nan)
    for (rows, _), scores in zip(parts, values, strict=True):
        by_row[rows] = scores
    return by_row


def knowing(scores: Any, days: Any) -> np.ndarray:
    """Which rows were scored by a model that knew every class, shape (n,).

    Where a class comes inside the gate window, the parts before it are judged by fits that cannot say it. What ships
    can: later windows are held against the other parts, or against all where these have fewer than eight days.

    Args:
        scores: shape (n,) or (n, k): columns of zeros where a part did not know a class.
        days: the calendar day of each row, shape (n,).
    """
    whole = np.ones(len(scores), dtype=bool)
    if scores.ndim < 2:
        return whole
    knows_all: np.ndarray = np.all(np.asarray(scores) > 0.0, axis=1)
    return knows_all if np.unique(np.asarray(days)[knows_all]).size >= MIN_BLOCKS else whole


# --- classes that come and go ------------------------------------------------------------------------------


@dataclass(frozen=True)
class NewClass:
    """A class that the champion was not trained on.

    Attributes:
        code: of the class.
        since: its first day.
        rows: that have it.
        share: of the labelled rows since then.
    """

    code: int
    since: str
    rows: int
    share: float

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"Class {self.code} is new: {self.rows:,} rows since {self.since}, {self.share:.1%} of those with a label; "
            "the champion cannot say it, so each of them counts as wrong."
        )


@dataclass(frozen=True)
class GoneClass:
    """A class that the champion was trained on and that has had no row for long.

    Attributes:
        code: of the class.
        last: its last day; None: none since the champion was fitted.
        share: of the rows that the champion was trained on.
        missed: rows since then of which that share was to be expected.
    """

    code: int
    last: str | None
    share: float
    missed: int

    @property
    def sentence(self) -> str:
        """For people."""
        since = f"since {self.last}" if self.last else "since the champion was trained"
        return (
            f"Class {self.code} is gone: none of {self.missed:,} rows {since}, where about "
            f"{self.share * self.missed:,.0f} were to be expected; its code is kept for it."
        )


@dataclass(frozen=True)
class Uncoded:
    """Rows that say when their label became known, and have none: the label model gives its value no code.

    Attributes:
        since: their first day.
        rows: how many there are.
    """

    since: str
    rows: int

    @property
    def sentence(self) -> str:
        """For people."""
        return (
            f"{self.rows:,} rows since {self.since} have a label that the label model gives no code: they are neither "
            "trained on nor judged. Put its value at the end of the list there, so that the others keep their codes."
        )


@dataclass(frozen=True)
class ClassChanges:
    """What has come and gone, by code."""

    new: tuple[NewClass, ...] = ()
    gone: tuple[GoneClass, ...] = ()
    uncoded: Uncoded | None = None

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.new or self.gone or self.uncoded)

    @property
    def sentence(self) -> str:
        """For people."""
        changes: list[NewClass | GoneClass | Uncoded] = [*self.new, *self.gone]
        changes += [self.uncoded] if self.uncoded else []
        return " ".join(change.sentence for change in changes) or "The labels have the classes that the champion knows."

    @property
    def rows(self) -> int:
        """Rows whose class the champion cannot say."""
        return sum(new_class.rows for new_class in self.new) + (self.uncoded.rows if self.uncoded else 0)


def class_changes(labels: Any, days: Any, known: Mapping[int, float], *, settled: Any = None) -> ClassChanges:
    """Which classes the champion was not trained on, and which of its classes come no more.

    Args:
        labels: those that became known since the champion was fitted, class codes, shape (n,); NaN where the label
            model has no code for it.
        days: the calendar day of each, shape (n,).
        known: code -> share of the rows that the champion was trained on.
        settled: which rows are of days whose labels have all come, shape (n,); a class is missed on these only. Default
            all.
    """
    y, of = np.asarray(labels, dtype=np.float64), np.asarray(days, dtype="datetime64[D]")
    use = np.ones(y.size, dtype=bool) if settled is None else np.asarray(settled)
    coded = np.isfinite(y)
    uncoded = Uncoded(str(of[~coded].min()), int((~coded).sum())) if not coded.all() else None
    y, of, use = y[coded], of[coded], use[coded]
    new = []
    for code in sorted(set(np.unique(y).tolist()) - set(known)):
        first = of[y == code].min()
        rows, since = int((y == code).sum()), int((of >= first).sum())
        new.append(NewClass(int(code), str(first), rows, rows / since))
    gone = []
    for code, share in sorted(known.items()):
        own = of[y == code]
        missed = int((use & (of > own.max())).sum() if own.size else use.sum())
        if share * missed >= MISSED:
            gone.append(GoneClass(code, str(own.max()) if own.size else None, share, missed))
    return ClassChanges(tuple(new), tuple(gone), uncoded)
