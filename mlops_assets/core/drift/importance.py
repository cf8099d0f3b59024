"""How far the weights of the features in a model's scores have changed.

Here: the weights of two sets of contributions, held against each other. Not here: the contributions (`model`), what the
shift of the mean score is made of (`attribution`).

A feature weighs its share of the mean absolute contribution. How far the order of the weights has changed is the
normalised discounted cumulative gain (Järvelin and Kekäläinen 2002) of the reference's weights in the window's order,
as in the attribution drift of Amazon SageMaker Clarify, which warns below 0.9. The discount is by rank, so features
far down hardly count; how much weight went elsewhere is the total variation.

A model's weights do not change by themselves: it is the rows that are others. A feature that had one value in the
reference and varies now weighs more, and the model was never tested on that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlops_assets.core.drift.policy import NDCG_LIMIT
from mlops_assets.core.stats.intervals import Array

_TOLD = 3
LEAST_MOVED = 0.0005
"""Less is not told feature by feature."""


@dataclass(frozen=True)
class ImportanceDrift:
    """How far the weights of the features have changed.

    Attributes:
        ndcg: of the reference's weights in the window's order; 1: the order is the same.
        distance: total variation of the two sets of weights, 0 to 1: the share that went to other features.
        reference: feature -> its share of the mean absolute contribution in the reference, largest first.
        current: the same in the window.
    """

    ndcg: float
    distance: float
    reference: Mapping[str, float]
    current: Mapping[str, float]

    @property
    def sentence(self) -> str:
        """For people, with the customary limit, by which nothing is done."""
        return self.in_words(f"customary limit {NDCG_LIMIT:g}")

    def in_words(self, limit: str) -> str:
        """For people, with the limit that somebody has agreed on."""
        change = {name: self.current[name] - before for name, before in self.reference.items()}
        moved = sorted(change, key=lambda name: (-abs(change[name]), name))[:_TOLD]
        moves = [
            f"{name} {self.reference[name]:.1%} to {self.current[name]:.1%}"
            for name in moved
            if abs(change[name]) >= LEAST_MOVED
        ]
        head = f"Of the features' weights in the scores {self.distance:.1%} went to other features"
        order = f"their order kept {self.ndcg:.3f} (NDCG; {limit})"
        return f"{head}{': ' if moves else ''}{', '.join(moves)}; {order}."


def importance_drift(
    names: Sequence[str], reference: pd.DataFrame, current: pd.DataFrame, *, without: Collection[str] = ()
) -> ImportanceDrift | None:
    """Weights of the window's contributions against those of the reference.

    Args:
        names: the features, k of them.
        reference: contributions as `Model.contributions` returns them: k + 1 columns, or (k + 1) a class; the last of
            each k + 1 is the bias, which has no weight.
        current: of the window.
        without: features that are left out on both sides.

    Returns:
        None where no feature contributes anything on one of the sides, such as in a model of one leaf.
    """
    kept = np.array([name not in without for name in names], dtype=np.bool_)
    before, after = (_weights(frame, len(names))[kept] for frame in (reference, current))
    names = [name for name in names if name not in without]
    if before.sum() == 0.0 or after.sum() == 0.0:
        return None
    before, after = before / before.sum(), after / after.sum()
    order = np.argsort(-before, kind="stable")
    return ImportanceDrift(
        ndcg=_ndcg(before, after),
        distance=float(np.abs(before - after).sum() / 2.0),
        reference={names[place]: float(before[place]) for place in order},
        current={names[place]: float(after[place]) for place in order},
    )


def _weights(frame: pd.DataFrame, n_features: int) -> Array:
    """Mean absolute contribution of each feature, over rows and classes."""
    values = np.abs(frame.to_numpy(dtype=np.float64)).mean(axis=0)
    weights: Array = values.reshape(-1, n_features + 1)[:, :-1].mean(axis=0)
    return weights


def _ndcg(gain: Array, score: Array) -> float:
    """Discounted gain in the order of the scores over that in the best order."""
    discount = 1.0 / np.log2(np.arange(len(gain)) + 2.0)
    # Ties in the scores keep the order of the reference, as features without weight on both sides do.
    order = np.lexsort((-gain, -score))
    return float(gain[order] @ discount / (np.sort(gain)[::-1] @ discount))
