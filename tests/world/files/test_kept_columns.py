"""Columns that stay in memory: the same rows as the lake's own, whatever was written, and only what is new is read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.world.files import kept_columns as module
from mlops_assets.world.files.kept_columns import kept_columns
from mlops_assets.world.lake import Lake

TABLE = ("labels", "lbl_orders")
DAYS = [date(2024, 2, day) for day in range(1, 8)]


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    module._kept.clear()
    yield
    module._kept.clear()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(tmp_path))


def write(lake: Lake, day: date, *values: float | None) -> None:
    at = pd.Timestamp(day, tz="UTC")
    frame = pd.DataFrame({"at": [at] * len(values), "y": pd.array(list(values), dtype="Float64"), "other": "x"})
    lake.write(frame, lake.file(*TABLE, partition=day))


Rows = list[tuple[object, object]]


def as_rows(table: pd.DataFrame) -> Rows:
    if table.empty:
        return []
    values = table["y"].astype(object).where(table["y"].notna(), None)
    return list(zip(table["at"], values, strict=True))


def kept(lake: Lake, start: date | None = None, end: date | None = None) -> Rows:
    return as_rows(kept_columns(lake, *TABLE, columns=["at", "y"], start=start, end=end))


def in_lake(lake: Lake, start: date | None = None, end: date | None = None) -> Rows:
    return as_rows(lake.read(*TABLE, columns=["at", "y"], start=start, end=end))


def in_order(rows: Rows) -> list[str]:
    return sorted(map(repr, rows))


LABELS = st.lists(st.none() | st.integers(0, 9).map(float), min_size=1, max_size=3)
CHANGES = st.lists(st.tuples(st.sampled_from(DAYS), st.none() | LABELS), min_size=1, max_size=12)


@given(CHANGES, st.sampled_from([None, *DAYS]), st.sampled_from([None, *DAYS]))
def test_they_are_those_of_the_lake_after_each_change(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[date, list[float | None] | None]],
    start: date | None,
    end: date | None,
) -> None:
    lake = Lake(root=str(tmp_path_factory.mktemp("lake")))
    for day, values in changes:
        folder = lake.file(*TABLE, partition=day).parent
        if values is not None:
            write(lake, day, *values)
        elif folder.exists():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()
        assert in_order(kept(lake, start, end)) == in_order(in_lake(lake, start, end))


def test_only_new_partitions_are_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[date]] = []
    of_lake = Lake.read

    def noted(self: Lake, *parts: str, **how: object) -> pd.DataFrame:
        read.append(list(how["days"]))  # type: ignore[call-overload]
        return of_lake(self, *parts, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(Lake, "read", noted)
    for day in DAYS[:4]:
        write(lake, day, 1.0)
    for _ in range(3):
        assert len(kept(lake)) == 4
    write(lake, DAYS[4], 1.0, 2.0)
    write(lake, DAYS[1], 3.0)
    for _ in range(2):
        assert [y for _, y in kept(lake)] == [1.0, 3.0, 1.0, 1.0, 1.0, 2.0]
    assert read == [DAYS[:4], [DAYS[1], DAYS[4]]]


def test_there_may_be_no_table(lake: Lake) -> None:
    assert kept(lake) == []
    write(lake, DAYS[0], 1.0)
    assert len(kept(lake)) == 1


def test_what_is_too_large_is_read_each_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    write(lake, DAYS[0], 1.0)
    assert len(kept(lake)) == len(kept(lake)) == 1
    assert not module._kept
