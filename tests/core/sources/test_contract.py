from __future__ import annotations

import io
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.core.sources.contract import ContractResult, SourceContract, arrow_schema
from mlops_assets.core.sources.contract_cast import conform
from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.core.time.windows import window_at

NY = "America/New_York"
NOW = datetime(2013, 1, 3, tzinfo=UTC)
DAY = window_at(datetime(2013, 1, 1, 17, tzinfo=UTC), "day", NY)
PLAIN = {
    "columns": {
        "flight": {"type": "integer", "min": 1, "max": 9999},
        "carrier": {"type": "string", "allowed": ["UA", "AA"], "new_category_share": 0.25},
        "scheduled_at": {"type": "timestamp", "known_at": "schedule"},
        "distance": {"type": "number", "nullable": False, "min": 0},
        "delay": {"type": "number", "max_null_share": 0.5, "known_at": "arrival"},
        "is_cargo": {"type": "boolean", "required": False},
        "sold_on": {"type": "date", "required": False},
    },
    "unique": ["flight", "scheduled_at"],
    "rows": {"min": 2, "max": 6},
}
CONTRACT = SourceContract.from_dict(PLAIN, event_time="scheduled_at", tz=NY)
CSV = """flight,carrier,scheduled_at,distance,delay,is_cargo,sold_on
1,UA,2013-01-01T05:15:00-05:00,1400,2,no,2012-12-01
2,AA,2013-01-01 05:29:00,1416.5,,yes,
3,UA,2013-01-01T15:00:00Z,1089,-4,,2012-11-30
4,AA,2013-01-01 23:59:59,200,,no,
"""


def raw(**columns: object) -> pd.DataFrame:
    frame = pd.read_csv(io.StringIO(CSV), dtype=str)
    return frame.assign(**columns)


def check(frame: pd.DataFrame, contract: SourceContract = CONTRACT) -> ContractResult:
    return check_frame(contract, frame, partition=DAY, now=NOW)


def only(result: ContractResult) -> tuple[str, str | None, int]:
    assert not result.ok
    assert len(result.failures) == 1, result.reason
    failure = result.failures[0]
    assert failure.sentence.endswith(".")
    return failure.rule, failure.column, failure.n_rows


# --- conform -----------------------------------------------------------------------------------------------


def test_a_good_file_passes_and_comes_out_in_the_declared_types() -> None:
    result = check(raw())
    assert result.ok, result.reason
    assert not result.bad_rows.any()
    assert [str(t) for t in result.frame.dtypes] == [
        "Int64",
        "string",
        "datetime64[us, UTC]",
        "float64",
        "float64",
        "boolean",
        "object",
    ]
    assert result.frame["sold_on"].tolist() == [date(2012, 12, 1), None, date(2012, 11, 30), None]
    assert result.frame["is_cargo"].tolist() == [False, True, pd.NA, False]


def test_times_without_an_offset_are_read_in_the_sources_zone() -> None:
    times = conform(CONTRACT, raw()).frame["scheduled_at"]
    assert times.tolist() == list(
        pd.to_datetime(
            ["2013-01-01 10:15", "2013-01-01 10:29", "2013-01-01 15:00", "2013-01-02 04:59:59"],
            utc=True,
            format="ISO8601",
        )
    )


def test_when_clocks_change_the_second_hour_is_taken_and_the_skipped_one_counted_on() -> None:
    frame = raw(scheduled_at=["2013-11-03 01:30", "2013-03-10 02:30", None, None])
    times = conform(CONTRACT, frame).frame["scheduled_at"]
    assert times[0] == pd.Timestamp("2013-11-03 06:30", tz="UTC")  # EST
    assert times[1] == pd.Timestamp("2013-03-10 07:30", tz="UTC")  # 02:30 EST, which is 03:30 EDT


def test_conforming_twice_changes_nothing() -> None:
    once = conform(CONTRACT, raw()).frame
    pd.testing.assert_frame_equal(conform(CONTRACT, once).frame, once)


