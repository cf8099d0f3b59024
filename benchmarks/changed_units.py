"""How often a day in another unit is found and named, and how often an ordinary one is taken for such a day.

`python benchmarks/changed_units.py [--years 3] [--days 20] [--rows 50] [--kinds KIND ...] [--storms STORM ...]
[--only PART ...]`: for each kind of day, years of ordinary days one after the other, each held against the accepted
ones before it (`core.sources.partition_faults`); years of delays that storms make longer, or their tails; then single
days in each unit. The last table has what is named on fewer than 95 % of them. Some five minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlops_assets.core.sources.known_units import UNITS, Unit
from mlops_assets.core.sources.partition_faults import LONG, changes, refused_shape
from mlops_assets.core.sources.partition_profile import Shape, column_shape

FIRST = date(2013, 1, 1)
Draw = Callable[[np.random.Generator, int, float], np.ndarray]
KINDS: dict[str, tuple[Draw, float]] = {
    # Values of n rows at a level (0 is usual), and how much a level of 1 means.
    "normal": (lambda r, n, level: r.normal(50 + 10 * level, 10, n), 1.0),
    "normal around zero": (lambda r, n, level: r.normal(level, 1, n), 1.0),
    "celsius": (lambda r, n, level: r.normal(12 + 6 * level, 5, n).round(1), 1.0),
    "lognormal": (lambda r, n, level: np.exp(r.normal(level, 1, n)) * 50, 1.0),
    "prices": (lambda r, n, level: (np.exp(r.normal(level, 1, n)) * 50).round(2), 1.0),
    "heavy prices": (lambda r, n, level: (np.exp(level) * 20 * r.pareto(1.5, n)).round(2), 1.0),
    "heavy tail": (lambda r, n, level: np.exp(level) * 20 * r.pareto(1.5, n), 1.0),
    "counts": (lambda r, n, level: r.poisson(3 * np.exp(level / 2), n).astype(float), 1.0),
    "rare counts": (lambda r, n, level: r.poisson(0.3 * np.exp(level / 2), n).astype(float), 1.0),
    "flag": (lambda r, n, level: (r.random(n) < 1 / (1 + np.exp(1 - level))).astype(float), 1.0),
    "t3": (lambda r, n, level: level + r.standard_t(3, n), 1.0),
    "share": (lambda r, n, level: r.beta(2 * np.exp(level), 5, n), 1.0),
}
TEMPERATURES = ("normal", "normal around zero", "celsius", "t3")
"""Kinds that can be in Fahrenheit."""
STORMS: dict[str, Callable[[np.random.Generator, int, float], np.ndarray]] = {
    # n delays of a day, in a storm that makes them `x` times as long; 1 is no storm.
    "upper half longer": lambda r, n, x: upper_half(delays(r, n), 10 if x > 1.0 else 1),
    "whole day longer": lambda r, n, x: x * delays(r, n),
    "whole day longer, whole minutes": lambda r, n, x: np.round(x * delays(r, n)),
    "tail of 30 % longer": lambda r, n, x: r.normal(0, 8, n) + tail(r, n, 0.3, 20 * x),
    "tail of 30 % longer, whole minutes": lambda r, n, x: np.round(r.normal(0, 8, n) + tail(r, n, 0.3, 20 * x)),
    "tail of 20 % longer, and 60 %": lambda r, n, x: np.round(
        r.normal(-2, 5, n) + tail(r, n, 0.6 if x > 1.0 else 0.2, 40 * x)
    ),
}
LEVELS = {
    # Standard deviation of a day's level, its memory, weekday effect, season effect.
    "still": (0.0, 0.0, 0.0, 0.0),
    "weekdays and season": (0.05, 0.0, 0.4, 0.5),
    "days with memory": (0.15, 0.7, 0.2, 0.3),
    "long memory": (0.3, 0.98, 0.0, 0.0),
}


def delays(rng: np.random.Generator, n: int) -> np.ndarray:
    """Lognormal minutes."""
    return np.exp(rng.normal(np.log(20) + 0.15 * rng.normal(), 1, n))


def upper_half(values: np.ndarray, factor: float) -> np.ndarray:
    """Values of which those over the median are so many times as large."""
    return np.where(values > np.median(values), factor * values, values)


def tail(rng: np.random.Generator, n: int, share: float, scale: float) -> np.ndarray:
    """Minutes that a share of n rows has on top."""
    return np.where(rng.random(n) < share, rng.exponential(scale, n), 0.0)


def levels(days: int, name: str, rng: np.random.Generator) -> np.ndarray:
    """The level of each day."""
    sd, memory, weekday, season = LEVELS[name]
    level = np.zeros(days)
    for day in range(1, days):
        level[day] = memory * level[day - 1] + sd * np.sqrt(1 - memory**2) * rng.normal()
    at = np.arange(days)
    return level - weekday * (at % 7 >= 5) + season * np.sin(2 * np.pi * at / 365)


def world(kind: str, moves: str, days: int, rows: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The values of each day; a day has half to one and a half times as many rows, never under 50."""
    draw, weight = KINDS[kind]
    for level in levels(days, moves, rng):
        yield draw(rng, max(50, int(rows * rng.uniform(0.5, 1.5))), weight * level)


