"""Casts that keep every digit: what a cell becomes, and which cells are refused because they would lose some."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.core.sources.contract import SourceContract
from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.values.exact import (
    array_of,
    boolean_of,
    frame_of,
    to_booleans,
    to_integers,
    to_numbers,
    to_texts,
)

LONG = 1_460_323_737_035_677_698
SEEDS = range(5)


def plain(series: pd.Series) -> list[Any]:
    return [None if pd.isna(value) else value for value in series.tolist()]


def with_gaps(rng: np.random.Generator, values: list[Any]) -> list[Any]:
    return [None if rng.random() < 0.2 else value for value in values]


def random_ids(rng: np.random.Generator, low: int, high: int, count: int = 200) -> list[int]:
    """Whole numbers of all lengths between two bounds, neighbours among them."""
    drawn = [int(rng.integers(0, 2**63)) * 2**65 + int(rng.integers(0, 2**63)) for _ in range(count)]
    sized = [low + number % (1 + (high - low) // 10 ** int(rng.integers(0, 18))) for number in drawn]
    return [*sized, low, high, high - 1, min(high, LONG), min(high, LONG + 1)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", ["int64", "text", "decimal", "objects", "dictionary", "pandas arrow"])
def test_integers_of_64_bits_come_out_as_they_went_in(seed: int, form: str) -> None:
    rng = np.random.default_rng(seed)
    ids = with_gaps(rng, random_ids(rng, -(2**63), 2**63 - 1))
    whole = pa.array(ids, pa.int64())
    raw = {
        "int64": lambda: frame_of(pa.table({"id": whole}))["id"],
        "text": lambda: pd.Series([None if v is None else str(v) for v in ids], dtype=object),
        "decimal": lambda: frame_of(pa.table({"id": whole.cast(pa.decimal128(38, 0))}))["id"],
        "objects": lambda: pd.Series([*ids[:-1], 1.0], dtype=object),
        "dictionary": lambda: frame_of(pa.table({"id": whole.dictionary_encode()}))["id"],
        "pandas arrow": lambda: pd.Series(ids, dtype="int64[pyarrow]"),
    }[form]()
    expected = [*ids[:-1], 1] if form == "objects" else ids
    assert plain(to_integers(raw)) == expected
    assert plain(to_texts(raw)) == [None if v is None else str(v) for v in expected]


@pytest.mark.parametrize("seed", SEEDS)
def test_identifiers_beyond_64_bits_are_kept_as_text_and_refused_as_integers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for low, high, kind in ((2**63, 2**64 - 1, pa.uint64()), (10**20, 10**38 - 1, pa.decimal128(38, 0))):
        values = random_ids(rng, low, high)[:-2]
        ids = with_gaps(rng, values if kind == pa.uint64() else [Decimal(v) for v in values])
        raw = frame_of(pa.table({"id": pa.array(ids, kind)}))["id"]
        assert plain(to_texts(raw)) == [None if v is None else str(v) for v in ids]
        assert to_integers(raw).isna().all()


@pytest.mark.parametrize("dtype", ["uint64", "UInt64", "uint64[pyarrow]"])
def test_one_that_is_too_large_costs_its_neighbours_no_digit(dtype: str) -> None:
    raw = pd.Series([2**63 + 1, LONG, LONG + 1, 5], dtype=dtype)
    assert plain(to_integers(raw)) == [None, LONG, LONG + 1, 5]
    assert plain(to_texts(raw)) == [str(2**63 + 1), str(LONG), str(LONG + 1), "5"]
    assert plain(to_numbers(raw)) == [None, None, None, 5.0]


@pytest.mark.parametrize(
    ("kind", "cell", "told"),
    [
        ("integer", 2.5, "(2.5): 2.5 is no whole number, so correct the values, or declare `type: number`."),
        ("integer", -1e-9, "-1e-09 is no whole number"),
        ("integer", np.float32(0.5), "0.5 is no whole number"),
        ("integer", Decimal("1460323737035677698.5"), "1460323737035677698.5 is no whole number"),
        ("integer", "2.5", "2.5 is no whole number"),
        ("integer", float(LONG), "a float beyond 2^53 has lost digits"),
        ("integer", "abc", "(abc): correct the values, or declare another type."),
        ("string", 1e22, "a float beyond 2^53 has lost digits"),
        ("string", b"\xff\x00", "the bytes are no UTF-8 text, so deliver the column as text."),
    ],
)
def test_the_reason_is_that_of_the_cell(kind: str, cell: Any, told: str) -> None:
    raw = pd.DataFrame(
        {"id": pd.Series([cell, None], dtype=object if isinstance(cell, str | bytes | Decimal) else None)}
    )
    found = conform(SourceContract.from_dict({"columns": {"id": kind}}), raw)
    assert [failure.n_rows for failure in found.failures] == [1]
    assert told in found.failures[0].sentence


@pytest.mark.parametrize("dtype", [object, "string"])
@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("string", ["cust", "cust\x000", "cust\x001"]),
        ("integer", ["1", "1\x000", "1\x00"]),
        ("number", ["1.5", "1.5\x00", "2e3\x001"]),
        ("boolean", ["true", "true\x00", "true\x001"]),
        ("timestamp", ["2024-03-01T00:00:00Z", "2024-03-01T00:00:00Z\x00", "2024-03-01\x0001"]),
        ("date", ["2024-03-01", "2024-03-01\x00", "2024-03-01\x0001"]),
    ],
)
def test_no_text_with_a_nul_is_taken_for_what_stands_before_it(kind: str, cells: list[str], dtype: Any) -> None:
    contract = SourceContract.from_dict({"columns": {"id": kind}})
    found = conform(contract, pd.DataFrame({"id": pd.Series(cells, dtype=dtype)}))
    assert found.frame["id"].notna().tolist() == [True, False, False]
    assert found.bad_cells["id"].tolist() == [False, True, True]
    (failure,) = found.failures
    assert f"can't be read as {kind}" in failure.sentence
    assert failure.sentence.endswith("programs cut a text at its NUL character, so correct the values.")


def test_a_cast_that_loses_is_refused_with_row_and_value() -> None:
    contract = SourceContract.from_dict({"columns": {"id": "string", "seen": "integer", "amount": "number"}})
    frame = pd.DataFrame(
        {
            "id": [11.0, np.nan, float(LONG), 11.5],
            "seen": pd.Series([1, 2**63, None, 2], dtype="UInt64"),
            "amount": pd.Series([LONG, 2, 3, 2**60], dtype="Int64"),
        }
    )
    found = conform(contract, frame)
    assert plain(found.frame["id"]) == ["11", None, None, "11.5"]
    assert plain(found.frame["seen"]) == [1, None, None, 2]
    assert plain(found.frame["amount"]) == [None, 2.0, 3.0, 2.0**60]
    sentences = {failure.column: failure.sentence for failure in found.failures}
    assert sentences["id"] == (
        "1 row of id (row 3) can't be read as string (1.4603237370356777e+18): a float beyond 2^53 has lost digits, so "
        "deliver the column as integers, decimals or text."
    )
    assert "(row 2)" in sentences["seen"]
    assert "9223372036854775808" in sentences["seen"]
    assert "`type: string`" in sentences["seen"]
    assert f"(row 1) can't be read as number ({LONG})" in sentences["amount"]


@pytest.mark.parametrize(
    ("cell", "whole"),
    [
        ("007", 7), ("+5", 5), (" 8 ", 8), ("12.", 12), ("12.000", 12), ("1e3", 1000), (f"{LONG}.0", LONG),
        ("1.46e18", None), ("1e400", None), ("0x1F", None), ("1_0", None), ("12.5", None), ("", None), ("9" * 30, None),
        (2.0**53, 2**53), (2.0**53 + 2, None), (float("inf"), None), (Decimal("5"), 5), (Decimal("5.5"), None),
        (True, 1), (np.int64(LONG), LONG), (np.float64(3), 3), (b"12", None),
    ],
)  # fmt: skip
def test_a_cell_among_others_is_read_by_itself(cell: Any, whole: int | None) -> None:
    """Beside a long identifier, a text and a missing one: what stands next to it decides nothing."""
    raw = pd.Series([LONG, cell, None, "3"], dtype=object)
    assert plain(to_integers(raw)) == [LONG, whole, None, 3]


def test_large_numbers_that_a_float_holds_are_numbers() -> None:
    raw = pd.Series([2**60, "1e22", 10**22, "0.1", "1.46e18", str(2**60), f"{LONG}", f"{LONG}.5"], dtype=object)
    expected = [2.0**60, 1e22, 1e22, 0.1, 1.46e18, 2.0**60, None, float(f"{LONG}.5")]
    assert plain(to_numbers(raw)) == expected


def test_values_without_a_common_type_become_text_with_all_digits() -> None:
    assert array_of([LONG, None, 3]).to_pylist() == [LONG, None, 3]
    assert array_of([2**63, None, True]).to_pylist() == [str(2**63), None, "true"]
    assert array_of([1.5, LONG]).to_pylist() == ["1.5", str(LONG)]
    assert array_of([None, None]).to_pylist() == [None, None]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["true", "FALSE", " True ", "t", "F", "yes", "No", "y", "N", "1", "0", "1.0"],
         [True, False, True, True, False, True, False, True, False, True, False, True]),
        ([True, False, np.True_, 1, 0, 1.0, 0.0, Decimal(1), np.int64(0)],
         [True, False, True, True, False, True, False, True, False]),
        (["perhaps", "on", 2, 0.5, -1, "", "truee", Decimal("1.5")], [None] * 8),
    ],
)  # fmt: skip
def test_one_set_of_spellings(cells: list[Any], expected: list[bool | None]) -> None:
    assert plain(to_booleans(pd.Series(cells, dtype=object))) == expected
    assert [boolean_of(cell) for cell in cells] == expected
    assert boolean_of(None) is None


def test_a_flag_is_the_same_text_from_every_file() -> None:
    typed = [pd.Series([True, False, None], dtype=kind) for kind in (object, "boolean", "bool[pyarrow]")]
    for raw in (*typed, pd.Series(["true", "false", None])):
        assert plain(to_texts(raw)) == ["true", "false", None]


def test_only_integers_with_gaps_change_their_type_in_a_frame() -> None:
    table = pa.table({"a": [1, 2], "b": [1, None], "c": [1.5, None], "d": [True, None], "e": pa.array([1, None], "u1")})
    assert [str(dtype) for dtype in frame_of(table).dtypes] == ["int64", "Int64", "float64", "object", "UInt8"]


@pytest.mark.parametrize(
    ("text", "whole", "number"),
    [
        ("1.460323737035677698E+18", LONG, None),
        ("-1.460323737035677698e18", -LONG, None),
        ("9.007199254740993e15", 2**53 + 1, None),
        # As `numpy.savetxt` writes a float, whatever its size.
        (f"{float(LONG):.18e}", int(float(LONG)), float(LONG)),
        (f"{1.1e30:.18e}", None, 1.1e30),
        ("6.02214076e23", None, 6.02214076e23),
        ("1e39", None, 1e39),
        ("1.5e3", 1_500, 1_500.0),
        ("10e-1", 1, 1.0),
        ("15e-1", None, 1.5),
    ],
)
def test_a_whole_number_with_an_exponent_keeps_its_digits_or_is_refused(
    text: str, whole: int | None, number: float | None
) -> None:
    cells = pd.Series([text], dtype=object)
    assert plain(to_integers(cells)) == [whole]
    assert plain(to_numbers(cells)) == [number]
    contract = SourceContract.from_dict({"columns": {"v": {"type": "number", "max_null_share": 1}}})
    reasons = [failure.sentence for failure in conform(contract, pd.DataFrame({"v": cells})).failures]
    assert any("declare `type: integer` or `type: string`" in reason for reason in reasons) == (number is None)


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", "\u2009", "\u202f", "\u3000"])
def test_blanks_beside_a_number_are_none_of_it(blank: str) -> None:
    cells = pd.Series([f"{blank}1.5", f"2{blank}", f"{blank}9007199254740993", f"1{blank}x", None, "3"], dtype=object)
    assert to_numbers(cells).tolist()[:2] == [1.5, 2.0]
    assert to_numbers(cells).isna().tolist() == [False, False, True, True, True, False]
    assert to_integers(cells.iloc[[1, 2]]).tolist() == [2, 9007199254740993]