def test_every_partition_has_the_same_parquet_schema_even_if_a_column_is_absent() -> None:
    schema = arrow_schema(CONTRACT)
    for frame in (raw(), raw().drop(columns=["is_cargo", "sold_on"]), raw().iloc[:0]):
        table = pa.Table.from_pandas(conform(CONTRACT, frame).frame, schema=schema, preserve_index=False)
        assert table.schema.equals(schema)


def test_absent_optional_columns_are_null_and_not_a_failure() -> None:
    result = check(raw().drop(columns=["is_cargo", "sold_on"]))
    assert result.ok
    assert result.frame["is_cargo"].isna().all()
    assert str(result.frame["is_cargo"].dtype) == "boolean"


def test_codes_that_arrive_as_floats_stay_codes() -> None:
    contract = SourceContract.from_dict({"columns": {"code": "string"}})
    out = conform(contract, pd.DataFrame({"code": [11.0, np.nan]})).frame["code"]
    assert out.tolist() == ["11", pd.NA]


@pytest.mark.parametrize("dtype", [object, "string"])
def test_long_identifiers_stay_exact_beside_missing_ones(dtype: object) -> None:
    contract = SourceContract.from_dict({"columns": {"id": "integer"}})
    raw_ids = pd.DataFrame({"id": pd.Series(["9007199254740993", None, "3"], dtype=dtype)})  # 2^53 + 1
    assert conform(contract, raw_ids).frame["id"].tolist() == [9007199254740993, pd.NA, 3]


def test_parquet_columns_pass_through() -> None:
    typed = conform(CONTRACT, raw()).frame
    typed["scheduled_at"] = typed["scheduled_at"].dt.tz_convert(NY).dt.as_unit("ns")
    assert check(typed).ok


# --- the cases ---------------------------------------------------------------------------------------------


def test_missing_column() -> None:
    assert only(check(raw().drop(columns="delay"))) == ("missing_column", "delay", 4)


def test_renamed_column_is_guessed() -> None:
    result = check(raw().rename(columns={"delay": "arr_delay"}))
    assert only(result) == ("missing_column", "delay", 4)
    assert "did you rename delay to arr_delay?" in result.reason


def test_extra_column_is_noted_or_forbidden() -> None:
    result = check(raw(gate="A1"))
    assert result.ok
    assert "gate" not in result.frame
    assert result.notes == ("Columns that the contract does not declare were left out: gate.",)
    strict = SourceContract.from_dict({**PLAIN, "extra": "forbid"}, event_time="scheduled_at", tz=NY)
    assert only(check(raw(gate="A1"), strict)) == ("extra_column", "gate", 4)


def test_wrong_type_marks_the_rows_and_counts_them_once() -> None:
    result = check(raw(distance=["1400", "far", "1,089", "200"]))
    assert only(result) == ("type", "distance", 2)
    assert result.bad_rows.tolist() == [False, True, True, False]
    assert result.failures[0].sample == ("far", "1,089")


@pytest.mark.parametrize("zero", ["0105", "007", "00", " 0105 ", "007.0", "05e3"])
@pytest.mark.parametrize("others", [["105", "0", "-0", "0.0", "-07"], [105, 0, None, 7.0]])
@pytest.mark.parametrize("written", [None, "comma"])
def test_a_leading_zero_is_kept_or_refused(zero: str, others: list, written: str | None) -> None:
    promise = {"type": "integer", "format": written, "max_null_share": 1.0}
    shop = pd.DataFrame({"shop": pd.Series([*others, zero], dtype=object)})
    if written:
        shop = shop[shop["shop"].map(lambda cell: cell != "0.0" and not isinstance(cell, float))]
    result = check_frame(SourceContract.from_dict({"columns": {"shop": promise}}), shop)
    assert only(result) == ("type", "shop", 1)
    assert result.bad_rows.tolist() == [False] * (len(shop) - 1) + [True]
    assert f"row {len(shop)}" in result.reason
    assert "declare `type: string` in the contract" in result.reason or written
    kept = check_frame(SourceContract.from_dict({"columns": {"shop": {"type": "string"}}}), shop.dropna())
    assert kept.ok
    assert kept.frame["shop"].iloc[-1] == zero
    amount = SourceContract.from_dict({"columns": {"shop": {"type": "number"}}})
    assert check_frame(amount, shop.dropna()).ok


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("flight", ["1", "2.5", "3", "4"]),
        ("is_cargo", ["no", "perhaps", None, "yes"]),
        ("sold_on", ["2012-12-01", "2012-13-01", None, None]),
    ],
)
def test_every_type_refuses_what_it_cannot_read(column: str, values: list) -> None:
    result = check(raw(**{column: values}))
    assert only(result) == ("type", column, 1)
    assert result.bad_rows.tolist() == [False, True, False, False]


