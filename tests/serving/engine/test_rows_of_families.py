"""Every family can answer online: a row alone has the score that it has among others, bit by bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Recipe, fit
from mlops_assets.serving.engine.arms import verified

PARAMS: dict[str, dict[str, Any]] = {
    "xgboost": {"objective": "binary:logistic", "max_depth": 4},
    "linear": {"C": 1.0},
    "sgd": {"eta0": 0.001, "alpha": 1e-5, "loss": "log_loss"},
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("family", PARAMS)
def test_a_row_alone_scores_as_among_others(family: str, seed: int) -> None:
    """Of many columns, categories among them: that is where sums of single precision differ by their order."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{k}": draw.normal(size=2000) for k in range(20)})
    frame = frame.assign(c=draw.choice([f"v{k}" for k in range(30)], 2000), d=draw.choice(list("abcdef"), 2000))
    y = (frame.x0 + (frame.d == "a") + draw.normal(size=2000) > 0.3).astype(float).to_numpy()
    columns = tuple(FeatureColumn(name, "categorical" if name in ("c", "d") else "numeric") for name in frame)
    model = fit(Recipe(family, "binary", PARAMS[family], 5, columns), frame, y)
    assert verified(model, "models:/m/1").quick, "by what is quick for few rows"
