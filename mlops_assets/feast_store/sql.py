"""The SQL of the point-in-time join, as text: no connection, no files, no Feast.

**What counts.** A row of a feature view says "from `event_timestamp` on, the value was this", and it says so
from `created_timestamp` on. It counts from `known = max(event_timestamp, created_timestamp)` (only from the
event timestamp when the cut-off is off, or when the created timestamp is missing). At time `t` the value of
an entity is the greatest row of those with `known <= t`.

**The tie rule.** "Greatest" compares, in this order: event timestamp; created timestamp (missing is lowest);
then the view's features in the order of its schema (NULL is lowest, NaN is highest). Two rows that are equal
in all of these have the same values, so it does not matter which is taken. The rule depends on content alone:
not on file names, the order of rows, the number of threads, or which features of the view are asked for.

**How one ASOF join does it.** An ASOF join on `event_timestamp` would pick a row that is not known yet where
an older, known one exists. So each history is first reduced to its *steps*: the rows that become the value at
the moment they become known. Order an entity's rows by (known, event, created, features). A row is a step
when

1. no later row in that order has the same `known` (of what becomes known together, the greatest counts), and
2. its event timestamp is not below that of any row before it (what was known before does not beat it).

Rule 2 may compare event timestamps alone. Take a row r and one before it, p, with the same event timestamp.
If p had the greater created timestamp then `known(p) >= known(r)`, so the two are equal, and then the order
itself puts p after r: a contradiction. The steps of an entity have distinct, rising `known`, and between two
of them the value doesn't change: an ASOF join on `known` is exact.

The join carries no feature: it finds the *place* of each value among the history's rows, and the columns are
taken by place afterwards (`gather`). What is sorted is narrow, whatever the width of the view.

Where each (entity, event timestamp) is unique and nothing is created after its event, every row is a step,
and the window is skipped. `survey` finds that out in one aggregation of the narrow columns.

**ttl** is measured from the event timestamp and is inclusive. The value is the greatest known row, so when it
is too old every other known row is too: the features are NULL, the row stays.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


def identifier(name: str) -> str:
    """Quote a name for DuckDB, so that a feature called `x"; DROP …` is only an odd name."""
    return '"' + name.replace('"', '""') + '"'


def exact(path: object) -> str:
    """A path as DuckDB's readers take it for this one file: to them each path is a pattern."""
    return glob.escape(str(path))


def literal(text: str) -> str:
    """Quote text as a DuckDB string literal."""
    return "'" + text.replace("'", "''") + "'"