def test_an_unreadable_time_is_a_type_failure_not_an_exception() -> None:
    result = check(raw(scheduled_at=["2013-01-01T05:15:00-05:00", "soon", "1357000000", "2013-01-01 09:00"]))
    assert only(result) == ("type", "scheduled_at", 2)


def test_numbers_are_no_times() -> None:
    result = check(raw(scheduled_at=[1357034400, 1357034401, 1357034402, 1357034403]))
    assert only(result) == ("type", "scheduled_at", 4)


def test_empty_file() -> None:
    result = check(raw().iloc[:0])
    assert only(result) == ("row_count", None, 0)
    assert result.reason.startswith("The file is empty and 2 to 6 are expected")
    assert result.bad_rows.shape == (0,)


def test_row_count_outside_the_band() -> None:
    assert only(check(raw().iloc[:1]))[0] == "row_count"
    many = pd.concat([raw().assign(flight=[str(10 * k + i) for i in range(1, 5)]) for k in range(2)])
    assert only(check(many))[0] == "row_count"


def test_duplicate_rows_are_all_marked() -> None:
    result = check(pd.concat([raw(), raw().iloc[[0]]], ignore_index=True))
    assert only(result) == ("unique", None, 2)
    assert result.bad_rows.tolist() == [True, False, False, False, True]


def test_rows_of_another_day() -> None:
    late = ["2013-01-01 05:15", "2013-01-02 00:00", "2013-01-01 15:00", "2012-12-31 23:59"]
    result = check(raw(scheduled_at=late))
    assert only(result) == ("partition", "scheduled_at", 2)
    assert "outside 2013-01-01 (America/New_York)" in result.reason


def test_future_timestamps() -> None:
    result = check_frame(CONTRACT, raw(), now=datetime(2013, 1, 1, 15, tzinfo=UTC))
    assert only(result) == ("future", "scheduled_at", 1)
    assert result.bad_rows.tolist() == [False, False, False, True]


def test_unknown_categories_up_to_the_limit() -> None:
    assert check(raw(carrier=["UA", "AA", "UA", "ZZ"])).ok
    result = check(raw(carrier=["UA", "ZZ", "QQ", None]))
    assert only(result) == ("allowed", "carrier", 2)
    assert "ZZ, QQ; 50.0% of all, at most 25.0%" in result.reason


def test_null_share_up_to_the_limit() -> None:
    result = check(raw(delay=["1", None, "", None]))
    assert only(result) == ("null_share", "delay", 3)
    assert "75.0%, at most 50.0%" in result.reason


def test_nulls_where_none_may_be() -> None:
    assert only(check(raw(distance=["1", None, "3", "4"]))) == ("null", "distance", 1)
    assert only(check(raw(flight=["1", None, "3", "4"]))) == ("null", "flight", 1)  # a key


def test_ranges_are_inclusive() -> None:
    assert check(raw(flight=["1", "9999", "3", "4"])).ok
    assert only(check(raw(flight=["0", "9999", "3", "4"]))) == ("min", "flight", 1)
    assert only(check(raw(flight=["1", "10000", "3", "4"]))) == ("max", "flight", 1)


