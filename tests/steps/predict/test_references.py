"""What later windows are estimated from: written at promotion, read back for each task, and clear words without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.performance.cbpe import ConfidenceEstimator
from mlops_assets.core.performance.dle import LossEstimator, fit_losses
from mlops_assets.core.performance.estimation import Estimator, Outcomes
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import local_days
from mlops_assets.steps.predict import references
from mlops_assets.steps.predict.references import read_estimator, score_columns, score_matrix, write_outcomes
from mlops_assets.world.lake import Lake

DAYS, PER_DAY = 14, 60
N = DAYS * PER_DAY
RNG = np.random.default_rng(3)
X = RNG.standard_normal(N)
TIMES = pd.date_range("2013-01-01", periods=N, freq=pd.Timedelta(days=1) / PER_DAY, tz="UTC")
COLUMNS = [FeatureColumn("x")]
P = 1 / (1 + np.exp(-X))
SCORES = {"binary": P, "multiclass": np.column_stack([1 - P, P / 2, P / 2]), "regression": 2 * X}
LABELS = {
    "binary": (RNG.random(N) < P).astype(float),
    "multiclass": RNG.integers(0, 3, N).astype(float),
    "regression": 2 * X + RNG.standard_normal(N),
}


def settings(task: str) -> ModelSettings:
    label = {"model": "lbl", "column": "y"}
    return ModelSettings.model_validate(
        {"name": "m", "description": "A number.", "task": task, "label": label, "features": ["f"],
         "metric": "mae" if task == "regression" else "log_loss",
         "start": date(2013, 1, 1), "timezone": "America/New_York"}
    )  # fmt: skip


def rows_of(task: str, n: int = N) -> pd.DataFrame:
    return pd.DataFrame({"event_timestamp": TIMES[:n], "label": LABELS[task][:n], "x": X[:n]})


def written(tmp_path: Path, task: str, n: int = N) -> Lake:
    lake = Lake(root=str(tmp_path))
    write_outcomes(lake, settings(task), 3, rows_of(task, n), scores=SCORES[task][:n], columns=COLUMNS)
    return lake


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_what_is_read_back_estimates_as_what_was_written(tmp_path: Path, task: str) -> None:
    found = read_estimator(written(tmp_path, task), settings(task), 3)
    day = local_days(TIMES, "America/New_York")
    outcomes = Outcomes(LABELS[task], SCORES[task], day)
    expected: Estimator
    if task == "regression":
        models, held_out = fit_losses(rows_of(task), COLUMNS, outcomes)
        expected = LossEstimator(replace(outcomes, losses=held_out), models)
    else:
        expected = ConfidenceEstimator(outcomes)
    names = ["mae", "rmse"] if task == "regression" else ["roc_auc", "log_loss"]
    arguments = (SCORES[task], day, names)
    assert found.estimate(*arguments, features=rows_of(task)) == expected.estimate(*arguments, features=rows_of(task))


def test_a_version_without_outcomes_says_how_they_come(tmp_path: Path) -> None:
    with pytest.raises(CannotJudge, match="version 4 has no labels and scores of its gate window") as caught:
        read_estimator(written(tmp_path, "binary"), settings("binary"), 4)
    assert "promote a version by materializing m/evaluation and m/champion" in caught.value.remedy


def test_a_regression_of_few_rows_is_kept_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CannotJudge, match="the model of the error cannot be fitted"):
        read_estimator(written(tmp_path, "regression", n=500), settings("regression"), 3)


def test_a_large_gate_window_is_kept_as_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "OUTCOMES", 500)
    lake = written(tmp_path, "binary")
    kept = pd.read_parquet(lake.folder("references", "m", "version=3") / "outcomes.parquet")
    assert len(kept) == 500
    assert set(kept["score"]) <= set(P)
    assert kept["day"].nunique() == len(np.unique(local_days(TIMES, "America/New_York")))


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_scores_stand_in_files_as_they_came(task: str) -> None:
    frame = score_columns(SCORES[task]).assign(score_lower=0.0, label=1.0)
    assert np.array_equal(score_matrix(frame), SCORES[task])
