"""The look-ahead guard on real data: every feature view computed again as of moments of the past.

Here: compiling the view and what it is built from, computing it in memory from all data and from what was known then,
and telling what differs. Not here: what was known when, and how rows are compared (`core.features.look_ahead`). Neither
the lake nor the warehouse is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from mlops_assets.core.features.catalogue import Catalogue, FeatureView
from mlops_assets.core.features.look_ahead import (
    NTH,
    SAMPLED_ROWS,
    WHOLE_ROW,
    Hidden,
    LookAhead,
    Peek,
    as_known,
    differs,
    hidden_parts,
    moments_among,
    pairs_sql,
    usable_from,
)
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.values.sql import exact, literal, quoted
from mlops_assets.world.dbt_runs import Dbt, scratch_home
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake


class CannotGuard(ValueError):
    """A view cannot be computed as of a moment; the message says why, and what to do."""


@dataclass(frozen=True)
class Compiled:
    """A dbt project compiled for a range of days.

    Attributes:
        nodes: dbt's models, sources and seeds by their id, with compiled SQL.
        project: the folder of dbt_project.yml.
    """

    nodes: Mapping[str, Mapping[str, Any]]
    project: Path

    def above(self, view: str) -> list[Mapping[str, Any]]:
        """What a view is built from, and the view itself last; what is built on comes first.

        Raises:
            CannotGuard: something of it is no SQL.
        """
        visited: dict[str, Mapping[str, Any]] = {}

        def visit(key: str) -> None:
            if key in visited or key not in self.nodes:
                return
            node = self.nodes[key]
            for parent in node.get("depends_on", {}).get("nodes", []):
                visit(parent)
            is_sql = node["resource_type"] == "model" and node.get("language", "sql") == "sql"
            if not is_sql and node["resource_type"] not in ("source", "seed"):
                raise CannotGuard(
                    f"{view} is built from {node['name']}, a {node['resource_type']} that is no SQL, so it cannot be "
                    "computed as of a moment. Build it from SQL models and sources."
                )
            visited[key] = node

        visit(next(key for key, node in self.nodes.items() if node["name"] == view))
        return list(visited.values())


def guard(
    home: Home,
    project: Path,
    catalogue: Catalogue,
    sources: Mapping[str, SourceSettings],
    *,
    views: Sequence[str] = (),
    days: int = 14,
    moments: int = 6,
) -> Iterator[LookAhead]:
    """Look at feature views, one after the other.

    Args:
        home: whose raw data are read.
        project: the folder of dbt_project.yml.
        catalogue: its feature views.
        sources: the declared sources, by name.
        views: these only; all of the project by default.
        days: the newest days of a view that are computed again.
        moments: as of how many moments.

    Raises:
        CannotGuard: a view, or the moment of a source, cannot be computed.
        DbtFailed: dbt cannot compile the project.
    """
    lake = Lake(root=str(home.root))
    with scratch_home(home) as scratch:
        by_range: dict[tuple[str, str], Compiled] = {}
        for view in [catalogue.view(name) for name in views] if views else catalogue.views:
            newest = _newest_days(lake, view, sources, days)
            if newest is None:
                yield LookAhead(view.name, (), 0, ())
                continue
            span = (newest[0].isoformat(), newest[1].isoformat())
            if span not in by_range:
                by_range[span] = compiled(Dbt(project, home), scratch, {"start": span[0], "end": span[1]})
            yield look_at_view(by_range[span], view, sources, moments=moments)


def compiled(parsed_by: Dbt, scratch: Home, variables: Mapping[str, str]) -> Compiled:
    """The project with the SQL of its models for a range of days. No warehouse but the scratch home's is opened."""
    dbt = Dbt(parsed_by.project, scratch)
    dbt.run(
        *("compile", "--exclude", "resource_type:unit_test", "resource_type:test"),
        variables=variables,
        on=parsed_by.parsed(),
    )
    manifest = dbt.manifest()
    kinds = ("model", "seed", "snapshot")
    nodes = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] in kinds}
    return Compiled({**manifest["sources"], **nodes}, dbt.project)


