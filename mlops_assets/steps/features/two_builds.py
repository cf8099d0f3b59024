"""A feature view as it stands in the lake and as a change builds it, side by side.

Here: the tables of both, their rows counted and sampled. Not here: the build (`dbt_ci`), what is said of the difference
(`report`, `pages.feature_report`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import duckdb
import pandas as pd

from mlops_assets.core.features.catalogue import FeatureView
from mlops_assets.core.features.look_ahead import NTH, differs, pairs_sql
from mlops_assets.core.features.look_ahead import WHOLE_ROW as WHOLE_ROWS
from mlops_assets.core.values.sql import exact, literal, quoted
from mlops_assets.steps.features.dbt_ci import Change
from mlops_assets.steps.features.report_basis import SAMPLE
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake

_SEED = 13
_EVER = datetime(9999, 1, 1, tzinfo=UTC)


@contextmanager
def both_builds(
    change: Change,
    home: Home,
    before: FeatureView | None,
    after: FeatureView,
    start: str | None,
    late: Collection[date],
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB session with the views `before` and `after`, without the days `late`; a new view has no rows before."""
    tests = [f"partition >= date '{start}'"] if start else []
    tests += [f"partition <> date '{day}'" for day in sorted(late)]
    days = f" where {' and '.join(tests)}" if tests else ""
    with Lake(root=str(home.root)).connect() as connection:
        connection.execute(f"create temp view after as from {_files(change.home, after)}{days}")
        had = before is not None and any(home.lake.glob(before.path_glob))
        old = f"from {_files(home, before)}{days}" if before is not None and had else "from after where false"
        connection.execute(f"create temp view before as {old}")
        yield connection


def _files(home: Home, view: FeatureView) -> str:
    return f"read_parquet({literal(f'{exact(home.lake)}/{view.path_glob}')}, hive_types = {{'partition': date}})"


@dataclass(frozen=True)
class RowCounts:
    """Rows of both sides, and in how many each common feature has another value."""

    rows: tuple[int, int]
    gone: int
    added: int
    changed: dict[str, int]


def row_counts(connection: duckdb.DuckDBPyConnection, before: FeatureView | None, after: FeatureView) -> RowCounts:
    """Count the rows of both tables, and where their features differ."""
    old = {feature.name for feature in before.features} if before else set()
    both = replace(after, features=tuple(feature for feature in after.features if feature.name in old))
    tests = {name: test for name, test in differs(both).items() if name != WHOLE_ROWS}
    wanted = [f"count(of_whole.{NTH})", f"count(of_known.{NTH})", "count(*)"]
    wanted += [f"count(*) filter ({test})" for test in tests.values()]
    row = connection.execute(
        f"select {', '.join(wanted)} from ({pairs_sql(both, 'before', 'after', _EVER)})"
    ).fetchall()[0]
    rows, pairs = (row[0], row[1]), row[2]
    return RowCounts(rows, pairs - rows[1], pairs - rows[0], dict(zip(tests, row[3:], strict=True)))


def build_sample(connection: duckdb.DuckDBPyConnection, table: str, view: FeatureView) -> pd.DataFrame:
    """Some rows in the order of time, the same for the same rows."""
    return connection.execute(
        f"select * from (select * from {table} using sample reservoir({SAMPLE} rows) repeatable ({_SEED})) "
        f"order by {quoted(view.timestamp)}"
    ).df()
