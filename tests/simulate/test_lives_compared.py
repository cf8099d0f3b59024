"""How surely a life is ahead of the platform's, and lives whose model says one thing of all rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlops_assets.core.stats.comparison import mean_gain, paired
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.simulate.lives_compared import ScoredPeriod, constant_lives, gains_on_platform

DAYS = np.arange("2024-01-01", "2024-04-01", dtype="datetime64[D]")


def part(rng: np.random.Generator, days: np.ndarray, rows: int = 40, ahead: float = 0.0) -> tuple[Any, ...]:
    """Labels of some days, and scores of two models: the second is better by so much."""
    blocks = np.repeat(days, rows)
    y = rng.integers(0, 2, len(blocks)).astype(float)
    one, other = (y * strength + rng.normal(size=len(y)) for strength in (1.0, 1.0 + ahead))
    return y, one, other, blocks


@pytest.mark.parametrize("name", ["roc_auc", "log_loss"])
def test_of_one_period_it_is_the_gates_own_interval(name: str) -> None:
    y, one, other, days = part(np.random.default_rng(1), DAYS)
    if name == "log_loss":
        one, other = (1 / (1 + np.exp(-s)) for s in (one, other))
    alone, gate = mean_gain([(y, one, other, days)], name), paired(y, one, other, days, name)
    assert (alone.lower, alone.upper, alone.df) == pytest.approx((gate.lower, gate.upper, gate.df))


def test_its_centre_is_the_mean_of_periods_and_its_error_that_of_their_sums() -> None:
    """Of a mean over P periods the variance is the sum of theirs over P squared, whatever their lengths."""
    rng = np.random.default_rng(2)
    parts = [part(rng, DAYS[:60]), part(rng, DAYS[60:75]), part(rng, DAYS[75:])]
    whole = mean_gain(parts, "roc_auc")
    gains = [metric("roc_auc").score(y, b) - metric("roc_auc").score(y, a) for y, a, b, _ in parts]
    assert (whole.lower + whole.upper) / 2 == pytest.approx(np.mean(gains))
    alone = [paired(y, a, b, days, "roc_auc") for y, a, b, days in parts]
    variance = sum((each.se / each.widened) ** 2 for each in alone) / 3**2
    # A block's correction knows the share of its rows in all of them, or in its period: a tenth of the error at most.
    assert (whole.se / whole.widened) ** 2 == pytest.approx(variance, rel=0.1)


def test_a_life_is_surely_ahead_where_the_interval_says_so() -> None:
    rng = np.random.default_rng(3)
    periods = []
    for label, days in (("a", DAYS[:45]), ("b", DAYS[45:])):
        y, auto, better, blocks = part(rng, days, ahead=1.0)
        said = {"auto": auto, "static": auto + rng.normal(scale=0.01, size=len(y)), "always": better}
        periods.append(ScoredPeriod(label, {"not_judged": None}, y, blocks, said))
    empty = ScoredPeriod("c", {"not_judged": "it has no rows"})
    gains = gains_on_platform([*periods, empty], "roc_auc")
    assert gains["always"][0] > 0 > gains["static"][0]
    few = ScoredPeriod("d", {"not_judged": None}, *(of[:40] for of in (periods[0].y, periods[0].days)), said={})
    assert gains_on_platform([few, empty], "roc_auc") == gains_on_platform([], "roc_auc") == {}
    with pytest.raises(CannotJudge):
        mean_gain([part(rng, DAYS[:7])], "roc_auc")


def test_a_model_without_a_split_is_named_with_its_periods() -> None:
    """What a boosting says that may split nothing: the same of all rows."""
    flat, varied = np.full(9, 0.3), np.linspace(0, 1, 9)
    classes = np.tile([0.2, 0.3, 0.5], (9, 1))
    line: dict[str, Any] = {"not_judged": None}
    periods = [
        ScoredPeriod("a", line, flat, said={"auto": varied, "newest": flat}),
        ScoredPeriod("b", line, flat, said={"auto": varied, "newest": classes, "always": varied}),
        ScoredPeriod("c", line, flat[:1], said={"auto": varied[:1]}),
    ]
    assert constant_lives(periods) == {"newest": ["a", "b"]}