def _newest_days(
    lake: Lake, view: FeatureView, sources: Mapping[str, SourceSettings], days: int
) -> tuple[date, date] | None:
    """The newest days [start, end) for which all of a view's partitioned sources have data, in whole partitions."""
    partitioned = [sources[name] for name in view.sources if name in sources and sources[name].grain != "none"]
    ends = []
    for source in partitioned:
        # A day may be in several files, one an hour.
        landed = {
            path.parent.name.partition("=")[2] for path in lake.folder("raw", source.name).glob("partition=*/data*")
        }
        if not landed:
            return None
        ends.append(source.end_of(date.fromisoformat(max(landed))))
    if not ends:
        return None
    start = min(ends) - timedelta(days=days)
    return min(source.partition_of(start) for source in partitioned), min(ends)


def look_at_view(
    project: Compiled, view: FeatureView, sources: Mapping[str, SourceSettings], *, moments: int
) -> LookAhead:
    """Compute one view from everything and as of some moments, and compare."""
    nodes = project.above(view.name)
    if strange := sorted(set(view.sources) - sources.keys()):
        raise CannotGuard(
            f"{view.name} is built from {', '.join(strange)}, which no YAML declares: nothing says when its rows are "
            "known. Declare it in defs/<source>/defs.yaml (docs/sources.md)."
        )
    parts = [part for name in view.sources for part in hidden_parts(sources[name])]
    with _tables(project, nodes) as connection:
        try:
            _show_models(connection, nodes, _show_sources(connection, nodes, (), None))
            connection.execute(f"create temp table whole as select * from {_relation(nodes[-1])}")
        except duckdb.Error as error:
            raise CannotGuard(f"{view.name} cannot be computed: {error}. Correct its SQL.") from error
        return LookAhead(view.name, *_compare(connection, nodes, view, parts, moments))


def _compare(
    connection: duckdb.DuckDBPyConnection,
    nodes: Sequence[Mapping[str, Any]],
    view: FeatureView,
    parts: Sequence[Hidden],
    wanted: int,
) -> tuple[tuple[datetime, ...], int, tuple[Peek, ...]]:
    """The moments, how many rows were compared, and what differs."""
    times = connection.execute(
        f"select {usable_from(view)} from whole where {usable_from(view)} is not null order by 1"
    ).fetchall()
    moments, tests = moments_among([row[0] for row in times], wanted), differs(view)
    rows, counts = 0, dict.fromkeys(tests, 0)
    most: dict[str, tuple[int, datetime]] = {}
    samples: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for moment in moments:
        _compute(connection, nodes, parts, moment)
        compared, differing = _count(connection, view, moment)
        rows += compared
        for feature, count in differing.items():
            counts[feature] += count
            if count > most.get(feature, (0, moment))[0]:
                most[feature] = (count, moment)
                samples[feature] = _sample(connection, view, feature, moment)
    reads = _reads(connection, nodes, view, parts, max(most.values())[1]) if most else {}
    peeks = (Peek(name, counts[name], tuple(reads[name]), sample) for name, sample in samples.items())
    return moments, rows, tuple(peeks)


def _count(connection: duckdb.DuckDBPyConnection, view: FeatureView, moment: datetime) -> tuple[int, dict[str, int]]:
    """How many pairs of rows there are, and in how many each feature differs."""
    tests, pairs = differs(view), pairs_sql(view, "whole", "known", moment)
    # Mostly all rows are equal to the last digit; to plan a hundred comparisons takes a third of a second.
    compared, unequal = connection.execute(
        f"select count(*), count(*) filter (of_whole is distinct from of_known) from ({pairs})"
    ).fetchall()[0]
    if not unequal:
        return compared, dict.fromkeys(tests, 0)
    counted = ", ".join(f"count(*) filter ({test})" for test in tests.values())
    counts = connection.execute(f"select {counted} from ({pairs})").fetchall()[0]
    return compared, dict(zip(tests, counts, strict=True))


