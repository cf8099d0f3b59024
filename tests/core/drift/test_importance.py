"""Weights of features in the scores: scikit-learn's NDCG as the second opinion, and what has no weight."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import ndcg_score

from mlops_assets.core.drift.importance import importance_drift

NAMES = ["a", "b", "c", "d"]


def contributions(weights: list[float], *, classes: int = 1, seed: int = 3) -> pd.DataFrame:
    """400 rows whose mean absolute contributions are the weights; the bias is large and must not count."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(400, 1))
    return pd.DataFrame(np.tile(np.hstack([signs * np.array(weights), np.full((400, 1), 9.0)]), classes))


@pytest.mark.parametrize("now", [[4.0, 3.0, 2.0, 1.0], [1.0, 3.0, 2.0, 4.0], [0.5, 0.1, 6.0, 1.0]])
def test_the_order_is_kept_as_far_as_scikit_learns_ndcg_says(now: list[float]) -> None:
    before = [4.0, 3.0, 2.0, 1.0]
    found = importance_drift(NAMES, contributions(before), contributions(now))
    assert found is not None
    assert found.ndcg == pytest.approx(ndcg_score([before], [now]))
    shares = np.array(before) / sum(before), np.array(now) / sum(now)
    assert found.distance == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2)
    assert list(found.reference) == NAMES
    assert list(found.current.values()) == pytest.approx(shares[1].tolist())


def test_a_feature_that_takes_over_is_named() -> None:
    found = importance_drift(NAMES, contributions([8.0, 1.0, 1.0, 0.0]), contributions([2.0, 1.0, 1.0, 6.0]))
    assert found is not None
    assert found.sentence == (
        "Of the features' weights in the scores 60.0% went to other features: a 80.0% to 20.0%, d 0.0% to 60.0%; "
        "their order kept 0.655 (NDCG; customary limit 0.9)."
    )


def test_classes_count_alike_and_nothing_moves_between_equals() -> None:
    rows = contributions([4.0, 3.0, 2.0, 1.0], classes=3)
    found = importance_drift(NAMES, rows, rows)
    assert found is not None
    assert (found.ndcg, found.distance) == (pytest.approx(1.0), 0.0)
    assert found.sentence.startswith("Of the features' weights in the scores 0.0% went to other features; their order")


def test_a_model_of_one_leaf_has_no_weights() -> None:
    assert importance_drift(NAMES, contributions([0.0] * 4), contributions([1.0] * 4)) is None
