"""The formulas of the metrics: value and influence, for labels that are known and for labels that have a chance.

Here: arithmetic on clean arrays. Not here: names, directions and the checks of rows (`metrics`), who feeds
chances in place of labels (`estimation`).

A formula of classes takes the chance of each label. Known labels have chances of 0 and 1 and give the metric;
calibrated probabilities give the metric that labels drawn from them have on average (of ratios: to order 1/n).
It returns the value and, for each row, the influence it has if its label is the one or the other.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlops_assets.core.stats.intervals import Array, CannotJudge

BinaryFormula = Callable[[Array, Array], tuple[float, Array, Array]]
"""(chance of class 1 (n,), scores (n,)) -> value, influence if the label is 0 (n,), if it is 1 (n,)."""
MulticlassFormula = Callable[[Array, Array], tuple[float, Array]]
"""(chances (n, k), scores (n, k)) -> value, influence if the label is c (n, k)."""
RegressionFormula = Callable[[Array, Array], tuple[float, Array]]
"""(labels (n,), predictions (n,) or bounds (n, 2)) -> value, influence (n,)."""

THRESHOLD = 0.5
"""A score at or above it counts as class 1 in accuracy, precision, recall, F1, false-positive rate and profit."""
CALIBRATION_BINS = 10
"""Equal-width bins of the calibration error, as in Guo et al. (2017)."""


# --- binary ------------------------------------------------------------------------------------------------


def probabilities(s: Array) -> Array:
    """The scores, if they are probabilities.

    Raises:
        CannotJudge: they aren't.
    """
    if s.min() < 0.0 or s.max() > 1.0:
        raise CannotJudge(
            f"scores run from {s.min():.4g} to {s.max():.4g} and are no probabilities",
            "Let the model return probabilities, or judge by roc_auc, which needs only an order",
        )
    return s


def roc_auc(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Chance that a positive scores above a negative; influence by placement values (DeLong et al. 1988)."""
    n, n1 = p.size, float(p.sum())
    n0 = n - n1
    if n1 <= 0.0 or n0 <= 0.0:
        raise _one_class("roc_auc", p)
    _, codes = np.unique(s, return_inverse=True)
    ones = np.bincount(codes, weights=p)
    zeros = np.bincount(codes) - ones
    below = ((np.cumsum(zeros) - 0.5 * zeros) / n0)[codes]
    above = ((n1 - np.cumsum(ones) + 0.5 * ones) / n1)[codes]
    value = _dot(p, below) / n1
    return value, (above - value) * (n / n0), (below - value) * (n / n1)


