"""Moments, times of day and lengths of time where a contract says number, integer or boolean: refused with the cell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.sources.stream_rows import judge_messages
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.values.exact import array_of, frame_of

TYPES = ("number", "integer", "boolean")
COLUMNS = [
    *(pa.array([90, None, 3600], pa.duration(unit)) for unit in ("s", "ms", "us", "ns")),
    *(pa.array([1_700_000_000, None, 0], pa.timestamp(unit, zone)) for unit in ("s", "ns") for zone in (None, "UTC")),
    pa.array([date(2024, 1, 1), None, date(2024, 1, 2)]),
    pa.array([time(1, 2), None, time(3, 4)]),
    # As `mlops pull` has them of a database.
    array_of([timedelta(seconds=90), None, timedelta(seconds=30)]),
    array_of([datetime(2024, 1, 1), None, datetime(2024, 1, 2)]),
    pa.array(["90 min", None, "2 h"]),
]


def refused(cells: pa.Array, type_: str) -> tuple[Sequence[Any], str]:
    """The cells that may be stored, and the reason."""
    contract = SourceContract.from_dict({"columns": {"v": {"type": type_, "max_null_share": 1}}})
    result = check_frame(contract, frame_of(pa.table({"v": cells})))
    return result.frame["v"].tolist(), result.reason


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("cells", COLUMNS, ids=lambda cells: str(cells.type))
def test_none_is_a_number_and_a_gap_is_missing(cells: pa.Array, type_: str) -> None:
    stored, reason = refused(cells, type_)
    assert all(pd.isna(cell) for cell in stored)
    assert "2 rows of v (rows 1, 3) can't be read as" in reason
    assert "in minutes or seconds" in reason or "declare `type: timestamp`" in reason


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (timedelta(seconds=90), "0:01:30 is a length of time, so deliver it as a number, in minutes or seconds"),
        (datetime(2024, 1, 1), "2024-01-01 00:00:00 is a moment and no {}, so declare `type: timestamp`"),
        ("PT5M", "PT5M is a length of time, so deliver it as a number, in minutes or seconds"),
    ],
)
def test_a_message_is_refused_alike(value: object, remedy: str, type_: str) -> None:
    source = StreamSettings.model_validate(
        {
            "name": "s", "description": "x", "event_time": "at", "start": "2024-03-01", "stream": {"topic": "s"},
            "contract": {"columns": {"at": {"type": "timestamp"}, "v": {"type": type_}}},
        }
    )  # fmt: skip
    message = {"at": "2024-03-01T01:00:00Z", "v": value}
    judged = judge_messages(source, [message, {**message, "v": 1}], now=datetime(2024, 3, 2, tzinfo=UTC))
    assert remedy.format(type_) in judged.poison[0]
    assert list(judged.poison) == [0]