def instant(moment: datetime) -> str:
    """A datetime as a TIMESTAMPTZ literal; naive means UTC, as everywhere in Feast."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"TIMESTAMPTZ {literal(aware.astimezone(UTC).isoformat(sep=' '))}"


@dataclass(frozen=True)
class History:
    """One feature view's source, in the names of its own columns.

    Attributes:
        relation: SQL of the source (a table function or a registered name), already safe to paste.
        keys: join key columns; empty for a view without entities.
        event: the event timestamp column.
        created: the created timestamp column, if there is one.
        features: the feature columns to return.
        tie_break: every feature column of the view in schema order: the last word of the tie rule.
        cutoff: whether a value counts only from when it was created.
    """

    relation: str
    keys: tuple[str, ...]
    event: str
    created: str | None
    features: tuple[str, ...]
    tie_break: tuple[str, ...] = ()
    cutoff: bool = True


@dataclass(frozen=True)
class Bounds:
    """The times a join can reach: rows outside cannot change its result and are not read."""

    oldest_event: datetime | None = None
    newest_known: datetime | None = None


@dataclass(frozen=True)
class Survey:
    """What `survey` found: how much of the general case a history needs.

    Attributes:
        late: some row was created after its event.
        repeated: some (entity, event timestamp) occurs more than once.
        tied: some (entity, event timestamp, created timestamp) occurs more than once.
        rows: how many rows can count.
    """

    late: bool = True
    repeated: bool = True
    tied: bool = True
    rows: int = 0

    @property
    def plain(self) -> bool:
        """Every row is a step: no window is needed."""
        return not (self.late or self.repeated)


@dataclass(frozen=True)
class AsofView:
    """A history and how it joins the spine.

    Attributes:
        history: what is joined.
        spine_keys: the spine's columns, in the order of `history.keys`.
        outputs: the names of the features in the result, in the order of `history.features`.
        ttl: how old a value may be; None is for ever.
        event_time: the name under which the joined row's event timestamp is returned; None leaves it out.
    """

    history: History
    spine_keys: tuple[str, ...]
    outputs: tuple[str, ...]
    ttl: timedelta | None = None
    survey: Survey = field(default_factory=Survey)
    event_time: str | None = None


def _keys(history: History) -> list[str]:
    return [f"k{i}" for i in range(len(history.keys))]


def _known(history: History) -> str:
    # greatest() ignores NULL: a missing created timestamp counts from the event on.
    return "greatest(e, c)" if history.cutoff and history.created else "e"


def rows(history: History, bounds: Bounds, columns: Sequence[str] = ()) -> str:
    """The rows that can count, under neutral names: k0…, e (event), c (created) and `columns` as f0….

    Rows without an event timestamp or with a NULL key can match nothing and are left out.
    """
    created = f"CAST({identifier(history.created)} AS TIMESTAMPTZ)" if history.created else "NULL::TIMESTAMPTZ"
    select = [f"{identifier(column)} AS k{i}" for i, column in enumerate(history.keys)]
    select += [f"CAST({identifier(history.event)} AS TIMESTAMPTZ) AS e", f"{created} AS c"]
    select += [f"{identifier(column)} AS f{i}" for i, column in enumerate(columns)]
    conditions = ["e IS NOT NULL", *(f"{key} IS NOT NULL" for key in _keys(history))]
    if bounds.oldest_event is not None:
        conditions.append(f"e >= {instant(bounds.oldest_event)}")
    if bounds.newest_known is not None:
        # Not on greatest(e, c): a bound on the bare column lets Parquet row groups be skipped.
        conditions.append(f"e <= {instant(bounds.newest_known)}")
        if history.cutoff and history.created:
            conditions.append(f"(c IS NULL OR c <= {instant(bounds.newest_known)})")
    return f"SELECT * FROM (SELECT {', '.join(select)} FROM {history.relation}) WHERE {' AND '.join(conditions)}"


def survey(history: History, bounds: Bounds) -> str:
    """One row: is any row late; is any (entity, event) repeated; how many rows there are."""
    late = "bool_or(c > e)" if history.cutoff and history.created else "false"
    by = ", ".join([*_keys(history), "e"])
    return (
        "SELECT coalesce(bool_or(late), false), coalesce(max(n) > 1, false), coalesce(sum(n), 0)::BIGINT FROM "
        f"(SELECT {late} AS late, count(*) AS n FROM ({rows(history, bounds)}) GROUP BY {by})"
    )


def survey_ties(history: History, bounds: Bounds) -> str:
    """One row: is any (entity, event, created) repeated. Needed only when (entity, event) is."""
    by = ", ".join([*_keys(history), "e", "c"])
    return (
        f"SELECT coalesce(max(n) > 1, false) FROM (SELECT count(*) AS n FROM ({rows(history, bounds)}) GROUP BY {by})"
    )


def _numbered(history: History, bounds: Bounds, columns: Sequence[str] = ()) -> str:
    """`rows`, each with its place n among them (from 0), in the order in which the source is read."""
    return f"SELECT *, row_number() OVER () - 1 AS n FROM ({rows(history, bounds, columns)})"


def steps(history: History, surveyed: Survey, bounds: Bounds) -> str:
    """The history's steps (see the module's docstring): k0…, e, known, n."""
    if surveyed.plain:
        return f"SELECT *, e AS known FROM ({_numbered(history, bounds)})"
    tie = history.tie_break if surveyed.tied else ()
    order = ["known", "e", "c NULLS FIRST", *(f"f{i} NULLS FIRST" for i in range(len(tie)))]
    partition = f"PARTITION BY {', '.join(_keys(history))} " if history.keys else ""
    window = f"{partition}ORDER BY {', '.join(order)}"
    return (
        f"SELECT * FROM (SELECT *, {_known(history)} AS known FROM ({_numbered(history, bounds, tie)})) "
        f"QUALIFY lead(known) OVER ({window}) IS DISTINCT FROM known "
        f"AND e = max(e) OVER ({window} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
    )


def places(view: AsofView, spine: str, bounds: Bounds) -> str:
    """Where each spine row's value stands among the history's rows, in the order of the spine's `row`.

    The spine has `row` (BIGINT, unique), `t` (TIMESTAMPTZ) and the view's key columns. The result has one column, the
    n of the row in `values`; NULL where nothing is known or the value has expired.
    """
    place = "h.n"
    if view.ttl:
        place = f"CASE WHEN h.e + to_microseconds({view.ttl // timedelta(microseconds=1)}) >= s.t THEN h.n END"
    on = [
        f"s.{identifier(mine)} = h.{theirs}" for mine, theirs in zip(view.spine_keys, _keys(view.history), strict=True)
    ]
    on.append("s.t >= h.known")
    return (
        f"SELECT {place} AS n FROM {identifier(spine)} s "
        f"ASOF LEFT JOIN ({steps(view.history, view.survey, bounds)}) h ON {' AND '.join(on)} ORDER BY s.row"
    )


def values(view: AsofView, bounds: Bounds) -> str:
    """What the view returns of each row of its history, in the order in which `places` counts them."""
    wanted = [f"f{i} AS {identifier(name)}" for i, name in enumerate(view.outputs)]
    if view.event_time:
        wanted.append(f"e AS {identifier(view.event_time)}")
    return f"SELECT {', '.join(wanted)} FROM ({rows(view.history, bounds, view.history.features)})"


def _since(
    history: History,
    event_from: datetime | None,
    known_from: datetime | None,
    to: datetime,
    columns: Sequence[str],
) -> str:
    source = rows(history, Bounds(oldest_event=event_from, newest_known=to), columns)
    if known_from is None:
        return source
    return f"SELECT * FROM ({source}) WHERE {_known(history)} >= {instant(known_from)}"


def latest(history: History, *, event_from: datetime | None, known_from: datetime | None, to: datetime) -> str:
    """One row per entity: its greatest row (tie rule above) among those known by `to`.

    Args:
        history: what to read; without keys the whole history is one entity.
        event_from: only rows whose event timestamp is at or after this.
        known_from: only rows that became known at or after this, however old their event.
        to: only rows with event timestamp (and, under the cut-off, created timestamp) at or before this.

    Returns:
        SQL with the columns of `history` (keys, features, event, created) under their own names, sorted by
        key.
    """
    wanted = list(dict.fromkeys([*history.features, *history.tie_break]))
    keys = _keys(history)
    narrow, wide = (_since(history, event_from, known_from, to, columns) for columns in ((), wanted))
    # The greatest event first, on the narrow columns: the wide rows are then sorted for the survivors alone.
    by, group = (f"{', '.join(keys)}, ", f" GROUP BY {', '.join(keys)}") if keys else ("", "")
    newest = f"SELECT {by}max(e) AS e FROM ({narrow}){group}"
    survivors = f"SELECT * FROM ({wide}) SEMI JOIN ({newest}) USING ({by}e)"
    tie = ["c", *(f"f{wanted.index(column)}" for column in history.tie_break)]
    order = ", ".join(f"{column} DESC NULLS LAST" for column in tie)
    partition = f"PARTITION BY {', '.join(keys)} " if keys else ""
    ranked = f"SELECT * FROM ({survivors}) QUALIFY row_number() OVER ({partition}ORDER BY {order}) = 1"
    select = [f"{key} AS {identifier(column)}" for key, column in zip(keys, history.keys, strict=True)]
    select += [f"f{wanted.index(column)} AS {identifier(column)}" for column in history.features]
    select.append(f"e AS {identifier(history.event)}")
    if history.created:
        select.append(f"c AS {identifier(history.created)}")
    final = f" ORDER BY {', '.join(keys)}" if keys else ""
    return f"SELECT {', '.join(select)} FROM ({ranked}){final}"


def everything(
    relation: str, *, columns: Sequence[str], event: str, start: datetime | None, end: datetime | None
) -> str:
    """Every row of a source whose event timestamp lies in [start, end]; all columns when none are named."""
    select = ", ".join(identifier(column) for column in columns) or "*"
    moment = f"CAST({identifier(event)} AS TIMESTAMPTZ)"
    conditions = []
    if start is not None:
        conditions.append(f"{moment} >= {instant(start)}")
    if end is not None:
        conditions.append(f"{moment} <= {instant(end)}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {select} FROM {relation}{where}"
