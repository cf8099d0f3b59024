"""`mlops land` of a table whose days have landed in part: rows are added, come again, or are refused; none is lost.

What lives here: files in the landing folder. What does not: taking them in (tests/steps/land/test_replaced_rows).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.landing import Landed, land
from mlops_assets.onboarding.reading.instructions import Reading
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.onboarding.times import time_column

DAY = "2024-03-10"


def shop(*keys: str) -> SourceSettings:
    columns = {"id": {"type": "integer"}, "at": {"type": "timestamp"}, "x": {"type": "number"}}
    return SourceSettings.model_validate(
        {
            "name": "shop",
            "description": "One row per order.",
            "event_time": "at",
            "start": "2024-03-01",
            "contract": {"unique": keys, "columns": columns},
        }
    )


@pytest.fixture(params=[("id",), ()], ids=["key", "no key"])
def source(request: pytest.FixtureRequest) -> SourceSettings:
    return shop(*request.param)


def sales(n: int = 300) -> pd.DataFrame:
    """Three days from 9 March, seed 4."""
    r = np.random.default_rng(4)
    at = pd.Timestamp("2024-03-09") + pd.to_timedelta(np.sort(r.integers(0, 3 * 86_400, n)), "s")
    return pd.DataFrame({"id": np.arange(n), "at": at, "x": r.normal(50, 9, n).round(2)})


def put(rows: pd.DataFrame, source: SourceSettings, folder: Path, *, adds: bool = True) -> Landed:
    file = folder / "rows.csv"
    rows.to_csv(file, index=False)
    table = read_table(str(file), reading=Reading(declared=source.contract.columns))
    return land(table, time_column(table, "at", "UTC"), source, folder / "landing", adds=adds)


def there(folder: Path) -> pd.DataFrame:
    files = sorted((folder / "landing" / "shop").glob("*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


@pytest.mark.parametrize("again", [0, 10])
def test_an_export_cut_at_noon_is_joined(again: int, source: SourceSettings, tmp_path: Path) -> None:
    rows = sales()
    noon = int((rows["at"] < f"{DAY}T12").sum())
    before = int((rows["at"] < DAY).sum())
    put(rows.iloc[:noon], source, tmp_path)
    landed = put(rows.iloc[noon - again :], source, tmp_path)
    assert set(landed.added) == {DAY}
    assert landed.added[DAY][0] == noon - before - again
    assert there(tmp_path)["id"].tolist() == list(range(300)), "each once, in the order of time"
    assert put(rows.iloc[noon - again :], source, tmp_path).written == (), "landing twice is no news"


def test_a_running_day_then_the_whole_and_a_correction(source: SourceSettings, tmp_path: Path) -> None:
    rows = sales()
    put(rows.iloc[:120], source, tmp_path)
    assert put(rows, source, tmp_path).added == {}
    corrected = rows.assign(x=rows["x"] * 2).drop(index=[130, 140])
    landed = put(corrected, source, tmp_path)
    assert landed.added == {}
    assert there(tmp_path)["x"].tolist() == corrected["x"].tolist()


def test_what_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    rows = sales()
    put(rows.iloc[::2], shop(), tmp_path)
    with pytest.raises(ValueError, match=r"rows of shop_2024-03-09\.parquet are not among.*cannot be told\. Give all"):
        put(rows.iloc[1::2], shop(), tmp_path)
    put(rows.iloc[1::2], shop("id"), tmp_path)
    assert sorted(there(tmp_path)["id"]) == list(range(300))


def test_a_new_model_begins_with_all_rows(source: SourceSettings, tmp_path: Path) -> None:
    rows = sales()
    put(rows.iloc[:150], source, tmp_path)
    with pytest.raises(
        ValueError, match=r"a new model begins with all rows.*`mlops land shop --files FILES` adds more"
    ):
        put(rows.iloc[150:], source, tmp_path, adds=False)
    assert len(there(tmp_path)) == 150


def test_ids_of_64_bits_keep_their_digits_where_parts_are_joined(tmp_path: Path) -> None:
    rows = sales().assign(id=lambda rows: rows["id"] + 2**60)
    put(rows.iloc[:150], shop("id"), tmp_path)
    put(rows.iloc[150:], shop("id"), tmp_path)
    assert there(tmp_path)["id"].tolist() == rows["id"].tolist()


def test_what_is_left_out_is_counted(tmp_path: Path, source: SourceSettings) -> None:
    put(sales(), source, tmp_path)
    day = sales()["at"].dt.strftime("%Y-%m-%d") == DAY
    gone = sales()[day].index[5]
    assert put(sales().drop(index=gone), source, tmp_path).left_out == {DAY: 1}
    assert len(there(tmp_path)) == len(sales()) - 1


def test_rows_that_share_a_declared_key_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = shop("id")
    put(sales(), source, tmp_path)
    before = there(tmp_path)
    corrected = sales().assign(x=1.0).head(3)
    with pytest.raises(ValueError, match=r"id 0 stands in 2 rows \(2 more keys likewise\).*the older first.*Nothing"):
        put(pd.concat([sales(), corrected]), source, tmp_path)
    pd.testing.assert_frame_equal(there(tmp_path), before)
