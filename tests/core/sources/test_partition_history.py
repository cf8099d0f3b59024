"""Days of one history in another unit than the others: found wherever they lie, and ordinary days are left alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date, timedelta

import numpy as np
import pytest

from mlops_assets.core.sources.partition_history import changed_within
from mlops_assets.core.sources.partition_profile import column_shape

FIRST = date(2024, 1, 1)
DAYS, ROWS = 90, 50
Values = list[np.ndarray]

KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "amount": lambda rng, day: np.exp(rng.normal(4 + rng.normal(0, 0.05) - 0.2 * (day % 7 >= 5), 1, ROWS)).round(2),
    "weight": lambda rng, day: rng.normal(70 + rng.normal(0, 1), 10, ROWS).round(1),
    "celsius": lambda rng, day: rng.normal(12 + rng.normal(0, 2), 5, ROWS).round(1),
    "season": lambda rng, day: rng.normal(12 - 10 * np.cos(day / 58) + rng.normal(0, 2), 4, ROWS).round(1),
    "visits": lambda rng, day: rng.poisson(8 * np.exp(rng.normal(0, 0.05)), ROWS).astype(float),
}
UNITS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray], str]] = {
    "cents": ("amount", lambda x: x * 100, "by a factor of 100 (cents, or per cent)"),
    "euros": ("amount", lambda x: x / 100, "by a factor of 0.01 (cents, or per cent)"),
    "grams": ("weight", lambda x: x * 1000, "by a factor of 1000 (thousands)"),
    "pounds": ("weight", lambda x: (x * 2.2046226).round(1), "by a factor of 2.20462 (kilograms and pounds)"),
    "miles": ("weight", lambda x: (x / 1.609344).round(1), "by a factor of 0.6214 (miles and kilometres)"),
    "fahrenheit": ("celsius", lambda x: (x * 1.8 + 32).round(1), "times 1.8 plus 32 (Fahrenheit where it was Celsius)"),
    "minutes": ("visits", lambda x: x * 60, "by a factor of 60 (minutes and seconds)"),
}
WHERE: dict[str, Collection[int]] = {
    "one early": [4],
    "the first": range(6),
    "the last": range(80, 90),
    "here and there": range(2, 90, 13),
    "a third": range(30),
    "nearly half": range(50, 90),
}


def drawn(kind: str, seed: int) -> Values:
    rng = np.random.default_rng(seed)
    return [KINDS[kind](rng, day) for day in range(DAYS)]


def found(values: Values) -> dict[int, tuple[str, ...]]:
    shapes = {FIRST + timedelta(days=day): column_shape(one) for day, one in enumerate(values)}
    return {(day - FIRST).days: one.sample for day, one in changed_within("x", shapes).items()}


@pytest.mark.simulates
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("unit", UNITS)
def test_days_in_another_unit_are_found_wherever_they_lie(unit: str, where: str) -> None:
    """Seed 3."""
    kind, change, told = UNITS[unit]
    values = drawn(kind, 3)
    for day in WHERE[where]:
        values[day] = change(values[day])
    odd = found(values)
    assert set(odd) == set(WHERE[where])
    assert sum(told in sample for sample in odd.values()) >= 0.8 * len(odd)


@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_days_are_left_alone(kind: str) -> None:
    """Seeds 0 to 9: 900 days of each kind."""
    assert [found(drawn(kind, seed)) for seed in range(10)] == [{}] * 10


def test_too_few_days_or_rows_say_nothing() -> None:
    values = drawn("weight", 1)
    values[15] = values[15] * 100
    assert found(values[:20]) == {}
    assert found([one[:19] for one in values]) == {}
    assert list(found(values[:23])) == [15]
