"""Labels against those the champion was trained on: each task, exact values, and what cannot be judged."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlops_assets.core.drift.labels import LabelDrift, label_drift, label_profile
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.core.stats.intervals import CannotJudge

RNG = np.random.default_rng(5)
DAYS = np.repeat(np.arange(10), 200)


def look(task: Any, before: np.ndarray, now: np.ndarray, days: np.ndarray = DAYS, **changes: Any) -> LabelDrift:
    known: dict[str, Any] = {"limit": 0.2, "share_unlabelled": 0.0, "mature": True, **changes}
    return label_drift(label_profile(before, task), float(before.mean()), now, days, task=task, **known)


def test_a_rate_that_doubled_has_moved() -> None:
    before, now = (RNG.random(n) < p for n, p in ((20_000, 0.2), (2_000, 0.45)))
    found = look("binary", before.astype(float), now.astype(float))
    p, q = before.mean(), now.mean()
    assert found.psi == pytest.approx((q - p) * np.log(q / p) + (p - q) * np.log((1 - q) / (1 - p)))
    assert found.js == pytest.approx(jensenshannon([1 - p, p], [1 - q, q]))
    assert (found.what, found.reference, found.value) == ("rate", pytest.approx(p), pytest.approx(q))
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < q < found.upper
    assert found.moved is True
    assert found.sentence.startswith(f"The labels have moved: their rate is {q:.4g} (95 % interval by days")
    json.dumps(as_plain(found))


def test_the_same_rate_has_not() -> None:
    before, now = ((RNG.random(n) < 0.2).astype(float) for n in (20_000, 2_000))
    assert look("binary", before, now).moved is False


def test_a_number_is_compared_by_its_distribution_and_not_by_its_mean_alone() -> None:
    before, now = RNG.normal(size=20_000), RNG.normal(scale=3.0, size=2_000)
    found = look("regression", before, now)
    assert found.moved is True
    assert found.ks == pytest.approx(stats.ks_2samp(before, now).statistic, abs=2e-3)
    assert (found.what, found.reference, found.value) == (
        "mean", pytest.approx(before.mean()), pytest.approx(now.mean()),
    )  # fmt: skip


def test_of_classes_the_one_that_moved_most_is_told_also_a_new_one() -> None:
    before = RNG.choice([0.0, 1.0, 2.0], size=20_000, p=[0.5, 0.3, 0.2])
    now = RNG.choice([0.0, 1.0, 3.0], size=2_000, p=[0.45, 0.25, 0.3])
    found = look("multiclass", before, now)
    assert (found.what, found.reference, found.value) == ("share of class 3", 0.0, pytest.approx(np.mean(now == 3.0)))
    assert found.moved is True


def test_one_class_only_is_told_as_it_is() -> None:
    before = (RNG.random(20_000) < 0.2).astype(float)
    found = look("binary", before, np.zeros(2_000))
    assert (found.value, found.moved) == (0.0, True)


def test_an_immature_window_has_no_verdict_and_says_what_is_missing() -> None:
    before, now = ((RNG.random(n) < p).astype(float) for n, p in ((20_000, 0.2), (2_000, 0.9)))
    found = look("binary", before, now, share_unlabelled=0.4, mature=False)
    assert found.moved is None
    assert found.sentence.startswith("No verdict yet: ")
    assert found.sentence.endswith("40.0% of the rows have no label yet, and those that come early are no fair sample.")
    assert look("binary", before, now, limit=None).moved is None


def test_a_week_has_no_interval_and_no_labels_no_answer() -> None:
    before = (RNG.random(20_000) < 0.2).astype(float)
    found = look("binary", before, before[:2_000], np.repeat(np.arange(5), 400))
    assert (found.lower, found.upper) == (None, None)
    assert "no interval: under eight days" in found.sentence
    with pytest.raises(CannotJudge, match="no label of the window is known"):
        look("binary", before, np.empty(0), np.empty(0))
    with pytest.raises(CannotJudge, match="99 rows"):
        label_profile(before[:99], "binary")
