from __future__ import annotations

from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mlops_assets.resources.lake import Lake, content_hash

DAY = date(2024, 3, 1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(root=str(tmp_path))


def test_a_partition_is_replaced_whole_or_not_at_all(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lake.file("raw", "orders", partition=DAY)
    assert lake.write(pd.DataFrame({"id": [1, 2]}), path, fingerprint="abc") == 2
    before = path.read_bytes()

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", fails)
    with pytest.raises(OSError, match="No space left"):
        lake.write(pd.DataFrame({"id": [3]}), path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["data.parquet"]
    assert Lake.fingerprint(path) == "abc"


def test_timestamps_are_stored_in_utc_microseconds(lake: Lake) -> None:
    path = lake.file("raw", "orders", partition=DAY)
    times = pd.to_datetime(["2024-03-01T12:00:00.123456+02:00"]).tz_convert("Europe/Berlin")
    lake.write(pd.DataFrame({"at": times}), path)
    assert str(pq.read_schema(path).field("at").type) == "timestamp[us, tz=UTC]"
    assert pq.read_table(path)["at"].to_pylist()[0].isoformat() == "2024-03-01T10:00:00.123456+00:00"


def test_a_range_is_read_without_its_hive_key_and_an_empty_one_is_empty(lake: Lake) -> None:
    for day in (1, 2, 3):
        lake.write(pd.DataFrame({"day": [day]}), lake.file("raw", "orders", partition=date(2024, 3, day)))
    rows = lake.read("raw", "orders", start=date(2024, 3, 2), where="day < $most", parameters={"most": 3})
    assert rows.to_dict("list") == {"day": [2]}
    assert lake.read("raw", "orders", start=date(2025, 1, 1)).empty
    assert list(lake.partitions("raw", "orders")) == [date(2024, 3, day) for day in (1, 2, 3)]
    assert lake.row_counts("raw", "orders", end=date(2024, 3, 2)) == {DAY: 1}


def test_columns_are_those_of_all_files_of_a_range(lake: Lake) -> None:
    lake.write(pd.DataFrame({"id": [1]}), lake.file("raw", "orders", partition=date(2024, 3, 1)))
    lake.write(pd.DataFrame({"id": [1], "price": [2.0]}), lake.file("raw", "orders", partition=date(2024, 3, 2)))
    assert lake.columns("raw", "orders") == ["id", "price"]
    assert lake.columns("raw", "orders", end=date(2024, 3, 2)) == ["id"]
    assert lake.columns("raw", "orders", name="online") == []


def test_the_content_hash_sees_values_types_and_order() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    others = [frame[::-1], frame[["b", "a"]], frame.astype({"a": "float64"}), frame.fillna("y")]
    assert content_hash(frame) == content_hash(frame.copy())
    assert content_hash(frame) not in {content_hash(other) for other in others}