def shape(values: np.ndarray) -> Shape:
    """Of one day."""
    return Shape({"x": column_shape(values)})


def false_alarms(kind: str, moves: str, years: float, rows: int, rng: np.random.Generator) -> list[str]:
    """What is said of ordinary days; a day that rang is not accepted, and is evidence against those after it."""
    past: list[Shape] = []
    said = []
    for n, values in enumerate(world(kind, moves, int(365 * years), rows, rng)):
        one = shape(values)
        found = changes(one, past, FIRST + timedelta(days=n))
        said += [found[0].sentence] if found else []
        kept = refused_shape(one, found) if found else one
        past = [*past[1 - LONG :], *([kept] if kept else [])]
    return said


def storm_alarms(name: str, share: float, years: float, rng: np.random.Generator, *, let_in: bool) -> tuple[int, int]:
    """Alarms on ordinary days and on those of a share that have a storm, 2 to 10 times as long.

    A day that rang is let in by a person, or is evidence against those after it.
    """
    past: list[Shape] = []
    alarms = [0, 0]
    for n in range(int(365 * years)):
        is_storm = bool(rng.random() < share)
        stretch = np.exp(rng.uniform(np.log(2), np.log(10))) if is_storm else 1.0
        one = shape(STORMS[name](rng, int(rng.integers(50, 90)), float(stretch)))
        failures = changes(one, past, FIRST + timedelta(days=n))
        alarms[is_storm] += bool(failures)
        kept = one.let_in() if failures and let_in else refused_shape(one, failures) if failures else one
        past = [*past[1 - LONG :], *([kept] if kept else [])]
    return alarms[0], alarms[1]


def found(
    kind: str, moves: str, unit: Unit, tries: int, rows: int, rng: np.random.Generator, places: int | None = None
) -> tuple[float, float]:
    """Share of days in another unit, rounded to so many decimals if any, that are found, and that are named rightly."""
    days = list(world(kind, moves, LONG + tries, rows, rng))
    shapes = [shape(values) for values in days]
    hits = right = 0
    for n in range(LONG, LONG + tries):
        values = days[n] * unit.factor + unit.offset
        said = changes(shape(values if places is None else values.round(places)), shapes[n - LONG : n], FIRST)
        hits += bool(said)
        right += bool(said) and unit.name in said[0].sentence
    return hits / max(tries, 1), right / max(tries, 1)


def life(draw: Draw, factor: float, rows: int, rng: np.random.Generator, before: int = 60, after: int = 60) -> float:
    """Share of the days after a change of unit that are found; what is refused is evidence, as in a landing."""
    past: list[Shape] = []
    hits = 0
    for day in range(before + after):
        one = shape(draw(rng, rows, 0.0) * (factor if day >= before else 1.0))
        said = changes(one, past)
        hits += bool(said) and day >= before
        kept = refused_shape(one, said) if said else one
        past += [kept] if kept else []
    return hits / after


def main() -> None:
    """A table of false alarms, and one of what is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=float, default=3.0)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, nargs="*", default=[50])
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--storms", nargs="*", default=list(STORMS), choices=list(STORMS))
    parser.add_argument("--places", type=int, help="decimals that days in another unit are rounded to")
    parser.add_argument("--only", nargs="*", help="parts of the units' names")
    asked = parser.parse_args()
    out = sys.stdout.write
    rng = np.random.default_rng(asked.seed)
    out("| ordinary days of | moves | rows | years | false alarms |\n| --- | --- | --- | --- | --- |\n")
    for kind in asked.kinds:
        for moves in LEVELS:
            for rows in asked.rows:
                said = false_alarms(kind, moves, asked.years, rows, rng)
                out(f"| {kind} | {moves} | {rows} | {asked.years:g} | {len(said)} |\n")
    out("\n| storms | days with one | years | ordinary days refused | storms | if each is let in | storms |\n")
    out("| --- | --- | --- | --- | --- | --- | --- |\n")
    for name in asked.storms:
        for share in (0.003, 0.01, 0.03, 0.1):
            held, let_in = (
                storm_alarms(name, share, asked.years, np.random.default_rng(asked.seed), let_in=one)
                for one in (False, True)
            )
            years = f"{asked.years:g}"
            out(f"| {name} | {share:.1%} | {years} | {held[0]} | {held[1]} | {let_in[0]} | {let_in[1]} |\n")
    out("\n| another unit | moves | rows | factor | found | named |\n| --- | --- | --- | --- | --- | --- |\n")
    for kind in asked.kinds:
        for moves in LEVELS:
            for rows in asked.rows:
                for unit in UNITS:
                    if (asked.only and not any(part in unit.name for part in asked.only)) or (
                        unit.offset and kind not in TEMPERATURES
                    ):
                        continue
                    hits, right = found(kind, moves, unit, asked.days, rows, rng, asked.places)
                    if right < 0.95:
                        out(f"| {kind} | {moves} | {rows} | {unit.name} | {hits:.0%} | {right:.0%} |\n")


if __name__ == "__main__":
    main()
