"""Whole numbers that name rows, apart from measurements: equal pairs, an even spread, an order in time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mlops_assets.core.values.identifiers import is_clock, is_spread_evenly, never_repeats, repeats

ROWS = 2_000
Draw = Callable[[np.random.Generator], np.ndarray]


def drawn(draw: Draw, seed: int) -> np.ndarray:
    return np.asarray(draw(np.random.default_rng([27, seed]))).astype(np.int64)


MEASURED: dict[str, Draw] = {
    "price_cents": lambda rng: rng.lognormal(8, 1.5, ROWS),
    "distance_m": lambda rng: rng.lognormal(9.5, 1.2, ROWS),
    "duration_ms": lambda rng: rng.exponential(400_000, ROWS),
    "weight_g": lambda rng: rng.normal(72_000, 12_000, ROWS),
    "temperature_millikelvin": lambda rng: rng.normal(285_000, 9_000, ROWS),
    "second_of_day": lambda rng: rng.integers(0, 86_400, ROWS),
    "balance_cents": lambda rng: rng.normal(0, 900_000, ROWS),
    "inhabitants": lambda rng: rng.pareto(1.1, ROWS) * 900 + 100,
    "index_points": lambda rng: 500_000 + np.cumsum(rng.normal(0, 120, ROWS)),
    "height_of_a_tide_mm": lambda rng: 4_000 * np.sin(np.arange(ROWS) / 7.3) + rng.normal(0, 30, ROWS),
    "amount_in_steps_of_5": lambda rng: 5 * (rng.lognormal(8, 1.2, ROWS) // 5),
}
NAMES: dict[str, Draw] = {
    "dense": lambda rng: rng.permutation(ROWS) + 40_000,
    "one_of_three": lambda rng: rng.choice(3 * ROWS, ROWS, replace=False) + 10_000,
    "one_of_twenty": lambda rng: rng.choice(20 * ROWS, ROWS, replace=False),
    "steps_of_ten": lambda rng: 10 * rng.permutation(ROWS),
    "years_and_numbers": lambda rng: rng.permutation(
        np.concatenate([year * 1_000_000 + np.cumsum(rng.integers(1, 4, ROWS // 4)) for year in range(2020, 2024)])
    ),
    "a_few_twice": lambda rng: np.concatenate(
        [ids := rng.choice(3 * ROWS, ROWS - 20, replace=False), rng.choice(ids, 20, replace=False)]
    ),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", MEASURED)
def test_measurements_repeat_by_chance_and_go_with_no_time(name: str, seed: int) -> None:
    values = drawn(MEASURED[name], seed)
    assert not never_repeats(np.sort(values))
    assert not is_spread_evenly(np.sort(values))
    assert not is_clock(values, np.arange(ROWS))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_names_never_repeat_however_close_they_lie(name: str, seed: int) -> None:
    assert never_repeats(np.sort(drawn(NAMES[name], seed)))


@pytest.mark.parametrize("seed", range(5))
def test_names_far_apart_lie_evenly_and_say_no_more(seed: int) -> None:
    values = np.sort(drawn(lambda rng: rng.choice(900_000, ROWS, replace=False), seed))
    assert (never_repeats(values), is_spread_evenly(values)) == (False, True)


def test_pairs_by_chance_are_those_of_the_birthday_problem() -> None:
    """Of n evenly drawn from w numbers n (n - 1) / 2w pairs are equal on average; by its formula, over 40 draws."""
    n, w, draws = 2_000, 50_000, [np.sort(np.random.default_rng(seed).integers(0, 50_000, 2_000)) for seed in range(40)]
    by_hand = n * (n - 1) / 2 / w
    there, expected = np.mean([repeats(values) for values in draws], axis=0)
    assert there == pytest.approx(by_hand, rel=0.06)
    assert expected == pytest.approx(by_hand, rel=0.15)


def test_a_clock_goes_up_or_down_and_within_a_moment_in_any_order() -> None:
    rng, days = np.random.default_rng(27), np.repeat(np.arange(80), 25)
    within = days * 100 + np.tile(rng.permutation(25), 80) * 3
    assert is_clock(within, days)
    assert is_clock(-within, days)
    assert not is_clock(rng.permutation(within), days)