def _sample(
    connection: duckdb.DuckDBPyConnection, view: FeatureView, feature: str, moment: datetime
) -> tuple[Mapping[str, Any], ...]:
    """Some of the rows that differ, the newest first."""
    keys = [*view.entities, view.timestamp, view.created]
    shown = ", ".join(f"coalesce(of_whole.{quoted(key)}, of_known.{quoted(key)}) as {quoted(key)}" for key in keys)
    known, whole = (
        f"{side}.{NTH} is not null" if feature == WHOLE_ROW else f"{side}.{quoted(feature)}"
        for side in ("of_known", "of_whole")
    )
    cursor = connection.execute(
        f"select {shown}, {known} as known_then, {whole} as with_later_data "
        f"from ({pairs_sql(view, 'whole', 'known', moment)}) where {differs(view)[feature]} "
        f"order by {quoted(view.timestamp)} desc, {', '.join(map(quoted, view.entities))} limit {SAMPLED_ROWS}"
    )
    names = [column[0] for column in cursor.description]
    return tuple({"as_of": moment, **dict(zip(names, row, strict=True))} for row in cursor.fetchall())


def _reads(
    connection: duckdb.DuckDBPyConnection,
    nodes: Sequence[Mapping[str, Any]],
    view: FeatureView,
    parts: Sequence[Hidden],
    moment: datetime,
) -> dict[str, list[str]]:
    """What of the future each feature reads: each part is hidden alone, as of the moment that told most."""
    reads: dict[str, list[str]] = {feature: [] for feature in differs(view)}
    for part in parts:
        _compute(connection, nodes, [part], moment)
        for feature, count in _count(connection, view, moment)[1].items():
            if count:
                reads[feature].append(part.words)
    return reads


def _compute(
    connection: duckdb.DuckDBPyConnection,
    nodes: Sequence[Mapping[str, Any]],
    parts: Sequence[Hidden],
    moment: datetime,
) -> None:
    """The view as of a moment, as the table `known`."""
    try:
        # The models are views over these views, and stay as they are.
        _show_sources(connection, nodes, parts, moment)
        connection.execute(f"create or replace temp table known as select * from {_relation(nodes[-1])}")
    except duckdb.Error as error:
        moments = ", ".join(sorted({f"{part.source}.{part.column}" for part in parts}))
        raise CannotGuard(
            f"{nodes[-1]['name']} cannot be computed as of {moment.isoformat()}: {error}. Correct the SQL under "
            f"`moments` of its sources, where it says when these became known: {moments}."
        ) from error


@contextmanager
def _tables(project: Compiled, nodes: Iterable[Mapping[str, Any]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory with the databases and schemas that dbt's relations name, and its seeds."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        built = [node for node in nodes if node["resource_type"] != "source"]
        for database in sorted({node["database"] for node in built}):
            connection.execute(f"attach ':memory:' as {quoted(database)}")
        for database, schema in sorted({(node["database"], node["schema"]) for node in built}):
            connection.execute(f"create schema if not exists {quoted(database)}.{quoted(schema)}")
        for node in built:
            if node["resource_type"] == "seed":
                path = project.project / node["original_file_path"]
                connection.execute(f"create table {node['relation_name']} as from read_csv({literal(exact(path))})")
        yield connection


def _show_sources(
    connection: duckdb.DuckDBPyConnection,
    nodes: Sequence[Mapping[str, Any]],
    parts: Sequence[Hidden],
    moment: datetime | None,
) -> dict[str, str]:
    """Every source as a view: as it was known at a moment, or as it is without one; names of the views by relation."""
    names = {}
    for number, node in enumerate(node for node in nodes if node["resource_type"] == "source"):
        relation, of_source = node["relation_name"], [part for part in parts if part.source == node["name"]]
        names[relation] = f"memory.main.source_{number}"
        shown = as_known(relation, of_source, moment) if moment else f"select * from {relation}"
        connection.execute(f"create or replace view {names[relation]} as {shown}")
    return names


def _show_models(
    connection: duckdb.DuckDBPyConnection, nodes: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> None:
    """Every model as a view over its sources, whose views have these names."""
    for node in nodes:
        if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral":
            sql = node["compiled_code"]
            for relation, name in names.items():
                sql = sql.replace(relation, name)
            connection.execute(f"create view {_relation(node)} as ({sql}\n)")


def _relation(node: Mapping[str, Any]) -> str:
    return str(node["relation_name"])
