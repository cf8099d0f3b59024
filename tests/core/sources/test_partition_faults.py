"""A partition against the accepted ones before it: what is a changed unit, spelling or clock, and what is not.

Days are drawn from seeded generators; `benchmarks/changed_units.py` has the same over years.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.partition_faults import MIN_PAST, changes
from mlops_assets.core.sources.partition_profile import Shape, column_shape, shape_of

SEED = 20230801
CONTRACT = SourceContract.from_dict(
    {
        "columns": {
            "at": "timestamp",
            "paid": "timestamp",
            "amount": "number",
            "celsius": "number",
            "weight": "number",
            "profit": "number",
            "visits": "integer",
            "city": "string",
            "name": "string",
            "month": "integer",
            "is_new": "boolean",
        }
    },
    event_time="at",
)
HOURS = np.array([1, 1, 1, 1, 1, 2, 4, 8, 14, 18, 20, 20, 18, 16, 15, 15, 16, 16, 12, 8, 6, 4, 2, 1], dtype=float)


def day(rng: np.random.Generator, n: int = 200, *, number: int = 0) -> pd.DataFrame:
    """One ordinary day; weekends sell half as dear, and each day has a level of its own."""
    at = pd.Timestamp("2023-06-01", tz="UTC") + pd.Timedelta(days=number)
    moments = at + pd.to_timedelta(rng.choice(24, n, p=HOURS / HOURS.sum()) * 3600 + rng.integers(0, 3600, n), unit="s")
    level = rng.normal(0, 0.05) - 0.6 * (number % 7 >= 5)
    return pd.DataFrame(
        {
            "at": moments,
            "paid": moments + pd.to_timedelta(rng.exponential(600, n), unit="s"),
            "amount": np.exp(rng.normal(4 + level, 1, n)),
            "celsius": rng.normal(12, 5, n).round(1),
            "weight": rng.normal(70, 10, n),
            "profit": rng.standard_t(3, n) * 10,
            "visits": rng.poisson(2, n),
            "city": rng.choice(["Zürich", "Bern", "Genève", "St. Gallen"], n, p=[0.5, 0.3, 0.15, 0.05]),
            "name": [f"Customer {i}" for i in rng.integers(0, 10**9, n)],
            "month": 6,
            "is_new": (rng.random(n) < 0.3).astype(float),
        }
    )


def past(days: int = 60, n: int = 200) -> list[Shape]:
    rng = np.random.default_rng(SEED)
    return [shape_of(CONTRACT, day(rng, n, number=number)) for number in range(days)]


PAST = past()


def said(frame: pd.DataFrame, before: list[Shape] | None = None) -> list[str]:
    return [one.sentence for one in changes(shape_of(CONTRACT, frame), before or PAST, date(2023, 7, 31))]


@pytest.mark.parametrize("factor", [100, 0.01, 1000, 0.001, 60, 1 / 60, 25.4, 1 / 25.4])
@pytest.mark.parametrize("column", ["amount", "weight", "profit", "visits", "is_new"])
def test_a_unit_is_named_with_its_factor(column: str, factor: float) -> None:
    frame = day(np.random.default_rng(1), number=61)
    (told,) = said(frame.assign(**{column: frame[column] * factor}))
    assert told.startswith(f"{column} is in another unit")
    assert f"by a factor of {factor:.4g}" in told


@pytest.mark.parametrize("factor", [1.609344, 1 / 1.609344, 0.45359237, 2.2046226])
def test_small_factors_are_found_where_a_day_says_where_it_lies(factor: float) -> None:
    frame = day(np.random.default_rng(2), number=61)
    (told,) = said(frame.assign(weight=frame.weight * factor))
    assert told.startswith("weight is in another unit")
    assert f"is in another unit, by a factor of {factor:.4g}"[:-1] in told
    assert "those of the 60 accepted partitions before it, changed so (median" in told


def test_fahrenheit_is_a_line() -> None:
    frame = day(np.random.default_rng(3), number=61)
    (told,) = said(frame.assign(celsius=frame.celsius * 1.8 + 32))
    assert "times 1.8 plus 32 (Fahrenheit where it was Celsius)" in told


WANDERING = {
    # Values of 50 rows at a level, with the decimals that such values have.
    "heavy tail": lambda rng, level: (np.exp(level) * 20 * rng.pareto(1.5, 50)).round(2),
    "lognormal": lambda rng, level: np.exp(rng.normal(3 + level, 1, 50)).round(1),
    "counts": lambda rng, level: rng.poisson(8 * np.exp(level), 50).astype(float),
    "celsius": lambda rng, level: rng.normal(12 + 6 * level, 5, 50).round(1),
}


def wandering(kind: str, rng: np.random.Generator, days: int) -> Iterator[np.ndarray]:
    """Days whose levels move by as much as a small unit does: by half from day to day."""
    for _ in range(days):
        yield WANDERING[kind](rng, rng.normal(0, 0.4))


def number_shape(values: np.ndarray) -> Shape:
    return Shape({"x": column_shape(values)})


@pytest.mark.simulates
@pytest.mark.parametrize("factor", [1.609344, 1 / 1.609344, 2.2046226, 0.45359237, 25.4, 60.0, 1 / 60])
@pytest.mark.parametrize("kind", WANDERING)
def test_decimals_prove_a_unit_however_levels_move(kind: str, factor: float) -> None:
    """No other day of 50 rows loses its surplus decimals when it is divided by 1.609344."""
    rng = np.random.default_rng([SEED, 1])
    before = [number_shape(values) for values in wandering(kind, rng, 60)]
    right = 0
    for values in wandering(kind, rng, 20):
        told = changes(number_shape(values * factor), before, date(2023, 7, 31))
        right += bool(told) and f"by a factor of {factor:.4g}"[:-1] in told[0].sentence
    assert right >= 19


@pytest.mark.parametrize("decimals", [3, 4, 5])
def test_decimals_prove_a_unit_that_was_rounded_anew(decimals: int) -> None:
    rng = np.random.default_rng([SEED, decimals])
    before = [number_shape(values) for values in wandering("heavy tail", rng, 60)]
    (values,) = wandering("heavy tail", rng, 1)
    (told,) = changes(number_shape((values * 0.45359237).round(decimals)), before)
    assert "by a factor of 0.4536 (kilograms and pounds)" in told.sentence


@pytest.mark.simulates
@pytest.mark.parametrize("kind", WANDERING)
def test_days_whose_levels_and_decimals_move_are_quiet(kind: str) -> None:
    """Another level, finer decimals, whole numbers, another currency, means of three: no other unit."""
    rng = np.random.default_rng([SEED, 3])
    before = [number_shape(values) for values in wandering(kind, rng, 60)]
    rang = 0
    for values in wandering(kind, rng, 30):
        for other in (values, values.round(0), values + 0.001, values * 1.0837, (values * 1.3).round(1), values / 3):
            rang += bool(changes(number_shape(other), before))
    assert rang <= 1, "of 180"


def test_days_in_a_unit_that_was_let_in_follow_it_by_their_decimals_too() -> None:
    rng = np.random.default_rng([SEED, 4])
    *before, let_in, after = [number_shape(values) for values in wandering("counts", rng, 60)] + [
        number_shape(60 * values) for values in wandering("counts", rng, 2)
    ]
    assert changes(let_in, before)
    assert changes(after, [*before, let_in]) == []


@pytest.mark.simulates
@pytest.mark.parametrize("share", [0.01, 0.05])
def test_storms_are_known_once_a_person_has_let_them_in(share: float) -> None:
    """Delays in whole minutes, on some days two to ten times as long: two years of 50 rows a day."""
    rng = np.random.default_rng([SEED, int(100 * share)])
    before: list[Shape] = []
    rang = 0
    for _ in range(730):
        stretch = np.exp(rng.uniform(np.log(2), np.log(10))) if rng.random() < share else 1.0
        one = number_shape(np.round(np.exp(rng.normal(3 + 0.15 * rng.normal(), 1, 50)) * stretch))
        rang += bool(changes(one, before))
        before = [*before, one]
    assert rang <= 2


@pytest.mark.simulates
@pytest.mark.parametrize("n", [50, 200, 1000])
def test_ordinary_days_are_quiet(n: int) -> None:
    rng = np.random.default_rng(SEED + n)
    before = past(40, n)
    for number in range(41, 41 + 70):
        assert said(day(rng, n, number=number), before) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.assign(amount=f.amount * 1.3),
        lambda f: f.assign(amount=f.amount + 40),
        lambda f: f.assign(weight=f.weight + 15),
        lambda f: f.assign(weight=f.weight.mean() + 3 * (f.weight - f.weight.mean())),
        lambda f: f.assign(month=7),
        lambda f: f.assign(city=f.city.where(f.city != "Bern", "Chur")),
    ],
    ids=["a third dearer", "a fee", "heavier", "wider", "a new month", "one city for another"],
)
def test_drift_is_no_changed_unit(change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    assert said(change(day(np.random.default_rng(4), number=61))) == []


def test_days_like_one_that_was_let_in_follow_it() -> None:
    rng = np.random.default_rng(5)
    cents = [shape_of(CONTRACT, f.assign(amount=f.amount * 100)) for f in (day(rng), day(rng))]
    assert changes(cents[0], PAST)
    assert changes(cents[1], [*PAST, cents[0]]) == []


def test_a_short_past_says_nothing() -> None:
    frame = day(np.random.default_rng(6))
    assert said(frame.assign(amount=frame.amount * 100), PAST[: MIN_PAST - 1]) == []


@pytest.mark.parametrize("column", ["amount", "visits", "city", "name"])
def test_one_value_throughout_is_a_fault(column: str) -> None:
    frame = day(np.random.default_rng(7))
    (told,) = said(frame.assign(**{column: frame[column].iloc[0]}))
    assert told.startswith(f"{column} has one value throughout")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.8])
def test_a_flag_that_is_one_value_throughout(share: float) -> None:
    """Of 60 rows: 0.8 ** 60 is 2e-6; 0.9 ** 60 is 0.002, a day in two years, and no fault."""
    rng = np.random.default_rng([SEED, 18])
    before = [number_shape((rng.random(60) < share).astype(float)) for _ in range(60)]
    (failure,) = changes(number_shape(np.full(60, float(share > 0.5))), before)
    assert "x has one value throughout" in failure.sentence
    mostly = [number_shape((rng.random(60) < 0.9).astype(float)) for _ in range(60)]
    assert changes(number_shape(np.ones(60)), mostly) == []


@pytest.mark.simulates
@pytest.mark.parametrize("day_to_day", [0.0, 0.7])
def test_a_flag_that_is_mostly_true_is_quiet(day_to_day: float) -> None:
    """500 days of 50 to 99 rows, 84 % true (which is hardest), with days that differ as well."""
    rng, before, rang = np.random.default_rng([SEED, 19]), list[Shape](), 0
    for _ in range(500):
        share = 1 / (1 + np.exp(-np.log(0.84 / 0.16) - day_to_day * rng.normal()))
        one = number_shape((rng.random(int(rng.integers(50, 100))) < share).astype(float))
        rang += bool(changes(one, before))
        before = [*before[-99:], one]
    assert rang <= 1


@pytest.mark.parametrize(("word", "typed"), [("blue", "bleu"), ("blue", "blu"), ("green", "gren"), ("grey", "grye")])
def test_a_short_word_that_is_misspelt(word: str, typed: str) -> None:
    rng = np.random.default_rng([SEED, 20])
    contract = SourceContract.from_dict({"columns": {"color": "string"}})
    words = np.array([word, "red", "violet", "tan"])
    before = [shape_of(contract, pd.DataFrame({"color": rng.choice(words, 80)})) for _ in range(30)]
    frame = pd.DataFrame({"color": rng.choice(words, 80)}).replace({word: typed})
    (failure,) = changes(shape_of(contract, frame), before)
    assert f"{typed!r} where it was {word!r}" in failure.sentence


def test_codes_of_three_letters_are_no_misspellings() -> None:
    rng = np.random.default_rng([SEED, 21])
    contract = SourceContract.from_dict({"columns": {"code": "string"}})
    before = [shape_of(contract, pd.DataFrame({"code": rng.choice(["SFO", "JFK", "LAX"], 80)})) for _ in range(30)]
    frame = pd.DataFrame({"code": rng.choice(["SOF", "JFK", "LAX"], 80)})
    assert changes(shape_of(contract, frame), before) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (str.upper, "'BERN' where it was 'Bern'"),
        (lambda v: v + " ", "'Bern ' where it was 'Bern'"),
        (lambda v: v.replace("ü", "u"), "'Zurich' where it was 'Zürich'"),
        (lambda v: v.replace("Gen", "Gén"), "'Génève' where it was 'Genève'"),
        (lambda v: {"Zürich": "ZRH", "Bern": "BRN", "Genève": "GVA"}.get(v, "ACH"), "none of the values"),
    ],
)
def test_another_spelling_is_named(change: Callable[[str], str], named: str) -> None:
    frame = day(np.random.default_rng(8))
    (told,) = said(frame.assign(city=frame.city.map(change)))
    assert told.startswith("city ")
    assert named in told


def test_the_case_of_texts_that_are_all_different() -> None:
    frame = day(np.random.default_rng(9))
    (told,) = said(frame.assign(name=frame["name"].str.upper()))
    assert told.startswith("name is all in upper case")


@pytest.mark.parametrize("hours", [3, -5, 8, 12])
def test_a_clock_that_is_off_is_named(hours: int) -> None:
    frame = day(np.random.default_rng(10), 1000)
    midnight = frame["at"].dt.floor("D")
    moved = midnight + (frame["at"] - midnight + pd.Timedelta(hours=hours)) % pd.Timedelta(days=1)
    lag = frame["paid"] - frame["at"]
    (told,) = said(frame.assign(at=moved, paid=moved + lag))
    assert told.startswith(f"at is off by {hours:+d} hours")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("change", [str.lower, str.upper, lambda code: code.lstrip("0"), lambda code: f"{code} "])
def test_codes_that_lose_their_zeros_or_capitals(change: Callable[[str], str], half: bool) -> None:
    """Seed 14: in all rows, or in half of them; the other half holds every known value."""
    rng = np.random.default_rng(14)
    contract = SourceContract.from_dict({"columns": {"code": "string"}})
    codes = np.array(["007", "012", "0450", "Ab9", "Cd1", "Ef"])
    before = [shape_of(contract, pd.DataFrame({"code": rng.choice(codes, 400)})) for _ in range(30)]
    frame = pd.DataFrame({"code": rng.choice(codes, 400)})
    assert changes(shape_of(contract, frame), before) == []
    changed = frame["code"].map(change).where(rng.random(400) < (0.5 if half else 1.0), frame["code"])
    (failure,) = changes(shape_of(contract, pd.DataFrame({"code": changed})), before)
    assert failure.rule == "changed_spelling"


def hours(rng: np.random.Generator, kind: str, rows: int) -> pd.DataFrame:
    """Times of a day: at work from 9 to 17 o'clock, around one o'clock, or around 9 and 18 o'clock."""
    minutes = {
        "work": lambda: rng.integers(9 * 60, 17 * 60, rows),
        "noon": lambda: rng.normal(13 * 60, 120, rows),
        "peaks": lambda: np.where(rng.random(rows) < 0.5, rng.normal(9 * 60, 40, rows), rng.normal(18 * 60, 40, rows)),
    }[kind]()
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.clip(minutes, 120, 1319), unit="min")
    return pd.DataFrame({"at": at})