def test_a_usual_range_is_for_the_partition_and_not_for_a_row() -> None:
    contract = SourceContract.from_dict(
        {"columns": {"weight": {"type": "number", "usual": [0, 100], "unusual_share": 0.25}}}
    )
    assert check_frame(contract, pd.DataFrame({"weight": ["100", "1e9", "3", "", "5"]})).ok
    result = check_frame(contract, pd.DataFrame({"weight": ["-1", "1e9", "3", "", "5"]}))
    assert only(result) == ("usual", "weight", 2)
    assert "outside 0 to 100 (-1.0, 1000000000.0; 40.0% of all, at most 25.0%)" in result.reason


def test_ranges_of_times_and_dates() -> None:
    plain = {
        "columns": {
            "d": {"type": "date", "min": "2013-01-01"},
            "t": {"type": "timestamp", "max": "2013-01-01"},
        }
    }
    contract = SourceContract.from_dict(plain, tz=NY)
    frame = pd.DataFrame({"d": ["2012-12-31", "2013-01-01"], "t": ["2013-01-01T05:00:00Z", "2013-01-01T05:00:01Z"]})
    rules = {(f.rule, f.column): f.n_rows for f in check_frame(contract, frame).failures}
    assert rules == {("min", "d"): 1, ("max", "t"): 1}


def test_all_failures_are_told_at_once() -> None:
    frame = raw(distance=["-1", "2", "3", "4"], carrier="ZZ").drop(columns="delay")
    result = check(frame)
    assert [f.rule for f in result.failures] == ["missing_column", "allowed", "min"]
    assert result.failures[1].to_dict()["sample"] == ["ZZ"]


def test_the_frames_own_index_does_not_matter() -> None:
    frame = raw(distance=["1", "x", "3", "4"])
    frame.index = pd.Index([9, 9, 9, 9])
    assert check(frame).bad_rows.tolist() == [False, True, False, False]


def test_a_column_twice_is_refused() -> None:
    frame = raw()
    with pytest.raises(ValueError, match="occurs twice"):
        check(pd.concat([frame, frame[["delay"]]], axis=1))


# --- the contract itself -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "remedy"),
    [
        ({}, "list them under"),
        ({"columns": {"a": {"type": "text"}}}, "set one of string, integer"),
        ({"columns": {"a": {"type": "string", "maximum": 1}}}, "use one of allowed"),
        ({"columns": {"a": {"type": "string", "usual": [0, 1]}}}, "for a number or an integer"),
        ({"columns": {"a": {"type": "number", "usual": [1, 0]}}}, "the smaller first"),
        ({"columns": {"a": {"type": "number", "unusual_share": 20}}}, "from 0 to 1"),
        ({"columns": {"a": "string"}, "keys": ["a"]}, "no field 'keys'"),
        ({"columns": {"a": "string"}, "rows": {"most": 1}}, "no field 'most'"),
        ({"columns": {"a": "string"}, "unique": ["b"]}, "add it under"),
        ({"columns": {"a": "string"}, "event_time": "a"}, "declare it as one"),
        ({"columns": {"a": {"type": "string", "max_null_share": 20}}}, "from 0 to 1"),
        ({"columns": {"a": "string"}, "extra": "drop"}, "ignore or forbid"),
    ],
)
def test_a_wrong_contract_names_the_remedy(plain: dict, remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        SourceContract.from_dict(plain)


def test_a_broken_rule_says_in_which_rows_it_is_broken() -> None:
    """Counted from 1, five at most; a message is a row by itself."""
    contract = SourceContract.from_dict(
        {"unique": ["k"], "columns": {"k": {"type": "integer"}, "x": {"type": "number", "min": 0, "max_null_share": 0}}}
    )
    frame = pd.DataFrame({"k": ["1", "2", "3", "4", "2"], "x": ["1", "-1", "", "2", "-3"]})
    reason = check_frame(contract, frame).reason
    assert "2 rows (rows 2, 5) share their key (k)" in reason
    assert "2 rows of x (rows 2, 5) are below 0 (-1.0, -3.0)" in reason
    assert "1 row of x (row 3) is missing (20.0%, at most 0.0%)" in reason
    assert "1 row of x is below 0" in check_frame(contract, frame[1:2], alone=True).reason