def pr_auc(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Average precision: the mean over positives of the precision at their score, and its delta method."""
    n, n1 = p.size, float(p.sum())
    if n1 <= 0.0 or n1 >= n:
        raise _one_class("pr_auc", p)
    _, codes = np.unique(-s, return_inverse=True)
    ones = np.bincount(codes, weights=p).astype(np.float64)
    called = np.cumsum(np.bincount(codes)).astype(np.float64)
    precision = np.cumsum(ones) / called
    value = _dot(ones, precision) / n1
    # A row moves the precision at every positive that scores no higher than itself.
    reach = np.cumsum((ones / called)[::-1])[::-1][codes]
    paid = np.cumsum((ones * precision / called)[::-1])[::-1][codes]
    return value, -paid * (n / n1), (precision[codes] - value + reach - paid) * (n / n1)


def log_loss(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Mean negative log likelihood."""
    tiny = np.finfo(np.float64).eps
    clipped = np.clip(probabilities(s), tiny, 1.0 - tiny)
    return _mean_of(p, -np.log1p(-clipped), -np.log(clipped))


def brier(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Mean squared error of the probability."""
    return _mean_of(p, probabilities(s) ** 2, (1.0 - s) ** 2)


def accuracy(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Share of right calls."""
    called = _called(s)
    return _mean_of(p, 1.0 - called, called)


def precision(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Share of calls that are right."""
    called = _called(s)
    if not called.any():
        raise CannotJudge(f"no score of {p.size:,} reaches {THRESHOLD}, so precision is 0/0", "Judge by roc_auc or f1")
    value = float((called * p).sum() / called.sum())
    scale = called * (p.size / called.sum())
    return value, -value * scale, (1.0 - value) * scale


def precision_of_class(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Precision of one class of several: 0 where nothing is called it, as scikit-learn's macro mean has it."""
    if not _called(s).any():
        return 0.0, np.zeros_like(s), np.zeros_like(s)
    return precision(p, s)


def recall(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Share of positives that are called."""
    if not p.any():
        raise _one_class("recall", p)
    called = _called(s)
    value = float((called * p).sum() / p.sum())
    return value, np.zeros_like(s), (called - value) * (p.size / p.sum())


def false_positive_rate(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Share of negatives that are called."""
    negatives = float((1.0 - p).sum())
    if negatives <= 0.0:
        raise _one_class("false_positive_rate", p)
    called = _called(s)
    value = float((called * (1.0 - p)).sum() / negatives)
    return value, (called - value) * (p.size / negatives), np.zeros_like(s)


def f1(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Harmonic mean of precision and recall."""
    if not p.any():
        raise _one_class("f1", p)
    called = _called(s)
    total = called.sum() + p.sum()
    value = float(2.0 * (called * p).sum() / total)
    scale = p.size / total
    return value, -value * called * scale, (2.0 * called - value * (called + 1.0)) * scale


def calibration_error(p: Array, s: Array) -> tuple[float, Array, Array]:
    """Expected calibration error; biased upwards by about sqrt(bins / n): compare on the same rows."""
    bins = np.minimum((probabilities(s) * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    sign = np.sign(np.bincount(bins, weights=p - s, minlength=CALIBRATION_BINS))[bins]
    return _mean_of(p, -sign * s, sign * (1.0 - s))


def profit(
    true_negative: float,
    false_positive: float,
    false_negative: float,
    true_positive: float,
    threshold: float = THRESHOLD,
) -> BinaryFormula:
    """Mean of what each row brings, by its call (a score of at least `threshold`) and its label."""

    def formula(p: Array, s: Array) -> tuple[float, Array, Array]:
        called = s >= threshold
        if_negative = np.where(called, false_positive, true_negative)
        return _mean_of(p, if_negative, np.where(called, true_positive, false_negative))

    return formula


def _called(s: Array) -> Array:
    return (s >= THRESHOLD).astype(np.float64)


def _mean_of(p: Array, if_0: Array, if_1: Array) -> tuple[float, Array, Array]:
    """The mean of a row's own number, which is one of two."""
    value = float((p * if_1 + (1.0 - p) * if_0).mean())
    return value, if_0 - value, if_1 - value


def _one_class(name: str, p: Array) -> CannotJudge:
    return CannotJudge(
        f"all {p.size:,} labels are {p[0]:g}, and {name} needs both classes",
        "Widen the window until both classes occur",
    )


# --- several classes ---------------------------------------------------------------------------------------


def one_vs_rest(binary: BinaryFormula, *, of_calls: bool) -> MulticlassFormula:
    """Mean of a binary metric over the classes that have rows (`of_calls`: of the most likely class)."""

    def formula(chances: Array, s: Array) -> tuple[float, Array]:
        present = np.flatnonzero(chances.sum(axis=0) >= 1.0)
        if not present.size:
            raise CannotJudge(f"of {len(s):,} rows no class is expected to have one", "Widen the window")
        best = s.argmax(axis=1)
        values, rest, extra = [], np.zeros(len(s)), np.zeros_like(s)
        for c in present:
            value, if_0, if_1 = binary(chances[:, c], (best == c).astype(np.float64) if of_calls else s[:, c])
            values.append(value)
            rest += if_0
            extra[:, c] = if_1 - if_0
        return float(np.mean(values)), (rest[:, None] + extra) / len(present)

    return formula


def multi_accuracy(chances: Array, s: Array) -> tuple[float, Array]:
    """Share of rows whose most likely class is theirs."""
    return _mean_over(chances, (s.argmax(axis=1)[:, None] == np.arange(s.shape[1])).astype(np.float64))


def multi_log_loss(chances: Array, s: Array) -> tuple[float, Array]:
    """Mean negative log likelihood."""
    return _mean_over(chances, -np.log(np.clip(probabilities(s), np.finfo(np.float64).eps, 1.0)))


def multi_brier(chances: Array, s: Array) -> tuple[float, Array]:
    """Brier's own form, summed over the classes: 0 to 2."""
    return _mean_over(chances, (probabilities(s) ** 2).sum(axis=1)[:, None] - 2.0 * s + 1.0)


def multi_calibration_error(chances: Array, s: Array) -> tuple[float, Array]:
    """Top-label calibration: the highest probability against whether it was right."""
    best = s.argmax(axis=1)
    value, if_wrong, if_right = calibration_error(chances[np.arange(len(s)), best], s.max(axis=1))
    return value, np.where(best[:, None] == np.arange(s.shape[1]), if_right[:, None], if_wrong[:, None])


def multi_profit(brings: Callable[[int], Array], named: int) -> MulticlassFormula:
    """Mean of what each row brings, by its call (the most likely class) and its label.

    Args:
        brings: number of classes -> what a row of a class (down) brings that is called as another (across).
        named: so many classes the table knows.
    """

    def formula(chances: Array, s: Array) -> tuple[float, Array]:
        # The table may name a class that the model or these rows do not have.
        classes = s.shape[1]
        table = brings(max(classes, named))[:classes, :classes]
        return _mean_over(chances, table.T[s.argmax(axis=1)])

    return formula


def _mean_over(chances: Array, numbers: Array) -> tuple[float, Array]:
    value = float((chances * numbers).sum(axis=1).mean())
    return value, numbers - value


# --- regression --------------------------------------------------------------------------------------------


def rmse(y: Array, s: Array) -> tuple[float, Array]:
    """Root mean squared error."""
    squared = (y - s) ** 2
    value = float(np.sqrt(squared.mean()))
    return value, np.zeros_like(y) if value == 0.0 else (squared - value**2) / (2.0 * value)


def mae(y: Array, s: Array) -> tuple[float, Array]:
    """Mean absolute error."""
    return _mean(np.abs(y - s))


def r2(y: Array, s: Array) -> tuple[float, Array]:
    """Share of the label's variance explained."""
    spread = (y - y.mean()) ** 2
    variance = float(spread.mean())
    if variance == 0.0:
        raise CannotJudge(
            f"all {y.size:,} labels are {y[0]:g}, and r2 is undefined on a constant", "Judge by rmse or mae"
        )
    squared = (y - s) ** 2
    ratio = float(squared.mean()) / variance
    return 1.0 - ratio, (ratio * spread - squared) / variance


def interval_coverage(y: Array, bounds: Array) -> tuple[float, Array]:
    """Share of labels inside their bounds, ends included."""
    lower, upper = bounds[:, 0], bounds[:, 1]
    crossed = int(np.sum(lower > upper))
    if crossed:
        raise CannotJudge(
            f"{crossed:,} of {y.size:,} rows have a lower bound above the upper one",
            "Sort the model's quantiles before they are written",
        )
    return _mean(((lower <= y) & (y <= upper)).astype(np.float64))


def regression_profit(under_prediction: float, over_prediction: float) -> RegressionFormula:
    """Minus the mean cost of a row: so much per unit that the prediction was too low, and too high."""

    def formula(y: Array, s: Array) -> tuple[float, Array]:
        return _mean(-under_prediction * np.maximum(y - s, 0.0) - over_prediction * np.maximum(s - y, 0.0))

    return formula


def _mean(rows: Array) -> tuple[float, Array]:
    value = float(rows.mean())
    return value, rows - value


def _dot(a: Array, b: Array) -> float:
    """Without BLAS, whose threads sum in another order from process to process: a figure on record has one value."""
    return float((a * b).sum())
