"""A clock of twelve hours without am and pm: in a whole table, in one file of several, on some days of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.plan import make_plan

DAYS, ROWS = 60, 30
Hours = Callable[[np.random.Generator, int], np.ndarray]
ALL_DAY: Hours = lambda rng, n: rng.integers(0, 24, n)  # noqa: E731
OFFICE: Hours = lambda rng, n: rng.integers(9, 18, n)  # noqa: E731
EVENINGS: Hours = lambda rng, n: (rng.integers(11, 26, n)) % 24  # noqa: E731


def times(hours: Hours, rows: int = ROWS) -> pd.Series:
    """Seed 3: so many rows on each day."""
    rng = np.random.default_rng(3)
    n = DAYS * rows
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.repeat(np.arange(DAYS), rows), unit="D")
    return pd.Series(at + pd.to_timedelta(hours(rng, n) * 60 + rng.integers(0, 60, n), unit="min"))


def said(folder: Path, at: pd.Series, twelve: np.ndarray, *, files: int = 1) -> list[str]:
    """What is said of clocks where some times are written on one of twelve hours."""
    written = at.dt.strftime("%Y-%m-%d %H:%M").where(~twelve, at.dt.strftime("%Y-%m-%d %I:%M"))
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"at": written, "x": rng.integers(0, 9, len(at)), "y": rng.integers(0, 2, len(at))})
    for place, part in enumerate(np.array_split(frame.index, files)):
        frame.loc[part].to_csv(folder / f"{place}.csv", index=False)
    plan = make_plan(Asked("t", str(folder / "*.csv"), label="y"))
    return [warning for warning in plan.warnings if "am and pm" in warning]


@pytest.mark.parametrize("hours", [ALL_DAY, OFFICE, EVENINGS])
def test_one_file_of_several(hours: Hours, tmp_path: Path) -> None:
    at = times(hours)
    (named,) = said(tmp_path, at, np.arange(len(at)) // (len(at) // 3) == 1, files=3)
    assert named.startswith("at has hours from 1 to 12 alone, none of them 0 in 1.csv (row ")
    assert " of 1.csv (line " in named


@pytest.mark.parametrize("hours", [ALL_DAY, OFFICE])
def test_some_days_of_a_file(hours: Hours, tmp_path: Path) -> None:
    at = times(hours)
    (named,) = said(tmp_path, at, at.dt.day.isin(range(10, 14)).to_numpy() & (at.dt.month == 1).to_numpy())
    assert " in 0.csv, 2024-01-10 to 2024-01-13 (row " in named


def test_few_rows_a_day(tmp_path: Path) -> None:
    at = times(ALL_DAY, rows=4)
    (named,) = said(tmp_path, at, (at >= "2024-02-10").to_numpy())
    assert " in 0.csv, 2024-02-1" in named and "2024-02-29 (row " in named


@pytest.mark.parametrize("hours", [ALL_DAY, OFFICE, EVENINGS])
@pytest.mark.parametrize("rows", [4, 30])
def test_ordinary_times(hours: Hours, rows: int, tmp_path: Path) -> None:
    at = times(hours, rows)
    assert said(tmp_path, at, np.zeros(len(at), dtype=bool), files=3) == []


def test_closed_in_the_afternoon_on_saturdays(tmp_path: Path) -> None:
    at = times(OFFICE)
    at = at.where(at.dt.dayofweek < 5, at.dt.floor("D") + (at - at.dt.floor("D")) * 0.5 + pd.Timedelta("3h"))
    assert said(tmp_path, at, np.zeros(len(at), dtype=bool)) == []


def test_a_column_that_is_called_as_the_number_of_a_row(tmp_path: Path) -> None:
    at = times(ALL_DAY)
    twelve = (at >= "2024-02-10").to_numpy()
    written = at.dt.strftime("%Y-%m-%d %H:%M").where(~twelve, at.dt.strftime("%Y-%m-%d %I:%M"))
    numbers = np.arange(len(at))[::-1] * 7
    frame = pd.DataFrame({"at": written, "rowid": numbers, "x": numbers % 5, "y": numbers % 2})
    frame.to_csv(tmp_path / "0.csv", index=False)
    (named,) = [one for one in make_plan(Asked("t", str(tmp_path / "0.csv"), label="y")).warnings if "am and pm" in one]
    first = int(np.flatnonzero(twelve & at.dt.strftime("%I").isin(["01", "02", "03"]).to_numpy())[0])
    assert f"(row {first + 1:,} of 0.csv (line {first + 2:,}))" in named
