"""Have the features moved together: what no single feature shows.

Here: a classifier that tells window from reference, the reconstruction error of a PCA, and the share of rows
outside of what the model was trained on. Not here: the rows as numbers (`side_by_side`), features one by one
(`drift`), what it means for the model (`attribution`).

All of them see a seeded sample of at most 20,000 rows, so that their cost is bounded, and take whole days at a time:
rows of one day resemble each other, and a classifier that has seen half of a day recognises the other half.

The classifier sees any difference, also one that no model minds, such as the time of year: an AUC near 1 says that
the window is different, and its first features say where, not that the model is worse. PCA and Mahalanobis see
linear ties only; for both, a missing value is the reference's mean and a category its share in the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.drift.side_by_side import matrix_of, numbers_of, sampled
from mlops_assets.core.models.matrix import FeatureColumn, categories_of, types_of
from mlops_assets.core.stats.intervals import Array, CannotJudge, block_interval, t_quantile
from mlops_assets.core.stats.metrics import metric

_SAMPLE = 20_000
"""Rows of reference and window together that are looked at."""
_SEED = 13
FOLDS = 5
_ROUNDS = 40
VARIANCE = 0.65
"""Share of the variance that the components keep; the default of NannyML, whose measure it is."""
MIN_BLOCKS = 8
OUTSIDE = 0.01
"""Share of the reference's own rows that count as outside its joint support."""
_SHOWN = 5

_PARAMS = {
    "objective": "binary:logistic", "tree_method": "hist", "max_depth": 4, "eta": 0.2, "max_bin": 64, "nthread": 1,
}  # fmt: skip


@dataclass(frozen=True)
class DomainShift:
    """How well a classifier tells the window's rows from the reference's.

    Attributes:
        auc: out of fold; 0.5 means not at all.
        lower: of its 95 % interval by days.
        upper: of it.
        drivers: the features it splits by most, with their share of the gain.
        n_reference: rows looked at.
        n_current: rows looked at.
        sentence: for people.
    """

    auc: float
    lower: float
    upper: float
    drivers: tuple[tuple[str, float], ...]
    n_reference: int
    n_current: int
    sentence: str


@dataclass(frozen=True)
class ReconstructionError:
    """How well the reference's main components describe the window's rows.

    Attributes:
        value: mean distance of the window's rows from their reconstruction, features in standard deviations.
        expected: the same of the reference's blocks of as many days, each left out of its own components.
        lower: of the 95 % range in which a further block would lie.
        upper: of it.
        components: number of them.
        n_blocks: of the reference.
        sentence: for people.
    """

    value: float
    expected: float
    lower: float
    upper: float
    components: int
    n_blocks: int
    sentence: str


@dataclass(frozen=True)
class Support:
    """Rows unlike any that the model was trained on.

    Attributes:
        outside_range: share of rows with a value outside the reference's range, or a new category, in any feature.
        expected_range: the share that another sample of the reference would have.
        features: the features that put most rows outside, with their share.
        outside_joint: share of rows whose Mahalanobis distance is above the reference's 99 % quantile.
        expected_joint: 0.01, what the reference itself has.
        sentence: for people.
    """

    outside_range: float
    expected_range: float
    features: tuple[tuple[str, float], ...]
    outside_joint: float
    expected_joint: float
    sentence: str


