"""The lake: Parquet that everything shares, read and written through DuckDB and pyarrow.

Here: paths of partitions, atomic writes, reads of a range, and the fingerprint that says what a file was made of.
Not here: what a row means (`core`), dbt's own writes (`dbt_plugin`, same layout), Feast's joins (`feast_store`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mlops_assets.core.values.sql import exact, quoted
from mlops_assets.world import parquet
from mlops_assets.world.atomic import replacing
from mlops_assets.world.home import Home
from mlops_assets.world.parquet import FINGERPRINT

if TYPE_CHECKING:
    # Where files are is asked by commands that read none of them.
    import duckdb
    import pandas as pd
    import pyarrow as pa

_PLACE = "the place of a row"
_TABLE = "read_parquet($files, hive_partitioning = true, hive_types = {'partition': date}, union_by_name = true)"


@dataclass(frozen=True, kw_only=True)
class Lake:
    """Tables of one home as Parquet files, one file a partition and writer.

    Attributes:
        root: the home; empty means `$MLOPS_HOME`.
    """

    root: str = ""

    @property
    def home(self) -> Home:
        """The home whose lake this is."""
        return Home(Path(self.root)) if self.root else Home.from_environment()

    def folder(self, *parts: str) -> Path:
        """The folder of a table, e.g. `folder("raw", "flights")`."""
        return self.home.lake.joinpath(*parts)

    def file(self, *parts: str, partition: date | str | None = None, name: str = "data") -> Path:
        """The file of one partition of a table (or of the whole table, without a partition)."""
        return parquet.file_of(self.folder(*parts), partition, name)

    def partitions(self, *parts: str, name: str = "data") -> dict[date, Path]:
        """The partitions a table has, oldest first."""
        paths = {
            date.fromisoformat(path.parent.name.removeprefix("partition=")): path
            for path in self.folder(*parts).glob(f"partition=*/{name}.parquet")
        }
        return dict(sorted(paths.items()))

    def row_counts(self, *parts: str, start: date | None = None, end: date | None = None) -> dict[date, int]:
        """Rows of each partition in [start, end), oldest first, as the files' footers say."""
        import pyarrow.parquet as pq

        return {
            day: pq.read_metadata(path).num_rows
            for day, path in self.partitions(*parts).items()
            if (start is None or day >= start) and (end is None or day < end)
        }

    def columns(self, *parts: str, start: date | None = None, end: date | None = None, name: str = "data") -> list[str]:
        """The columns that the partitions in [start, end) have between them, as the files' footers say."""
        import pyarrow.parquet as pq

        names: dict[str, None] = {}
        for day, path in self.partitions(*parts, name=name).items():
            if (start is None or day >= start) and (end is None or day < end):
                names.update(dict.fromkeys(pq.read_schema(path).names))
        return list(names)

    def write(
        self,
        frame: pd.DataFrame | pa.Table,
        path: Path,
        *,
        fingerprint: str = "",
        schema: pa.Schema | None = None,
        keep_types: bool = False,
        notes: Mapping[bytes, bytes] | None = None,
    ) -> int:
        """Write one Parquet file, whole or not at all; returns the number of rows.

        Timestamps are stored as UTC microseconds: DuckDB refuses to compare them with nanoseconds. With `keep_types`
        pandas reads a frame's own types again: nullable integers, where it would make floats of those with gaps.
        `notes` are kept in the file's footer beside the fingerprint.
        """
        import pandas as pd
        import pyarrow as pa
        import pyarrow.parquet as pq

        if isinstance(frame, pd.DataFrame):
            frame = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        kept = {b"pandas": (frame.schema.metadata or {})[b"pandas"]} if keep_types else {}
        metadata = {FINGERPRINT: fingerprint.encode(), **kept, **(notes or {})}
        table = _microseconds(frame).replace_schema_metadata(metadata)
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        return table.num_rows

    def read(
        self,
        *parts: str,
        start: date | None = None,
        end: date | None = None,
        days: Collection[date] | None = None,
        columns: Sequence[str] | None = None,
        name: str = "data",
        where: str = "true",
        parameters: Mapping[str, Any] | None = None,
        order_by: Sequence[str] = (),
    ) -> pd.DataFrame:
        """Rows of the partitions in [start, end), as a frame (empty, without columns, when there is no file).

        Args:
            parts: the table.
            start: first partition, inclusive.
            end: last partition, exclusive.
            days: only these partitions.
            columns: only these.
            name: which writer's files.
            where: a further condition in SQL, with `$name` parameters.
            parameters: values for the parameters in `where`.
            order_by: columns to sort by; without any the order is not stated.
        """
        files = [
            path
            for day, path in self.partitions(*parts, name=name).items()
            if (start is None or day >= start) and (end is None or day < end) and (days is None or day in days)
        ]
        if not files:
            import pandas as pd

            return pd.DataFrame()
        selected = ", ".join(quoted(column) for column in columns) if columns else "* exclude (partition)"
        order = f"order by {', '.join(quoted(column) for column in order_by)}" if order_by else ""

        def read(paths: Sequence[Path]) -> pd.DataFrame:
            with self.connect() as connection:
                answer = connection.execute(
                    f"select {selected} from {_TABLE} where {where} {order}",
                    {"files": [exact(path) for path in paths], **(parameters or {})},
                )
                return _frame(connection, answer)

        return parquet.read_steady(files, read)

    def texts(self, *parts: str, column: str, days: Collection[date]) -> list[str]:
        """The values that a column has in some partitions, as texts; sorted, without missing ones.

        Raises:
            LookupError: there are partitions, and none has such a column.
        """
        files = [path for day, path in self.partitions(*parts).items() if day in days]
        if not files:
            return []
        value = f"cast({quoted(column)} as varchar)"

        def read(paths: Sequence[Path]) -> list[str]:
            with self.connect() as connection:
                named = {"files": [exact(path) for path in paths]}
                relation = connection.execute(f"select * from {_TABLE} limit 0", named)
                if column not in [name for name, *_ in relation.description or ()]:
                    raise LookupError(column)
                query = f"select distinct {value} as value from {_TABLE} where {value} is not null order by value"
                return [value for (value,) in connection.execute(query, named).fetchall()]

        return parquet.read_steady(files, read)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A session of an in-memory DuckDB that speaks UTC (`parquet.connected`)."""
        with parquet.connected() as connection:
            yield connection

    @staticmethod
    def fingerprint(path: Path) -> str:
        """What the file says it was made of; empty for a file that says nothing."""
        return parquet.fingerprint(path)


def content_hash(frame: pd.DataFrame) -> str:
    """SHA-256 of a frame's column names, types and values in their order.

    Two frames with equal rows in equal order have equal hashes, whatever made them.
    """
    import pandas as pd

    digest = hashlib.sha256(json.dumps([[c, str(t)] for c, t in frame.dtypes.items()]).encode())
    for column in frame.columns:
        digest.update(pd.util.hash_pandas_object(frame[column], index=False).to_numpy().tobytes())
    return digest.hexdigest()


def _frame(connection: duckdb.DuckDBPyConnection, answer: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """What a query found, as DuckDB makes frames, but integers of more than 64 bits and decimals without places.

    Of those it makes floats; here they are nullable integers, or as they are where 64 bits do not hold them.
    """
    kinds = {str(name): str(kind) for name, kind, *_ in answer.description or ()}
    whole = [name for name, kind in kinds.items() if kind == "HUGEINT" or re.fullmatch(r"DECIMAL\(\d+, ?0\)", kind)]
    if not whole:
        return answer.df()
    import pyarrow as pa

    from mlops_assets.core.values.exact import to_integers

    table = cast("pa.Table", answer.to_arrow_table())
    numbered = table.drop_columns(whole).append_column(_PLACE, pa.array(range(table.num_rows), pa.int64()))
    frame = connection.from_arrow(numbered).df().sort_values(_PLACE, ignore_index=True)
    for name in whole:
        decimals = table.column(name).to_pandas()
        integers = to_integers(decimals)
        frame[name] = decimals if (integers.isna() & decimals.notna()).any() else integers
    return frame[table.column_names]


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _microseconds(table: pa.Table) -> pa.Table:
    """The same table with each timestamp in microseconds (UTC where it has a zone)."""
    import pyarrow as pa

    fields = [
        field.with_type(pa.timestamp("us", tz="UTC" if field.type.tz else None))
        if pa.types.is_timestamp(field.type)
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))
