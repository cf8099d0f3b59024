"""`check_frames` says of many partitions exactly what `check_frame` says of each."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from mlops_assets.core.sources import contract_check as module
from mlops_assets.core.sources.contract import ContractResult, SourceContract
from mlops_assets.core.sources.contract_check import check_frame, check_frames
from mlops_assets.core.time.windows import Window, window_at

NOW = datetime(2024, 3, 20, tzinfo=UTC)
FIRST = date(2024, 3, 1)
CONTRACT = SourceContract.from_dict(
    {
        "columns": {
            "id": {"type": "integer", "max": 2**62},
            "at": {"type": "timestamp"},
            "shop": {"type": "string", "allowed": ["north", "south"], "new_category_share": 0.25},
            "price": {"type": "number", "min": 0, "max_null_share": 0.5, "usual": [0, 10], "unusual_share": 0.25},
            "open": {"type": "boolean", "required": False},
            "due": {"type": "date", "required": False, "min": "2024-01-01"},
        },
        "unique": ["id", "shop"],
        "rows": {"min": 2, "max": 8},
    },
    event_time="at",
)


def window(number: int) -> Window:
    return window_at(datetime(2024, 3, 1, 12, tzinfo=UTC) + timedelta(days=number), "day", "UTC")


def good(number: int, n: int = 6) -> pd.DataFrame:
    day = FIRST + timedelta(days=number)
    return pd.DataFrame(
        {
            "id": [str(2**53 + 2 * i + 1) for i in range(n)],
            "at": [f"{day}T{i:02}:00:00Z" if i % 2 else f"{day} {i:02}:00" for i in range(n)],
            "shop": ["north", "south"] * (n // 2) + ["north"] * (n % 2),
            "price": [f"{i}.1" if i % 3 else None for i in range(n)],
            "open": ["yes", "no", None, "1", "0", "true"][:n],
            "due": ["2024-02-01", None] * (n // 2) + [None] * (n % 2),
        },
        dtype=object,
    )


def at_row(frame: pd.DataFrame, column: str, row: int, value: object) -> pd.DataFrame:
    out = frame.copy()
    out.loc[row, column] = value
    return out


SPOILERS = {
    "missing column": lambda f: f.drop(columns="price"),
    "renamed column": lambda f: f.rename(columns={"price": "cost"}),
    "optional column absent": lambda f: f.drop(columns="open"),
    "undeclared column": lambda f: f.assign(extra="x"),
    "wrong type": lambda f: at_row(f, "price", 1, "cheap"),
    "decimal in an integer": lambda f: at_row(f, "id", 1, "1.5"),
    "whole decimals in an integer": lambda f: at_row(f, "id", 1, "3.0"),
    "beyond 64 bits": lambda f: at_row(f, "id", 1, "18446744073709551615"),
    "hexadecimal": lambda f: at_row(f, "id", 1, "0x10"),
    "blank key": lambda f: at_row(f, "id", 1, "  "),
    "missing key": lambda f: at_row(f, "id", 1, None),
    "empty": lambda f: f.head(0),
    "too few": lambda f: f.head(1),
    "too many": lambda f: pd.concat([f, f.assign(id="1")], ignore_index=True),
    "duplicate rows": lambda f: pd.concat([f, f.head(1)], ignore_index=True),
    "another day": lambda f: at_row(f, "at", 0, "2024-02-28T00:00:00Z"),
    "future": lambda f: at_row(f, "at", 0, "2030-01-01"),
    "no time": lambda f: at_row(f, "at", 0, "noon"),
    "unknown category, excused": lambda f: at_row(f, "shop", 0, "west"),
    "unknown categories": lambda f: f.assign(shop="west"),
    "too many missing": lambda f: f.assign(price=None),
    "unusual, excused": lambda f: at_row(f, "price", 2, "99"),
    "another unit": lambda f: f.assign(price="99"),
    "below": lambda f: at_row(f, "price", 2, "-1"),
    "date below": lambda f: at_row(f, "due", 0, "2023-12-31"),
    "typed": lambda f: f.assign(price=np.arange(len(f), dtype=np.float64)),
    "codes with gaps": lambda f: f.assign(shop=[11.0, *[np.nan] * (len(f) - 1)]),
    "cells of mixed types": lambda f: at_row(f, "price", 1, 2.5),
    "column twice": lambda f: pd.concat([f, f[["id"]]], axis=1),
}


def one_by_one(frames: list[pd.DataFrame], windows: list[Window | None]) -> list[ContractResult | ValueError]:
    found: list[ContractResult | ValueError] = []
    for frame, part in zip(frames, windows, strict=True):
        try:
            found.append(check_frame(CONTRACT, frame, partition=part, now=NOW))
        except ValueError as error:
            found.append(error)
    return found


def assert_same(ours: ContractResult, theirs: ContractResult | ValueError) -> None:
    assert isinstance(theirs, ContractResult)
    assert (ours.ok, ours.failures, ours.notes) == (theirs.ok, theirs.failures, theirs.notes)
    assert ours.bad_rows.tolist() == theirs.bad_rows.tolist()
    assert_frame_equal(ours.frame, theirs.frame, check_exact=True)


def test_every_fault_among_good_days_gets_the_verdict_it_gets_alone() -> None:
    faults = {name: spoil for name, spoil in SPOILERS.items() if name != "column twice"}
    frames, names = [], []
    for number, (name, spoil) in enumerate(faults.items()):
        frames += [good(2 * number), spoil(good(2 * number + 1))]
        names += ["good", name]
    windows = [window(i) for i in range(len(frames))]
    now = NOW + timedelta(days=len(frames))
    together = check_frames(CONTRACT, frames, partitions=windows, now=now)
    for name, frame, part, ours in zip(names, frames, windows, together, strict=True):
        assert_same(ours, check_frame(CONTRACT, frame, partition=part, now=now))
        assert ours.ok == (name in ("good", *EXCUSED)), name


EXCUSED = (
    "optional column absent",
    "undeclared column",
    "whole decimals in an integer",
    "unknown category, excused",
    "unusual, excused",
    "typed",
    "cells of mixed types",
)


def test_a_column_twice_is_an_error_as_it_is_alone() -> None:
    with pytest.raises(ValueError, match="column id occurs twice"):
        check_frames(CONTRACT, [good(0), SPOILERS["column twice"](good(1))], partitions=[window(0), window(1)])


@pytest.mark.parametrize("seed", range(3))
def test_random_mixtures(seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = [name for name in SPOILERS if name != "column twice"]
    frames = []
    for number in range(12):
        frame = good(number, n=int(random.integers(2, 7)))
        for name in random.choice(kinds, size=int(random.integers(0, 3)), replace=False):
            if len(frame) > 2 and {"id", "at", "shop", "price", "due"} <= set(frame.columns):
                frame = SPOILERS[str(name)](frame)
        frames.append(frame)
    windows: list[Window | None] = [window(i) for i in range(12)]
    together = check_frames(CONTRACT, frames, partitions=windows, now=NOW)
    for ours, theirs in zip(together, one_by_one(frames, windows), strict=True):
        assert_same(ours, theirs)


def test_good_partitions_are_checked_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = module.conform
    monkeypatch.setattr(module, "conform", lambda c, f: calls.append(len(f)) or real(c, f))
    frames = [good(i) for i in range(9)] + [SPOILERS["below"](good(9))]
    results = check_frames(CONTRACT, frames, partitions=[window(i) for i in range(10)], now=NOW)
    assert [r.ok for r in results] == [True] * 9 + [False]
    assert calls == [60, 6], "all together, then the bad one alone"


def test_a_column_may_be_called_what_ours_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "check_frame", None)
    contract = SourceContract.from_dict(
        {"columns": {"id": {"type": "integer"}, "__partition__": {"type": "string"}}, "unique": ["id"]}
    )
    frame = pd.DataFrame({"id": ["1", "2"], "__partition__": ["a", None]}, dtype=object)
    results = check_frames(contract, [frame, frame], partitions=[None, None])
    assert [result.ok for result in results] == [True, True]
    assert results[1].frame["__partition__"].tolist()[0] == "a"


def test_a_neighbour_with_a_decimal_point_costs_no_digits() -> None:
    frame = pd.DataFrame({"id": ["9007199254740993", "1.0", "-9223372036854775808", "9223372036854775808", "x"]})
    plain = SourceContract.from_dict({"columns": {"id": "integer"}})
    assert check_frame(plain, frame).frame["id"].tolist() == [2**53 + 1, 1, -(2**63), pd.NA, pd.NA]
