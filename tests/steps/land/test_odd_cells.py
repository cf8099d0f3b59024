"""A day whose file has cells that no cast takes: it alone is set aside, by cell and remedy, and the others land."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.sources import contract_check
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.landed.intake import Intake
from tests.landing_home import DAY, LandingHome

DAYS = [DAY + timedelta(days=number) for number in range(3)]
BEFORE, ODD, AFTER = map(str, DAYS)
BYTES = [b"12", b"\xff\x00"]
GOOD: Mapping[str, Any] = {
    "string": ["a", "b"],
    "integer": [1, 2],
    "number": [1.5, 2.5],
    "boolean": [True, False],
    "timestamp": [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)],
    "date": [datetime(2024, 1, 1).date(), datetime(2024, 1, 2).date()],
}
ODDITIES: Mapping[str, pa.Array] = {
    "bytes": pa.array(BYTES, pa.binary()),
    "large bytes": pa.array(BYTES, pa.large_binary()),
    "encoded bytes": pa.array(BYTES, pa.binary()).dictionary_encode(),
    "lists": pa.array([[1], [1, 2]]),
    "structs": pa.array([{"a": b"\xff"}, {"a": b"1"}]),
    "maps": pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int64())),
    "halves": pa.array([1.5, float("inf")]).cast(pa.float16()),
    "floats": pa.array([2.5, 1e300]),
    "decimals": pa.array([Decimal("0.5"), Decimal(10) ** 50], pa.decimal256(76, 1)),
    "spans": pa.array([2**62, 1]).cast(pa.duration("s")),
    "far seconds": pa.array([2**50, 0]).cast(pa.timestamp("s")),
    "far milliseconds": pa.array([2**62, -(2**62)]).cast(pa.timestamp("ms", tz="UTC")),
    "far microseconds": pa.array([2**62, -(2**62)]).cast(pa.timestamp("us")),
    "far days": pa.array([2**31 - 1, 0], pa.int32()).cast(pa.date32()),
    "no text": pa.Array.from_buffers(pa.string(), 2, pa.array(BYTES, pa.binary()).buffers()),
    "long numbers": pa.array(["9" * 5000, "1e999999999"]),
}


def landing(home: LandingHome, kind: str, odd: pa.Array) -> Intake:
    """Three days with a column `x` of a type; the one in the middle has other cells."""
    home.sources = [
        SourceSettings.model_validate(
            {
                "name": "orders",
                "description": "One row per order.",
                "files": "orders_{partition}*.parquet",
                "event_time": "at",
                "start": BEFORE,
                "contract": {"columns": {"at": {"type": "timestamp"}, "x": {"type": kind, "nullable": True}}},
            }
        )
    ]
    intake = home.intake()
    intake.folder.mkdir(parents=True, exist_ok=True)
    for day in DAYS:
        at = pa.array([datetime(day.year, day.month, day.day, hour) for hour in (1, 2)], pa.timestamp("us", tz="UTC"))
        table = pa.table({"at": at, "x": odd if str(day) == ODD else pa.array(GOOD[kind])})
        pq.write_table(table, intake.folder / f"orders_{day}.parquet")
    return intake


@pytest.mark.parametrize("name", ODDITIES)
@pytest.mark.parametrize("kind", GOOD)
def test_an_odd_day_stops_no_other(tmp_path: Path, kind: str, name: str) -> None:
    intake = landing(LandingHome.at(tmp_path), kind, ODDITIES[name])
    outcome = take_in(intake, [BEFORE, ODD, AFTER])
    assert {BEFORE, AFTER} <= set(outcome.rows), outcome.bad
    taken = intake.taken()[ODD]
    assert taken.status == ("quarantined" if ODD in outcome.bad else "good")
    for reason in outcome.bad.get(ODD, ()):
        assert any(remedy in reason for remedy in ("correct", "deliver", "declare", "Send it again")), reason


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("name", ["bytes", "large bytes", "encoded bytes"])
def test_bytes_that_are_no_text_are_named_by_their_row_and_kept(tmp_path: Path, kind: str, name: str) -> None:
    intake = landing(LandingHome.at(tmp_path), kind, ODDITIES[name])
    (reason,) = take_in(intake, [BEFORE, ODD, AFTER]).bad[ODD]
    assert f"can't be read as {kind}" in reason
    assert r"b'\xff\x00'" in reason
    kept = pd.read_parquet(intake.quarantine(ODD) / "rows.parquet")
    assert kept["x"].tolist() == ["12", "\\xff\x00"]
    assert kept["is_bad"].iloc[1]


def test_a_fault_that_nobody_thought_of_sets_its_day_aside_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = landing(LandingHome.at(tmp_path), "string", pa.array(["boom", "b"]))
    conform = contract_check.conform

    def failing(contract: Any, frame: pd.DataFrame) -> Any:
        if frame["x"].eq("boom").any():
            raise RuntimeError("no such cell was thought of")
        return conform(contract, frame)

    monkeypatch.setattr(contract_check, "conform", failing)
    outcome = take_in(intake, [BEFORE, ODD, AFTER])
    assert list(outcome.rows) == [BEFORE, AFTER]
    assert "(no such cell was thought of). Send it again" in outcome.bad[ODD][0]
