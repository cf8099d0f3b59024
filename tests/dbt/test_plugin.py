"""The writing half of the lake materialization, without dbt around it: atomic, repeatable, and honest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from dbt.adapters.duckdb.utils import TargetConfig, TargetLocation
from dbt_common.exceptions import DbtRuntimeError

from mlops_assets.dbt_plugin import Plugin, building_folder


def store(folder: Path, sql: str, *, start: str | None = None, end: str | None = None) -> None:
    """Store a model of columns partition, event_timestamp, key and value."""
    bounds = [f"partition >= '{start}'" if start else "true", f"partition < '{end}'" if end else "true"]
    job = {
        "sql": sql,
        "model": folder.name,
        "range_filter": " and ".join(bounds),
        "start": start,
        "end": end,
        "order_by": ["event_timestamp", "key"],
    }
    with duckdb.connect() as connection:
        plugin = Plugin("lake", {})
        plugin.configure_connection(connection)
        target = TargetConfig(
            relation=None, column_list=[], config=job, location=TargetLocation(str(folder), "parquet")
        )  # type: ignore[arg-type]
        plugin.store(target)


def days(count: int, value: int, columns: str = "") -> str:
    """SQL for `count` days from January 1 with 1,000 rows each, in no order."""
    return (
        "select date '2013-01-01' + (i // 1000)::int as partition, "
        "timestamptz '2013-01-01 05:00+00' + to_minutes(i) as event_timestamp, "
        f"'k' || i % 7 as key, {value} as value{columns} from range({count * 1000}) t(i) order by hash(i)"
    )


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    store(tmp_path / "a", days(150, 1))
    store(tmp_path / "b", days(150, 1))
    assert len(state(tmp_path / "a")) == 150
    assert state(tmp_path / "a") == state(tmp_path / "b")


def test_a_range_replaces_its_partitions_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "feat"
    store(folder, days(5, 1))
    before = state(folder)
    # The model has rows of all five days, the range is about two, and the second has no rows any more.
    sql = f"select * from ({days(5, 2)}) where partition != '2013-01-04'"
    store(folder, sql, start="2013-01-03", end="2013-01-05")
    after = state(folder)
    assert before.keys() - after.keys() == {"partition=2013-01-04/data.parquet"}
    assert {name for name in after if after[name] != before[name]} == {"partition=2013-01-03/data.parquet"}
    assert not (folder / "partition=2013-01-04").exists()


def test_an_empty_range_writes_nothing(tmp_path: Path) -> None:
    store(tmp_path / "feat", days(5, 1), start="2014-01-01", end="2014-02-01")
    assert list(tmp_path.rglob("*")) == []


def test_a_row_without_partition_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "feat"
    store(folder, days(3, 1))
    before = state(folder)
    sql = f"select * replace (case when key != 'k3' then partition end as partition) from ({days(3, 2)})"
    with pytest.raises(DbtRuntimeError, match=r"`partition` is NULL.*Derive the column.*unchanged"):
        store(folder, sql)
    assert state(folder) == before
    assert not building_folder(folder).exists()


def test_new_columns_ask_for_a_whole_rebuild(tmp_path: Path) -> None:
    folder = tmp_path / "feat"
    store(folder, days(3, 1))
    before = state(folder)
    wider = days(3, 1, ", 1.5::double as more")
    with pytest.raises(DbtRuntimeError, match=r"\(more\), and 2 partitions.*dbt build --select feat.*unchanged"):
        store(folder, wider, start="2013-01-03", end="2013-01-04")
    assert state(folder) == before
    store(folder, wider)
    assert state(folder) != before


def test_a_malformed_bound_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(DbtRuntimeError, match=r"`start` is '1 April', not a date"):
        store(tmp_path / "feat", "select 1", start="1 April")


KILLED = """
import os, signal, sys
from pathlib import Path
import mlops_assets.dbt_plugin as plugin
from tests.dbt.test_plugin import days, store

left = int(sys.argv[2])
where = sys.argv[3]

def killing(real):
    def call(*arguments, **options):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*arguments, **options)
    return call

if where == "rename":
    Path.replace = killing(Path.replace)
elif where == "write":
    plugin.pq.write_table = killing(plugin.pq.write_table)
else:
    Path.unlink = killing(Path.unlink)
store(Path(sys.argv[1]), f"select * from ({days(6, 2)}) where partition != '2013-01-03'")
"""


@pytest.mark.parametrize(
    ("where", "calls", "new"), [("write", 3, set()), ("rename", 2, {1, 2}), ("remove", 0, {1, 2, 4, 5, 6})]
)
def test_killed_while_writing_leaves_whole_partitions_and_the_next_build_completes(
    tmp_path: Path, where: str, calls: int, new: set[int]
) -> None:
    folder = tmp_path / "feat"
    store(folder, days(6, 1))
    before = state(folder)
    run = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(calls), where],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    store(tmp_path / "expected", f"select * from ({days(6, 2)}) where partition != '2013-01-03'")
    expected = state(tmp_path / "expected")
    for day in range(1, 7):
        name = f"partition=2013-01-0{day}/data.parquet"
        assert state(folder)[name] == (expected if day in new else before)[name]
    assert building_folder(folder).exists()
    store(folder, f"select * from ({days(6, 2)}) where partition != '2013-01-03'")
    assert state(folder) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "feat"]
