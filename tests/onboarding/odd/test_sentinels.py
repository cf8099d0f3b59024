"""Numbers that stand for a missing one are named, with row and remedy, and ordinary numbers are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.onboarding.odd.oddities import oddities
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.onboarding.times import time_column

Column = np.ndarray
ROWS = 600
SENTINELS = [-1, -9, -99, -999, -9999, -99999, 99, 999, 9999, 99999]


def warned(columns: dict[str, Column], folder: Path, suffix: str = "csv") -> dict[str, str]:
    """What is said of each column."""
    rows = len(next(iter(columns.values())))
    times = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(rows)]
    frame, file = pd.DataFrame({"at": times, **columns}), folder / f"t.{suffix}"
    if suffix == "csv":
        frame.to_csv(file, index=False)
    else:
        frame.to_parquet(file)
    table = read_table(str(file))
    said = oddities(table, time_column(table, "at", "UTC"), "UTC")
    return {name: one for name in columns for one in said if one.startswith(f"{name} is ")}


SCALES: dict[str, Callable[[np.random.Generator], Column]] = {
    "months": lambda rng: rng.integers(1, 13, ROWS),
    "1 to 16": lambda rng: rng.integers(1, 17, ROWS),
    "digits": lambda rng: rng.integers(0, 10, ROWS),
    "counts": lambda rng: rng.poisson(2, ROWS),
    "ratings": lambda rng: rng.choice([1, 2, 3, 4, 5], ROWS, p=[0.1, 0.1, 0.2, 0.3, 0.3]),
    "percent": lambda rng: rng.integers(0, 41, ROWS),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("sentinel", SENTINELS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_sentinel_is_named_whatever_the_number_of_values(
    scale: str, sentinel: int, suffix: str, tmp_path: Path
) -> None:
    """Seed 5: one value in 40 is the sentinel, the first in row 8."""
    values = SCALES[scale](np.random.default_rng(5))
    values[7::40] = sentinel
    said = warned({"x": values}, tmp_path, suffix)["x"]
    others = values[values != sentinel]
    place = "row 8 of t.csv (line 9)" if suffix == "csv" else "row 8 of t.parquet"
    assert said.startswith(f"x is {sentinel} in {place}, in 15 rows in all")
    assert f"where the others are {others.min()} to {others.max()}: if it means missing" in said
    assert said.endswith(f"leave the cell empty, or say so: `--missing x={sentinel}`.")


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_sentinels_with_decimals_and_others_are_named(kind: type, tmp_path: Path) -> None:
    """Seed 7: one value in 30, in columns of many and of few values; floats of 32 bits hold no decimals."""
    rng = np.random.default_rng(7)
    measured = {
        -99.9: rng.normal(12, 9, ROWS).round(1),
        999.9: np.where(rng.random(ROWS) < 0.5, 0, rng.exponential(3, ROWS)).round(1),
        99.99: rng.normal(6, 2, ROWS).round(2),
        -9.99: rng.uniform(40, 90, ROWS).round(2),
        9.9: rng.choice([0.1, 0.2, 0.5], ROWS),
        -999.25: rng.normal(80, 30, ROWS).round(2),
        9999.9: rng.normal(1013, 8, ROWS).round(1),
        -888.0: rng.integers(0, 40, ROWS),
        -8.0: rng.integers(1, 6, ROWS),
        77.0: rng.integers(1, 6, ROWS),
        -32768.0: rng.normal(0, 100, ROWS).round(),
    }
    columns = {f"c{place}": values.astype(kind) for place, values in enumerate(measured.values())}
    for values, sentinel in zip(columns.values(), measured, strict=True):
        values[4::30] = sentinel
    said = warned(columns, tmp_path, "parquet")
    for name, sentinel in zip(columns, measured, strict=True):
        assert said[name].startswith(f"{name} is {sentinel:g} in row 5 of t.parquet, in 20 rows in all, where the")


def zeros(values: Column, share: float = 0.05) -> Column:
    """Seed 9: the same with zeros in some rows."""
    return np.where(np.random.default_rng(9).random(len(values)) < share, 0, values)


def test_zeros_that_nobody_can_have_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    columns = {
        "blood pressure": zeros(rng.integers(50, 160, ROWS)),
        "glucose": zeros(rng.normal(121, 30, ROWS).clip(44).round(), 0.01),
        "bmi": zeros(rng.normal(32, 7, ROWS).clip(18).round(1), 0.3),
        "air pressure": zeros(rng.normal(1013, 8, ROWS).round(1)),
    }
    columns["blood pressure"][3] = 0
    said = warned(columns, tmp_path)
    assert said.keys() == columns.keys()
    assert said["blood pressure"].startswith("blood pressure is 0 in row 4 of t.csv (line 5), in ")
    assert said["bmi"].endswith("leave the cell empty. If 0 is a value like others, leave it as it is.")


def test_true_zeros_are_ordinary(tmp_path: Path) -> None:
    """Counts, amounts and rain; nothing at night, on Sundays, or in a plan that is free."""
    rng = np.random.default_rng(4)
    hours, is_free = np.arange(ROWS) % 24, rng.random(ROWS) < 0.2
    columns = {
        "plan": np.where(is_free, "free", "paid"),
        "fee": np.where(is_free, 0, rng.normal(30, 4, ROWS).round(2)),
        "open": np.where(hours < 6, 0, rng.poisson(150, ROWS)),
        "sold": np.where(np.arange(ROWS) // 24 % 7 == 6, 0, rng.poisson(150, ROWS)),
        "rain": zeros(rng.exponential(3, ROWS).round(1), 0.3),
        "amount": zeros(rng.lognormal(4, 0.6, ROWS).round(2)),
        "visits": rng.poisson(6, ROWS),
        "given": zeros(rng.choice([5, 10, 20, 50, 100], ROWS)),
        "solar": np.maximum(0, np.sin((hours - 6) / 12 * np.pi) * 500 * rng.uniform(0.2, 1, ROWS)).round(1),
        "price": rng.choice(np.append(np.arange(1, 50), [100, 200, 1000]) - 0.01, ROWS),
    }
    assert warned(columns, tmp_path) == {}


def test_two_of_them_are_both_named(tmp_path: Path) -> None:
    values = np.arange(ROWS) % 12 + 1
    values[3], values[9] = -999, 9999
    told = (
        "x is -999 in row 4 of t.csv (line 5), in 1 row in all, and 9999 in row 10 of t.csv (line 11), in 1 row in all"
    )
    assert told in warned({"x": values}, tmp_path)["x"]


@pytest.mark.parametrize(
    "values",
    [
        [200, 201, 301, 404, 500, 503], [200, 404, 500, 999], [1, 99], [0, 1], [-1, 1], [-1, 0, 1], [-2, -1, 0, 1, 2],
        [9, 19, 49, 99], [99, 199, 499, 999], [0, 50, 99], [10, 25, 50, 99], [10115, 20095, 80331, 99999], [1999, 2000],
        [-10, -20, -50, -99], [990, 995, 999], [9, 99, 999, 9999],
    ],
)  # fmt: skip
def test_codes_and_prices_are_ordinary(values: list[int], tmp_path: Path) -> None:
    assert warned({"x": np.array(values)[np.arange(ROWS) % len(values)]}, tmp_path) == {}


ORDINARY: dict[str, Callable[[np.random.Generator], Column]] = {
    "counts": lambda rng: rng.poisson(rng.uniform(0.1, 60), ROWS),
    "heavy counts": lambda rng: rng.zipf(rng.uniform(1.3, 3), ROWS).clip(0, 10**9),
    "geometric": lambda rng: rng.geometric(rng.uniform(0.02, 0.9), ROWS),
    "range": lambda rng: rng.integers(*np.sort(rng.choice(np.arange(-20, 1100), 2, replace=False)), ROWS),
    "degrees": lambda rng: np.rint(rng.normal(rng.uniform(-5, 40), rng.uniform(0.7, 12), ROWS)).astype(int),
    "balance": lambda rng: np.rint(rng.laplace(rng.uniform(-5, 20), rng.uniform(1, 40), ROWS)).astype(int),
    "prices": lambda rng: rng.choice(rng.choice([5, 9, 10, 15, 19, 20, 25, 29, 39, 49, 50, 79, 89, 99, 999], 5), ROWS),
    "codes": lambda rng: rng.choice(rng.integers(1, 1000, rng.integers(3, 15)), ROWS),
    "years": lambda rng: rng.integers(1990, 2025, ROWS),
    "postcodes": lambda rng: rng.integers(1000, 100_000, ROWS),
    "statuses": lambda rng: rng.choice([200, 201, 204, 301, 302, 400, 401, 403, 404, 429, 500, 502, 503], ROWS),
    "amounts": lambda rng: np.rint(rng.lognormal(rng.uniform(1, 7), rng.uniform(0.5, 2), ROWS)).astype(int),
}


@pytest.mark.parametrize("kind", ORDINARY)
def test_of_ordinary_numbers_one_in_a_hundred_at_most_is_named(kind: str, tmp_path: Path) -> None:
    """Seed 11, 400 columns of a kind; as Parquet, where nobody has to see that texts are numbers."""
    rng = np.random.default_rng(11)
    said = warned({f"c{i}": ORDINARY[kind](rng) for i in range(400)}, tmp_path, "parquet")
    assert len(said) <= 4, said