def domain_classifier(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[FeatureColumn],
    *,
    reference_days: Any,
    current_days: Any,
    sample: int = _SAMPLE,
    seed: int = _SEED,
) -> DomainShift:
    """Train window against reference (Lopez-Paz and Oquab 2017), out of fold by stretches of days.

    Both sides weigh the same in every fit, or a fold's share of window rows would leak into its scores. The interval
    is DeLong's influence summed by day.

    Args:
        reference: n rows with the columns.
        current: m rows with them.
        columns: the model's features.
        reference_days: shape (n,), the day of each row; sortable.
        current_days: shape (m,).
        sample: rows looked at, of both together.
        seed: of the sample and the classifier.

    Raises:
        CannotJudge: fewer than 100 or 30 rows, infinite values, constant features only, one day only on a side.
    """
    import xgboost

    left, right, days = sampled(reference, current, columns, (reference_days, current_days), sample=sample, seed=seed)
    rows = pd.concat([left, right], ignore_index=True)
    matrix = matrix_of(rows, columns, categories_of(rows, columns))
    is_current = np.repeat([0.0, 1.0], [len(left), len(right)])
    folds = np.concatenate([_folds(days[: len(left)], "reference"), _folds(days[len(left) :], "window")])
    scores = np.empty(len(rows))
    gain: dict[str, float] = {}
    for fold in range(int(folds.max()) + 1):
        fit, out = folds != fold, folds == fold
        y = is_current[fit]
        data = xgboost.QuantileDMatrix(
            matrix[fit],
            y,
            weight=np.where(y == 1.0, 0.5 / y.sum(), 0.5 / (len(y) - y.sum())) * len(y),
            feature_names=[column.name for column in columns],
            feature_types=types_of(columns),
            enable_categorical=True,
            max_bin=_PARAMS["max_bin"],
            nthread=1,
        )
        booster = xgboost.train({**_PARAMS, "seed": seed}, data, num_boost_round=_ROUNDS)
        scores[out] = booster.inplace_predict(matrix[out], validate_features=False)
        for name, value in booster.get_score(importance_type="total_gain").items():
            gain[name] = gain.get(name, 0.0) + float(np.sum(value))
    auc, influence = metric("roc_auc").evaluate(is_current, scores)
    # A day of the reference and the same day of the window are two blocks.
    interval = block_interval(auc, influence, np.unique(days, return_inverse=True)[1] * 2 + is_current.astype(int))
    lower, upper = max(interval.lower, 0.0), min(interval.upper, 1.0)
    total = sum(gain.values()) or 1.0
    drivers = sorted(((name, value / total) for name, value in gain.items()), key=lambda item: (-item[1], item[0]))
    head = "A classifier cannot tell the window from the reference"
    if lower > 0.5:
        head = f"A classifier tells the window from the reference, first by {drivers[0][0]}"
    sentence = f"{head} (AUC {auc:.3f}, 95 % interval by days {lower:.3f} to {upper:.3f})."
    return DomainShift(auc, lower, upper, tuple(drivers[:_SHOWN]), len(left), len(right), sentence)


def reconstruction_error(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[FeatureColumn],
    *,
    reference_days: Any,
    current_days: Any,
    sample: int = _SAMPLE,
    seed: int = _SEED,
) -> ReconstructionError:
    """Distance of rows from the reference's principal components (NannyML's multivariate drift).

    What is normal is said by the reference's own blocks of as many days as the window has, each reconstructed from
    the components of the others; the range is that of one more block (Student's t).

    Raises:
        CannotJudge: as `domain_classifier`, and a reference of fewer than eight such blocks.
    """
    left, right, days = sampled(reference, current, columns, (reference_days, current_days), sample=sample, seed=seed)
    length = len(np.unique(days[len(left) :]))
    _, place = np.unique(days[: len(left)], return_inverse=True)
    blocks = place // length
    # Days that fill no whole block join the last one.
    n_blocks = (int(place.max()) + 1) // length
    if n_blocks < MIN_BLOCKS:
        raise CannotJudge(
            f"the reference has {n_blocks} blocks of {length} days and its spread needs at least {MIN_BLOCKS}",
            "Use a longer reference, or a shorter monitoring.window",
        )
    blocks = np.minimum(blocks, n_blocks - 1)
    numbers, others = numbers_of(left, right, columns)
    errors = np.empty(len(numbers))
    for fold in range(min(FOLDS, n_blocks)):
        out = blocks * min(FOLDS, n_blocks) // n_blocks == fold
        errors[out] = _distances(numbers[~out], numbers[out])[0]
    window_errors, components = _distances(numbers, others)
    means = np.bincount(blocks, errors) / np.bincount(blocks)
    value, expected = float(window_errors.mean()), float(means.mean())
    half = t_quantile(0.975, n_blocks - 1) * float(means.std(ddof=1)) * float(np.sqrt(1.0 + 1.0 / n_blocks))
    inside = abs(value - expected) <= half
    sentence = (
        f"The window's rows are {value:.3f} from their reconstruction by {components} components, "
        f"{'within' if inside else 'outside'} {max(expected - half, 0.0):.3f} to {expected + half:.3f}, the range of "
        f"{n_blocks} blocks of the reference."
    )
    return ReconstructionError(
        value, expected, max(expected - half, 0.0), expected + half, components, n_blocks, sentence
    )


