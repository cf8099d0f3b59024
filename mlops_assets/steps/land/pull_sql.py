"""A table of a database as files, one a partition, fetched as far as something has changed.

Here: which partitions have new or changed rows, and reading those whole, through SQLAlchemy. Not here: judging rows.

A row that is new, late or changed has a higher watermark. It names its partition by its event time, and that partition
is read whole: its file is what the table has of it, so nothing is merged, and twice is the same as once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.sources.pull_settings import PullSpec
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.exact import array_of
from mlops_assets.core.values.extras import importing
from mlops_assets.core.values.text_times import hint, moment_of, read_text
from mlops_assets.steps.land.pull_state import CannotPull, Pulled, remember, remembered
from mlops_assets.world.atomic import keep_time, replacing
from mlops_assets.world.lake import file_hash

if TYPE_CHECKING:
    import pandas as pd
    from sqlalchemy import Column, ColumnElement, Connection, Table


def pull_sql(folder: Path, source: SourceSettings, url: str, options: dict[str, Any]) -> Pulled:
    """Fetch each partition that is over and has rows above the watermark.

    Args:
        folder: the landing folder of the source.
        source: with `pull`.
        url: of SQLAlchemy's.
        options: of its engine.

    Raises:
        CannotPull: no connection, no such table or column.
        MissingExtra: the database's driver is not installed.
    """
    spec = source.pull
    assert spec is not None
    with _connected(url, options, source.name) as connection:
        table = _table(connection, spec, source)
        before = remembered(folder, _read)
        touched, highest = _touched(connection, table, source, before)
        newest = _moment(_highest(connection, table.c[str(source.event_time)]), source)
        now = max([datetime.now(UTC), *([newest] if newest else [])])
        over = [day for day in sorted(touched) if _end(source, day) + parse_duration(spec.lateness) <= now]
        written = []
        for day in over:
            path = folder / source.files.replace("{partition}", day.isoformat()).replace("*", "")
            if _place(_rows(connection, table, source, day), path):
                written.append(path.name)
        if highest is not None:
            # What is still open is looked for again, however far the watermark has come.
            still_open = sorted(day.isoformat() for day in touched - set(over))
            remember(folder, {"watermark": _as_json(highest, source), "open": still_open})
    return Pulled(source.name, tuple(written), len(over))


@contextmanager
def _connected(url: str, options: dict[str, Any], name: str) -> Iterator[Connection]:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with importing("sql", f"The driver of {name}", others="It has PostgreSQL's; others are packages of their own."):
            engine = create_engine(url, **options)
    except (SQLAlchemyError, TypeError) as error:
        # Not the address itself: it holds a password.
        raise CannotPull(f"the address of {name} cannot be used ({error}). Correct it. Nothing was fetched.") from error
    try:
        # One view of the table for all partitions of a fetch, where the database has such.
        level = "REPEATABLE READ" if engine.dialect.name in ("postgresql", "mysql", "mariadb") else None
        with engine.connect() as connection:
            yield connection.execution_options(isolation_level=level) if level else connection
    except SQLAlchemyError as error:
        raise CannotPull(
            f"the database of {name} does not answer ({str(error).splitlines()[0]}). Files that were landed are whole; "
            "the next fetch goes on."
        ) from error
    finally:
        engine.dispose()


def _table(connection: Connection, spec: PullSpec, source: SourceSettings) -> Table:
    from sqlalchemy import MetaData, Table
    from sqlalchemy.exc import NoSuchTableError

    schema, _, name = str(spec.table).rpartition(".")
    try:
        table = Table(name, MetaData(), schema=schema or None, autoload_with=connection)
    except NoSuchTableError as error:
        raise CannotPull(f"there is no table {spec.table}. Correct pull.table, or the rights to it.") from error
    for column in (str(spec.watermark), str(source.event_time)):
        if column not in table.columns:
            known = ", ".join(table.columns.keys())
            raise CannotPull(f"{spec.table} has no column {column}; it has {known}. Correct the YAML.")
    kind = table.c[str(spec.watermark)].type
    with suppress(NotImplementedError):  # a type of the database's own: its values tell
        if kind.python_type not in (datetime, date, int, float, Decimal, str):
            raise _no_watermark(source, f"is of the type {kind}")
    return table


def _touched(
    connection: Connection, table: Table, source: SourceSettings, before: dict[str, Any]
) -> tuple[set[date], Any]:
    """The partitions of rows above the watermark (less the overlap), and the highest watermark there is."""
    from sqlalchemy import func, select

    spec = source.pull
    assert spec is not None
    watermark, event_time = table.c[str(spec.watermark)], table.c[str(source.event_time)]
    highest = _highest(connection, watermark)
    days = set(before["open"])
    if highest is None:
        return days, None
    _as_json(highest, source)
    if isinstance(highest, str):
        lowest = connection.execute(select(func.min(watermark))).scalar()
        if _form(str(lowest)) != _form(highest):
            raise _no_watermark(source, f"holds {shown(str(lowest))} beside {shown(highest)}")
    query = select(event_time).distinct()
    if "watermark" in before:
        query = query.where(_is_above(_exact(connection, watermark), before["watermark"], highest, spec))
    for (at,) in connection.execution_options(yield_per=10_000).execute(query):
        day = _partition(at, source)
        if day is not None:
            days.add(day)
    return {day for day in days if source.has_partition(day)}, highest


def _is_above(watermark: ColumnElement[Any], known: Any, highest: Any, spec: PullSpec) -> ColumnElement[bool]:
    """Whether a row is above the known watermark, or so little below it that it may have been committed late.

    More rows than those change nothing, fewer lose some: a day is looked at whole, and so is the second of a text.
    """
    overlap = parse_duration(spec.overlap)
    if isinstance(known, datetime):
        known -= overlap
        return watermark > (known.replace(tzinfo=None) if known.tzinfo and not _is_aware(highest) else known)
    if isinstance(known, date):
        return watermark >= (datetime.combine(known, time()) - overlap).date()
    if isinstance(known, str):
        before = datetime.fromisoformat(known) - overlap
        return watermark >= before.isoformat(known[10:11] or "T", "seconds")[: min(len(known), 19)]
    return watermark > known


def _rows(connection: Connection, table: Table, source: SourceSettings, day: date) -> pd.DataFrame:
    """All rows of a partition, in the order of event time and watermark, each cell as the database gives it."""
    import pandas as pd
    from sqlalchemy import select

    spec = source.pull
    assert spec is not None
    at, watermark = table.c[str(source.event_time)], table.c[str(spec.watermark)]
    # A watermark that the contract does not know is ours alone.
    wanted = [each for each in table.columns if each is not watermark or watermark.name in source.contract.columns]
    near = _is_near(connection, at, source, day)
    query = select(*(_exact(connection, each) for each in wanted)).where(near).order_by(at, watermark)
    place = [each.name for each in wanted].index(at.name)
    # Without pandas' own reading of SQL, which makes floats of decimals and of integers beside a missing one.
    rows = [tuple(row) for row in connection.execute(query) if _partition(row[place], source) == day]
    return pd.DataFrame(rows, columns=[each.name for each in wanted], dtype=object)


def _is_near(connection: Connection, at: Column[Any], source: SourceSettings, day: date) -> ColumnElement[bool]:
    """Whether a row may be in a partition: all of its rows are, and on SQLite some of the days beside it."""
    from sqlalchemy import String, type_coerce

    start, end = source.midnight(day), _end(source, day)
    if connection.dialect.name == "sqlite":
        # Times are texts there: with and without fraction, T or offset, whose order is that of time by the day alone.
        # Two offsets are up to 26 hours apart: two days.
        text, near = type_coerce(at, String()), timedelta(days=2)
        return (text >= (day - near).isoformat()) & (text < (source.end_of(day) + near).isoformat())
    if not getattr(at.type, "timezone", False):
        # Without a zone the column holds the local time of the source's.
        start, end = (moment.astimezone(ZoneInfo(source.timezone)).replace(tzinfo=None) for moment in (start, end))
    return (at >= start) & (at < end)


def _exact(connection: Connection, column: Column[Any]) -> Any:
    """A column as its driver gives it where SQLAlchemy would format decimals by way of a float, as for SQLite."""
    from sqlalchemy import Numeric, type_coerce
    from sqlalchemy.types import NullType

    is_by_float = isinstance(column.type, Numeric) and not connection.dialect.supports_native_decimal
    return type_coerce(column, NullType()).label(column.name) if is_by_float else column


def _highest(connection: Connection, column: Column[Any]) -> Any:
    from sqlalchemy import func, select

    try:
        return connection.execute(select(func.max(_exact(connection, column)))).scalar()
    except ValueError as error:  # SQLite's types are promises
        raise CannotPull(
            f"{column} is of the type {column.type} and holds what is none ({error}). Correct the values, or give "
            "another column. Nothing was fetched."
        ) from error


def _partition(at: Any, source: SourceSettings) -> date | None:
    moment = _moment(at, source)
    return None if moment is None else source.partition_of(moment.astimezone(ZoneInfo(source.timezone)).date())


def _moment(value: Any, source: SourceSettings) -> datetime | None:
    """A time of the table as a moment; without a zone it is in the source's.

    Raises:
        CannotPull: it is none.
    """
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    moment = moment_of(value, source.timezone) if isinstance(value, str | datetime) else None
    if moment is None:
        why = hint(value)
        raise CannotPull(
            f"{source.event_time} of {source.name} is {value}, which is no time{why and f' ({why})'}. Give a column of "
            "timestamps, such as a view's. Nothing was fetched."
        )
    return moment


def _is_aware(value: Any) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None


def _end(source: SourceSettings, day: date) -> datetime:
    return source.midnight(source.end_of(day))


def _as_json(value: Any, source: SourceSettings) -> dict[str, Any]:
    """A watermark as JSON, with every digit and in the type of its column.

    Raises:
        CannotPull: it grows with nothing, or not in the order of its column.
    """
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, date):
        return {"date": value.isoformat()}
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return {"number": value}
    if isinstance(value, Decimal) and value.is_finite():
        return {"decimal": str(value)}
    if isinstance(value, str) and _form(value) is not None:
        return {"text": value}
    raise _no_watermark(source, f"holds {shown(str(value))}")


def _read(state: dict[str, Any]) -> dict[str, Any]:
    """What is remembered: the days that were open, and the watermark as `_as_json` was given it, if there is one."""
    still_open = {"open": [date.fromisoformat(day) for day in state.get("open", ())]}
    if not state.get("watermark"):
        return still_open
    ((kind, watermark),) = state["watermark"].items()
    return {**still_open, "watermark": _KINDS[kind](watermark)}


_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:([T ])\d\d:\d\d:\d\d(?:\.\d{1,6})?(Z|\+00:00)?)?", re.ASCII)


def _form(text: str) -> tuple[str | None, ...] | None:
    """How a time is written, as far as the order of texts is that of time among such alone; None for no time."""
    match = _ISO.fullmatch(text)
    return match.groups() if match and read_text(text) is not None else None


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "time": datetime.fromisoformat,
    "date": date.fromisoformat,
    "number": lambda number: number + 0,
    "decimal": Decimal,
    "text": str,
}


def _no_watermark(source: SourceSettings, why: str) -> CannotPull:
    column = source.pull.watermark if source.pull else ""
    return CannotPull(
        f"{column} of {source.name} {why}, by which nobody can tell what is new. Give as pull.watermark a column of "
        "numbers, dates or times that grows with each new or changed row; texts must be times such as "
        "2024-03-01T12:00:00Z, all in UTC or all without a zone. Nothing was fetched."
    )


def _place(rows: pd.DataFrame, path: Path) -> bool:
    """Write a partition's file; whether it is new or has changed."""
    before = file_hash(path) if path.exists() else None
    table = pa.table({name: array_of(rows[name].tolist()) for name in rows})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
        if before is not None and file_hash(temporary) == before:
            keep_time(path, temporary)
            return False
    return True
