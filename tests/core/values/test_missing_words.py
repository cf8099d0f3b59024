"""A cell that means missing, as SQL: by its text, or by its number however that is written."""

from __future__ import annotations

import duckdb
import pytest

from mlops_assets.core.values.sql import is_one_of

CELLS = [
    "-1",
    "-1.0",
    " -1 ",
    "-1e0",
    "-1.",
    "1",
    "-11",
    "99.9",
    "unknown",
    " unknown",
    "unknown!",
    "0.5",
    ".5",
    "1e400",
]


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("-1", {"-1", "-1.0", " -1 ", "-1e0", "-1."}),
        ("-1e0", {"-1", "-1.0", " -1 ", "-1e0", "-1."}),
        ("+.5", {"0.5", ".5"}),
        ("99.9", {"99.9"}),
        ("unknown", {"unknown", " unknown"}),
        # No float holds it: it is itself alone.
        ("1e400", {"1e400"}),
        ("it's", set()),
    ],
)
def test_a_number_is_missing_however_it_is_written(word: str, wanted: set[str]) -> None:
    with duckdb.connect() as connection:
        connection.execute("create table t as select unnest($cells) as cell", {"cells": CELLS})
        found = connection.execute(f"select cell from t where {is_one_of('cell', [word])}").fetchall()
    assert {cell for (cell,) in found} == wanted