def outside_support(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    columns: Sequence[FeatureColumn],
    *,
    sample: int = _SAMPLE,
    seed: int = _SEED,
) -> Support:
    """Share of rows outside the range of any feature, and outside the joint one.

    The joint support is the ellipsoid of Mahalanobis (1936) that holds 99 % of reference rows it was not laid over,
    with the covariance shrunk as in Ledoit and Wolf (2004), so that features that determine each other do no harm.
    Another sample of the reference has rows outside the range too: 2 / (n + 1) by either end of a number, and by
    the categories that the reference has once (Good 1953).

    Raises:
        CannotJudge: fewer than 100 or 30 rows, infinite values, constant features only.
    """
    left, right, _ = sampled(reference, current, columns, sample=sample, seed=seed)
    outside = np.empty((len(right), len(columns)), dtype=bool)
    inside = 1.0
    for place, column in enumerate(columns):
        known, new = left[column.name].dropna(), right[column.name]
        if column.kind == "numeric":
            is_outside = (new < known.min()) | (new > known.max())
            inside *= 1.0 - 2.0 / (len(known) + 1) if known.nunique() > 1 else 1.0
        else:
            is_outside = new.notna() & ~new.isin(known.unique())
            inside *= 1.0 - int((known.value_counts() == 1).sum()) / max(len(known), 1)
        outside[:, place] = is_outside.fillna(False).to_numpy(dtype=bool)
    numbers, others = numbers_of(left, right, columns)
    joint = _joint_outside(numbers, others, seed)
    shares = outside.mean(axis=0)
    order = [place for place in np.argsort(-shares, kind="stable")[:_SHOWN] if shares[place] > 0]
    any_share = float(outside.any(axis=1).mean())
    sentence = (
        f"{any_share:.1%} of the window's rows have a value outside the reference's range or a new category "
        f"(expected {1.0 - inside:.1%}), {joint:.1%} lie outside its joint support (expected {OUTSIDE:.0%})."
    )
    return Support(
        outside_range=any_share,
        expected_range=1.0 - inside,
        features=tuple((columns[place].name, float(shares[place])) for place in order),
        outside_joint=joint,
        expected_joint=OUTSIDE,
        sentence=sentence,
    )


def _folds(days: NDArray[Any], what: str) -> NDArray[np.int64]:
    """The fold of each row: as many stretches of days as both sides can have, about equal in rows."""
    _, place = np.unique(days, return_inverse=True)
    n_days = int(place.max()) + 1
    if n_days < 2:
        raise CannotJudge(
            f"the {what} has rows of one day only, and a classifier is judged on days it has not seen",
            "Use a longer monitoring.window; features are compared one by one in any case",
        )
    return place * min(FOLDS, n_days) // n_days


def _distances(fitted: Array, rows: Array) -> tuple[Array, int]:
    """Euclidean distance of rows from their projection, and the number of components."""
    from sklearn.decomposition import PCA

    pca = PCA(n_components=VARIANCE, svd_solver="full").fit(fitted)
    back = pca.inverse_transform(pca.transform(rows))
    return np.linalg.norm(rows - back, axis=1), int(pca.n_components_)


def _joint_outside(reference: Array, current: Array, seed: int) -> float:
    from sklearn.covariance import LedoitWolf

    order = np.random.default_rng(seed).permutation(len(reference))
    fitted, held = reference[order[::2]], reference[order[1::2]]
    ellipsoid = LedoitWolf().fit(fitted)
    limit = np.quantile(ellipsoid.mahalanobis(held), 1.0 - OUTSIDE)
    return float(np.mean(ellipsoid.mahalanobis(current) > limit))