CLOCK = SourceContract.from_dict({"columns": {"at": "timestamp"}, "event_time": "at"})


@pytest.mark.parametrize("shift", [1, -1])
@pytest.mark.parametrize(("kind", "rows"), [("work", 100), ("noon", 400), ("peaks", 50)])
def test_a_clock_that_is_off_by_one_hour(kind: str, rows: int, shift: int) -> None:
    """Seed 15: found where the rows of a day can tell; a day that is cut off is none."""
    rng = np.random.default_rng(15)
    before = [shape_of(CLOCK, hours(rng, kind, rows)) for _ in range(30)]
    frame = hours(rng, kind, rows)
    cut = frame[frame["at"].dt.hour < 12]
    assert [changes(shape_of(CLOCK, day), before) for day in (frame, cut)] == [[], []]
    (failure,) = changes(shape_of(CLOCK, frame + pd.Timedelta(hours=shift)), before)
    assert f"at is off by {shift:+d} hours" in failure.sentence


@pytest.mark.parametrize("rows", [60, 1000])
def test_a_clock_of_twelve_hours_is_named(rows: int) -> None:
    frame = day(np.random.default_rng(13), rows)
    twelve = frame["at"].where(frame["at"].dt.hour.between(1, 12), frame["at"] + pd.Timedelta(hours=12))
    twelve = twelve.where(twelve.dt.hour.between(1, 12), twelve - pd.Timedelta(hours=12))
    twelve = twelve - twelve.dt.floor("D") + frame["at"].dt.floor("D")
    (sentence,) = said(frame.assign(at=twelve, paid=twelve + (frame["paid"] - frame["at"])))
    assert sentence.startswith("at is on a clock of twelve hours without am and pm: ")


