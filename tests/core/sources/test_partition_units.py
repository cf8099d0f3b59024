"""Lives of a column: its unit changes on one day and stays, is refused, let in, or put right again.

Days are drawn from seeded generators; `benchmarks/changed_units.py` has the same over years.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mlops_assets.core.sources.partition_faults import changes, refused_shape
from mlops_assets.core.sources.partition_profile import RUN, Shape, column_shape
from mlops_assets.core.sources.partition_scale import means, median

Draw = Callable[[np.random.Generator, int], np.ndarray]
KINDS: dict[str, Draw] = {
    "lognormal": lambda rng, n: np.exp(rng.normal(3, 1, n)),
    "narrow": lambda rng, n: np.exp(rng.normal(3, 0.4, n)),
    "gamma": lambda rng, n: rng.gamma(2, 10, n),
    "normal": lambda rng, n: rng.normal(50, 10, n),
    "counts": lambda rng, n: rng.poisson(3, n).astype(float),
    "wide": lambda rng, n: np.exp(rng.normal(3, 1.5, n)),
    "pareto": lambda rng, n: 20 * (1 + rng.pareto(2.5, n)),
}
BEFORE = 40


def shape(values: np.ndarray) -> Shape:
    return Shape({"x": column_shape(values)})


class Life:
    """Days of one column, each judged by those before it."""

    def __init__(self, kind: str, rows: int, seed: int) -> None:
        self.draw, self.rows, self.rng = KINDS[kind], rows, np.random.default_rng([20260101, seed])
        self.past: list[Shape] = []
        for _ in range(BEFORE):
            self.day()

    def values(self) -> np.ndarray:
        return self.draw(self.rng, self.rows)

    def judge(self, values: np.ndarray) -> str:
        """What is said of a day; it is among the accepted, or the refused, afterwards."""
        one = shape(values)
        found = changes(one, self.past)
        kept = refused_shape(one, found) if found else one
        self.past += [kept] if kept else []
        return found[0].sentence if found else ""

    def day(self, factor: float = 1.0) -> str:
        return self.judge(self.values() * factor)

    def share(self, factor: float, days: int = 60) -> float:
        return float(np.mean([bool(self.day(factor)) for _ in range(days)]))


@pytest.mark.simulates
@pytest.mark.parametrize("factor", [100.0, 0.001, 60.0, 25.4])
@pytest.mark.parametrize("kind", KINDS)
def test_no_day_opens_the_door(kind: str, factor: float) -> None:
    """One day that slips through vouched for all after it: a day 67 deviations away, put right, was 3.5 from them."""
    assert Life(kind, 120, 1).share(factor, 30) == 1.0


def test_the_life_that_opened_the_door() -> None:
    """Lognormal(3, 1), 120 rows, x100 from day 40 on: the 33rd of those days was accepted, and all after it."""
    rng, past = np.random.default_rng(10), []
    for _ in range(BEFORE):
        past.append(shape(np.exp(rng.normal(3, 1, 120))))
    for _ in range(60):
        assert changes(shape(np.exp(rng.normal(3, 1, 120)) * 100), past)


@pytest.mark.parametrize(
    ("kind", "rows", "factor"),
    [
        ("lognormal", 120, 1.609344),
        ("lognormal", 50, 0.45359237),
        ("gamma", 50, 1.609344),
        ("wide", 200, 1.609344),
        ("pareto", 50, 1.609344),
    ],
)
def test_a_small_factor_shows_after_a_few_days_and_stays_found(kind: str, rows: int, factor: float) -> None:
    """A single day of 50 rows of lognormal(3, 1) tells 1.609 in 46 % at best; what days say adds up."""
    found = [Life(kind, rows, seed).share(factor, 40) for seed in range(3)]
    assert np.mean(found) >= 0.9
    assert min(found) >= 0.8


def test_days_that_follow_each_other_are_named_together() -> None:
    life = Life("lognormal", 50, 6)
    told = next(told for _ in range(10) if (told := life.day(1.609344)))
    assert "its quantiles and those of the" in told
    assert "by a factor of 1.60934 (miles and kilometres)" in told


@pytest.mark.parametrize("seed", range(5))
def test_a_level_that_falls_slowly_is_no_unit(seed: int) -> None:
    """By nearly a half within six weeks, and it stays there."""
    life = Life("lognormal", 60, 30 + seed)
    levels = np.concatenate([np.linspace(0, -0.6, 42), np.full(20, -0.6)])
    assert not any(life.judge(life.values() * np.exp(level)) for level in levels)


def test_a_level_that_weekends_have_is_no_unit() -> None:
    life = Life("lognormal", 60, 4)
    assert sum(bool(life.judge(life.values() * (0.67 if day % 7 >= 5 else 1))) for day in range(120)) == 0


@pytest.mark.parametrize("factor", [100.0, 1.609344])
def test_days_that_are_right_again_are_accepted(factor: float) -> None:
    life = Life("gamma", 120, 5)
    assert life.share(factor, 12) >= 0.8
    assert life.share(1.0, 30) <= 1 / 30


STORMY: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    # Delays of n rows, of which a storm makes the tail so many times as long.
    "whole minutes": lambda rng, n, x: np.round(rng.normal(0, 8, n) + tail(rng, n, 0.3, 20 * x)),
    "minutes": lambda rng, n, x: rng.normal(0, 8, n) + tail(rng, n, 0.3, 20 * x),
    "more and longer": lambda rng, n, x: np.round(rng.normal(-2, 5, n) + tail(rng, n, 0.05 + 0.15 * x, 40 * x)),
}


def tail(rng: np.random.Generator, n: int, share: float, scale: float) -> np.ndarray:
    return np.where(rng.random(n) < share, rng.exponential(scale, n), 0.0)


@pytest.mark.simulates
@pytest.mark.parametrize(("kind", "seed"), [("whole minutes", 24), ("minutes", 22), ("more and longer", 22)])
def test_ordinary_days_after_a_storm_are_accepted(kind: str, seed: int) -> None:
    """800 days of 50 to 89 rows, a storm on one in a hundred; 29, 4 and 8 days that followed one were refused."""
    rng, past, ordinary = np.random.default_rng(seed), list[Shape](), 0
    for _ in range(800):
        is_storm = rng.random() < 0.01
        one = shape(STORMY[kind](rng, int(rng.integers(50, 90)), 4.0 if is_storm else 1.0))
        failures = changes(one, past)
        ordinary += bool(failures) and not is_storm
        kept = refused_shape(one, failures) if failures else one
        past = [*past[-364:], *([kept] if kept else [])]
    assert ordinary <= 1


def test_days_like_one_that_a_person_let_in_follow_it() -> None:
    life = Life("lognormal", 120, 7)
    assert life.share(1.609344, 10) >= 0.8
    life.past.append(shape(life.values() * 1.609344).let_in())
    assert life.share(1.609344, 20) <= 0.1


MEASURED = [
    ("narrow", 500, 28.349523, "by a factor of 28.3495 (ounces and grams)", "25.4"),
    ("narrow", 500, 25.4, "by a factor of 25.4 (inches and millimetres)", "ounces"),
    ("narrow", 500, 37.0, "by a factor of about 3", "inches"),
    ("narrow", 500, 2.54, "by a factor of 2.54 (inches and centimetres)", "kilograms"),
    ("gamma", 500, 1 / 2.54, "by a factor of 0.3937 (inches and centimetres)", "kilograms"),
    ("lognormal", 120, 3.6, "by a factor of 3.6 (kWh and MJ, or m/s and km/h)", "pounds"),
    ("normal", 60, -1.0, "with the other sign", "by a factor"),
    ("lognormal", 60, -1.0, "with the other sign", "by a factor"),
]


@pytest.mark.parametrize(("kind", "rows", "factor", "named", "not_named"), MEASURED)
def test_a_unit_is_named_where_its_factor_can_be_the_measured_one(
    kind: str, rows: int, factor: float, named: str, not_named: str
) -> None:
    told = Life(kind, rows, 8).day(factor)
    assert named in told
    assert not_named not in told


@pytest.mark.parametrize("factor", [0.35, 0.52, 0.7])
def test_a_small_factor_that_is_no_unit_is_left_to_drift(factor: float) -> None:
    assert Life("narrow", 500, 9).day(factor) == ""


AS_PEOPLE_WRITE_THEM = [
    (2.2, "2.20462"), (2.205, "2.20462"), (1 / 0.454, "2.20462"), (0.45, "0.4536"), (0.4536, "0.4536"),
    (1 / 2.2, "0.4536"), (1.6, "1.60934"), (1.609, "1.60934"), (0.621, "0.6214"), (0.625, "0.6214"), (3.28, "3.28084"),
    (0.305, "0.3048"), (0.394, "0.3937"), (3.79, "3.78541"), (0.264, "0.2642"), (28.0, "28.3495"), (4.18, "4.184"),
    (0.0167, "0.01667"), (0.278, "0.2778"),
]  # fmt: skip


@pytest.mark.parametrize(("factor", "named"), AS_PEOPLE_WRITE_THEM)
@pytest.mark.parametrize("places", [0, 1, 2])
def test_a_factor_is_known_as_people_round_it(places: int, factor: float, named: str) -> None:
    """Heights and prices of a given number of decimals whose level moves by more than the small factors do."""
    rng = np.random.default_rng([20260101, 12, places])

    def values() -> np.ndarray:
        return np.exp(rng.normal(6 + rng.normal(0, 0.4), 0.5, 60)).round(places)

    past = [shape(values()) for _ in range(BEFORE)]
    (said,) = changes(shape(values() * factor), past)
    assert f"by a factor of {named}" in said.sentence


@pytest.mark.simulates
@pytest.mark.parametrize(("rows", "seed"), [(24, 1), (72, 3)])
def test_a_cold_night_in_fahrenheit_is_no_celsius(rows: int, seed: int) -> None:
    """8 degrees after 32 are far away by their logarithm: one to four days of December were refused."""
    rng, past, refused = np.random.default_rng([20260101, seed]), list[Shape](), 0
    for day in range(365):
        level = 12 - 12 * np.cos(2 * np.pi * day / 365) + rng.normal(0, 4)
        one = shape((rng.normal(level, 1, rows).round(1) * 1.8 + 32).round(2))
        failures = changes(one, past)
        refused += bool(failures)
        kept = refused_shape(one, failures) if failures else one
        past = [*past, *([kept] if kept else [])]
    assert refused == 0


@pytest.mark.simulates
@pytest.mark.parametrize("rows", [50, 100])
@pytest.mark.parametrize(
    ("usual", "spread", "moves", "factor", "offset", "named"),
    [
        (22, 4, 2.0, 1.8, 32, "times 1.8 plus 32 (Fahrenheit where it was Celsius)"),
        (28, 3, 1.5, 1.8, 32, "times 1.8 plus 32 (Fahrenheit where it was Celsius)"),
        (75, 7, 3.0, 1 / 1.8, -32 / 1.8, "less 32, by 1.8 (Celsius where it was Fahrenheit)"),
        (70, 15, 0.0, 2.2046226, 0, "by a factor of 2.20462 (kilograms and pounds)"),
        (150, 30, 0.0, 1 / 2.2046226, 0, "by a factor of 0.4536 (kilograms and pounds)"),
        (20, 5, 0.0, 3.2808399, 0, "by a factor of 3.28084 (metres and feet)"),
        (30, 8, 0.0, 3.6, 0, "by a factor of 3.6 (kWh and MJ, or m/s and km/h)"),
    ],
)
def test_degrees_over_zero_and_factors_are_told_apart(
    usual: float, spread: float, moves: float, factor: float, offset: float, named: str, rows: int
) -> None:
    """28 degrees in Fahrenheit are 2.9 times as many: warm days were in feet, megajoules or gallons."""
    right = 0
    for seed in range(20):
        rng = np.random.default_rng([20260101, seed])

        def values(rng: np.random.Generator = rng) -> np.ndarray:
            return rng.normal(usual + rng.normal(0, moves), spread, rows).clip(1).round(1)

        past = [shape(values()) for _ in range(BEFORE)]
        failures = changes(shape((values() * factor + offset).round(1)), past)
        right += bool(failures) and named in failures[0].sentence
    assert right >= 19


def test_fahrenheit_is_known_by_a_rounded_factor() -> None:
    rng = np.random.default_rng([20260101, 13])
    past = [shape(rng.normal(60 + rng.normal(0, 10), 9, 60).round(1)) for _ in range(BEFORE)]
    (said,) = changes(shape((rng.normal(60, 9, 60).round(1) - 32) * 0.556), past)
    assert "Celsius where it was Fahrenheit" in said.sentence


def test_kelvin_is_named() -> None:
    rng = np.random.default_rng([20260101, 10])
    past = [shape(rng.normal(12, 5, 50).round(1)) for _ in range(BEFORE)]
    (told,) = changes(shape(rng.normal(12, 5, 50).round(1) + 273.15), past)
    assert "plus 273.15 (kelvin where it was Celsius)" in told.sentence


@pytest.mark.parametrize("factor", [100.0, 0.01, 1000.0])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.65])
def test_rows_of_a_day_that_are_in_another_unit(share: float, factor: float) -> None:
    life = Life("narrow", 120, 11)
    values = life.values()
    told = life.judge(np.where(life.rng.random(values.size) < share, values * factor, values))
    assert "is in another unit in about" in told
    assert f"by a factor of {factor:.4g}" in told


def test_what_was_refused_comes_back_from_its_text() -> None:
    one = shape(np.arange(1.0, 60.0))
    for kept in (one.refused({"x": ("by a factor of 100",)}), one.let_in()):
        assert Shape.from_json(kept.to_json()) == kept


@pytest.mark.parametrize("seed", range(20))
def test_means_and_medians_of_days_are_numpys_to_the_bit(seed: int) -> None:
    """Of up to a quarter of days, with and without numbers that are none or without end."""
    rng = np.random.default_rng(seed)
    days = rng.normal(size=(int(rng.integers(RUN, 92)), 4)) * 10.0 ** rng.integers(-8, 8)
    if seed % 2:
        days[rng.random(days.shape) < 0.05] = rng.choice([np.nan, np.inf])
    assert np.array_equal(median(days), np.median(days, axis=0), equal_nan=True)
    assert np.array_equal(median(days[:, 0]), np.median(days[:, 0]), equal_nan=True)
    for n in range(1, RUN + 1):
        windows = np.lib.stride_tricks.sliding_window_view(days, n, axis=0)
        assert np.array_equal(means(days, n), windows.mean(axis=-1), equal_nan=True)
