"""The types of a person's table: each column as one of few, without losing a digit.

Here: integers, decimals and flags of DuckDB's many types as the few that the rest knows; columns that DuckDB would
round. Not here: reading the files, facts about columns (`table`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_assets.core.values.exact import FLOAT_WHOLE, whole_up_to
from mlops_assets.core.values.identifiers import ID_NAMES
from mlops_assets.core.values.sql import literal, quoted
from mlops_assets.onboarding.reading.instructions import Reading, Undecided
from mlops_assets.onboarding.reading.places import Cells
from mlops_assets.world.files.flag_columns import as_flag, is_flag

_KEPT = {"BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"}
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER")
_OTHERS = {**dict.fromkeys(_INTEGERS, "bigint"), "FLOAT": "double"}


_IS_LONG = "regexp_full_match({0}, '[+-]?[0-9]{{16,}}(\\.0*)?')"
_EXPONENT = "try_cast(regexp_extract({0}, '[eE]\\+?([0-9]{{1,2}})$', 1) as int)"
_PLACES = "length(regexp_extract({0}, '^[+-]?[0-9]\\.([0-9]{{15,}})[eE]', 1))"
_IS_LOST = (
    f"({_EXPONENT} between 1 and {_PLACES} "
    "and try_cast({0} as hugeint) <> try_cast(try_cast({0} as double) as hugeint))"
)
"""A whole number that is written out with an exponent, and that no float is: 1.460323737035677698E+18."""


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[str, str]]:
    """Name and DuckDB's type of each column."""
    return [(str(name), str(dtype)) for name, dtype, *_ in connection.execute(f"describe {relation}").fetchall()]


def too_wide(file: Path) -> str | None:
    """The first column of decimals that DuckDB has no type for, and would read as floats."""
    decimals = (field for field in pq.read_schema(file) if pa.types.is_decimal(field.type))
    return next((field.name for field in decimals if field.type.precision > 38), None)


def settle_types(connection: duckdb.DuckDBPyConnection, relation: str, texts: Collection[str] = ()) -> None:
    """Bring each column to one of few types; some are texts whatever stands in them."""
    for name, dtype in columns_of(connection, relation):
        if name in texts:
            change = ("varchar", _text(name, dtype)) if dtype != "VARCHAR" else None
        else:
            change = _settled(connection, relation, name, dtype)
        if change is not None:
            kept, value = change
            connection.execute(f"alter table {relation} alter {quoted(name)} type {kept} using {value}")


def _settled(connection: duckdb.DuckDBPyConnection, relation: str, name: str, dtype: str) -> tuple[str, str] | None:
    """Type and value of a column that is to change; None where it is of one of the few types."""
    column = quoted(name)
    if dtype == "VARCHAR" and is_flag(connection, relation, name):
        return "boolean", as_flag(name)
    if dtype == "DOUBLE" and ID_NAMES.search(name) and _is_whole(connection, relation, column):
        return "bigint", column
    if dtype in _KEPT:
        return None
    if dtype.startswith(("DECIMAL", "HUGEINT", "UBIGINT", "UHUGEINT")):
        return _exact_type(connection, relation, column, dtype)
    if dtype == "TIMESTAMPTZ_NS":  # as pandas writes moments
        return "timestamptz", column
    if dtype.startswith("TIMESTAMP"):
        return "timestamp", column
    return _OTHERS.get(dtype, "varchar"), column


def refuse_rounded(table: Cells, reading: Reading) -> None:
    """Refuse floats that have lost digits, in columns that are texts or integers.

    Raises:
        Undecided: naming the first of them.
    """
    integers = [name for name, column in reading.declared.items() if column.type == "integer"]
    for name, dtype in columns_of(table.connection, table.relation):
        if dtype not in ("FLOAT", "DOUBLE") or name not in (*integers, *reading.texts):
            continue
        most = whole_up_to("float32" if dtype == "FLOAT" else "float64")
        is_lost = f"isfinite({quoted(name)}) and abs({quoted(name)}) > {most}"
        query = f"select {quoted(name)} from {table.relation} where {is_lost} limit 1"
        if lost := table.connection.execute(query).fetchall():
            kind = "an integer" if name in integers else "text"
            raise Undecided(
                f"{name} is to be {kind} and is the float {lost[0][0]:.0f} in {table.place(is_lost)}: floats beyond "
                f"2^{most.bit_length() - 1} have lost digits. Write the column as integers, decimals or text. Nothing "
                "was written."
            )


def _text(name: str, dtype: str) -> str:
    """A column of any type as text; whole floats by their digits, 100.0 as 100."""
    return digits_of_floats(name) if dtype in ("FLOAT", "DOUBLE") else f"{quoted(name)}::varchar"


def digits_of_floats(name: str) -> str:
    """A column of floats as text in SQL; whole numbers by their digits, 100.0 as 100."""
    column = quoted(name)
    is_whole = f"isfinite({column}) and {column} = trunc({column})"
    return f"case when {is_whole} then {column}::bigint::varchar when isfinite({column}) then {column}::varchar end"


def _is_whole(connection: duckdb.DuckDBPyConnection, relation: str, column: str) -> bool:
    """Whether floats are whole numbers, such as 17.0: pandas writes integers so beside a missing one."""
    is_whole = connection.execute(
        f"select bool_and(isfinite({column}) and {column} = trunc({column}) and abs({column}) <= {FLOAT_WHOLE}) "
        f"from {relation}"
    ).fetchall()[0][0]
    return bool(is_whole)


def _exact_type(connection: duckdb.DuckDBPyConnection, relation: str, column: str, dtype: str) -> tuple[str, str]:
    """Type and value of a column of decimals or of integers beyond 64 bits: no digit is lost.

    Decimals with places behind the point are measures, and floats, unless they are whole numbers that no float holds.
    """
    is_whole, is_large, fits = connection.execute(
        f"select bool_and({column} = trunc({column})), max(abs({column}::double)) > {FLOAT_WHOLE}, "
        f"count(try_cast({column} as bigint)) = count({column}) from {relation}"
    ).fetchall()[0]
    has_places = dtype.startswith("DECIMAL") and not dtype.endswith(",0)")
    if has_places and not (is_whole and is_large):
        return "double", column
    return ("bigint", column) if fits else ("varchar", f"trunc({column})::varchar")


def codes_among_floats(
    connection: duckdb.DuckDBPyConnection, relation: str, read: str, given: Mapping[str, object]
) -> list[str]:
    """Columns that were read as floats and hold integers, which were rounded: read as texts, they keep all digits.

    Args:
        connection: of the relation.
        relation: what was read.
        read: the call of `read_csv` that it was read by.
        given: its parameters.
    """
    large = [
        name
        for name, dtype in columns_of(connection, relation)
        if dtype == "DOUBLE"
        and connection.execute(
            f"select bool_or(isfinite({quoted(name)}) and abs({quoted(name)}) > {FLOAT_WHOLE}) from {relation}"
        ).fetchall()[0][0]
    ]
    if not large:
        return []
    sql = ", ".join(f"bool_or({_IS_LONG} or {_IS_LOST})".format(f"trim({quoted(name)})") for name in large)
    (are_codes,) = connection.execute(f"select {sql} from {read[:-1]}, all_varchar = true)", dict(given)).fetchall()
    return [name for name, is_code in zip(large, are_codes, strict=True) if is_code]


def with_texts(read: str, names: Sequence[str]) -> str:
    """A call of `read_csv` that takes some columns for texts, whatever stands in them."""
    types = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    return f"{read[:-1]}, types = {{{types}}})" if names else read
