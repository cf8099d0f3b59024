"""Labels that follow scores: told where refused cases never get one, and silent where they are missing by chance."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.core.performance.selective_labels import labels_follow_scores

RNG = np.random.default_rng(8)
N = 2_000
SCORES, DAYS = RNG.random(N), RNG.integers(0, 14, N)


@pytest.mark.parametrize("n_days", [14, 7])
def test_refused_cases_without_a_label_are_told(n_days: int) -> None:
    told = labels_follow_scores(SCORES, SCORES < 0.7, DAYS % n_days)
    assert told.startswith("Labels are known for 0% of the rows with the highest scores and for 100% of those with the")
    assert "set label.only_for_accepted" in told
    assert labels_follow_scores(SCORES, SCORES > 0.7, DAYS % n_days) != ""


def test_labels_that_are_missing_by_chance_are_not() -> None:
    for share in (1.0, 0.97, 0.5, 0.0):
        assert labels_follow_scores(SCORES, RNG.random(N) < share, DAYS) == ""


def test_one_bad_day_is_no_pattern() -> None:
    """A day of high scores that lost its labels."""
    bad = DAYS == 0
    scores = np.where(bad, 0.9 + 0.1 * SCORES, 0.95 * SCORES)
    assert (~bad[scores >= np.quantile(scores, 0.8)]).mean() < 0.8
    assert labels_follow_scores(scores, ~bad, DAYS) == ""


def test_few_rows_and_equal_scores_say_nothing() -> None:
    assert labels_follow_scores(SCORES[:200], SCORES[:200] < 0.5, DAYS[:200]) == ""
    assert labels_follow_scores(np.full(N, 0.5), SCORES < 0.5, DAYS) == ""
    assert labels_follow_scores([], [], []) == ""