@pytest.mark.parametrize("hours", [1, -2])
def test_a_second_time_is_held_against_the_event(hours: int) -> None:
    frame = day(np.random.default_rng(11))
    (told,) = said(frame.assign(paid=frame.paid + pd.Timedelta(hours=hours)))
    assert told.startswith(f"paid is off by {hours:+d} hours from the event time")


def test_an_hour_after_the_clocks_were_moved_is_no_fault() -> None:
    frame = day(np.random.default_rng(12), 20_000)
    moved = frame.assign(at=frame["at"] + pd.Timedelta(hours=1))
    before = past(30, 5_000)
    assert [one.rule for one in changes(shape_of(CONTRACT, moved), before, date(2023, 7, 5)) if one.column == "at"]
    assert not [one for one in changes(shape_of(CONTRACT, moved), before, date(2023, 10, 30)) if one.column == "at"]


def test_a_shape_comes_back_from_its_text() -> None:
    assert all(Shape.from_json(shape.to_json()) == shape for shape in PAST[:3])
    assert Shape.from_json('{"form": 0}') is None


def test_a_column_that_is_not_steady_is_left_out() -> None:
    contract = SourceContract.from_dict({"columns": {"x": {"type": "number", "steady": False}, "y": "number"}})
    assert list(shape_of(contract, pd.DataFrame({"x": [1.0], "y": [2.0]})).columns) == ["y"]
