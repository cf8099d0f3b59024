"""What `new-model` makes of columns that name things: as many different ones come out as went in."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.plan import Plan, make_plan
from mlops_assets.onboarding.reading.table import UnreadableTable

ROWS, CUSTOMERS = 1_500, 50
LONG = 1_460_323_737_035_677_698


def write(path: Path, user: pa.Array | list[str], **more: pa.Array) -> Path:
    rng = np.random.default_rng(0)
    at = [datetime(2024, 1, 1) + timedelta(hours=2 * n) for n in range(ROWS)]
    amount = rng.normal(50, 10, ROWS).round(2)
    y = (rng.random(ROWS) < 1 / (1 + np.exp(-(amount - 50) / 8))).astype(int)
    if path.suffix == ".csv":
        lines = (",".join(map(str, cells)) for cells in zip(at, user, amount, y, strict=True))
        path.write_text("at,user,amount,y\n" + "\n".join(lines) + "\n")
    else:
        times = pa.array(at, pa.timestamp("us"))
        pq.write_table(pa.table({"at": times, "user": user, "amount": amount, "y": y, **more}), path)
    return path


def repeated(base: int) -> list[int]:
    return [base + n % CUSTOMERS for n in range(ROWS)]


def decimals(base: int) -> list[Decimal]:
    return [Decimal(n) for n in repeated(base)]


def entities_of(plan: Plan) -> list[str]:
    """The keys as staging makes them: what the model's SQL gives for the column."""
    (staging,) = (text for path, text in render(plan).items() if path.name == "stg_pay.sql")
    line = next(line.strip().rstrip(",") for line in staging.splitlines() if "user" in line)
    expression = line.partition(" as ")[0].replace("user", '"user"') if "::" in line else '"user"'
    rows = plan.table.connection.execute(f"select distinct ({expression})::varchar from landed order by 1").fetchall()
    return [str(key) for (key,) in rows]


@pytest.mark.parametrize(
    ("form", "users"),
    [
        ("parquet", pa.array(repeated(LONG), pa.int64())),
        ("parquet", pa.array(repeated(2**63), pa.uint64())),
        ("parquet", pa.array(repeated(7), pa.uint64())),
        ("parquet", pa.array(decimals(LONG), pa.decimal128(38, 0))),
        ("parquet", pa.array(decimals(100), pa.decimal128(38, 0))),
        ("parquet", pa.array(decimals(LONG), pa.decimal128(38, 10))),
        ("parquet", pa.array(decimals(10**30), pa.decimal128(38, 0))),
        ("parquet", pa.array([float(n) for n in repeated(100)])),
        ("csv", [str(n) for n in repeated(10**19)]),
        ("csv", [str(n) for n in repeated(10**45)]),
        ("csv", [f"{n:06d}" for n in repeated(1)]),
    ],
)
def test_customers_in_are_customers_out(tmp_path: Path, form: str, users: Any) -> None:
    plan = make_plan(Asked("pay", str(write(tmp_path / f"x.{form}", users)), label="y", entity="user"))
    values = users.to_pylist() if isinstance(users, pa.Array) else users
    assert entities_of(plan) == sorted({n if isinstance(n, str) else str(int(n)) for n in values})


@pytest.mark.parametrize("name", ["order_id", "Order ID", "orderId", "order.no"])
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_integers_that_pandas_wrote_as_floats_beside_a_missing_one_are_integers(
    tmp_path: Path, form: str, name: str
) -> None:
    orders = pd.Series([*(1_000_000.0 + 3 * i for i in range(999)), None])
    at = pd.date_range("2024-01-01", periods=1_000, freq="2h")
    frame = pd.DataFrame({"at": at, name: orders, "x": orders / 7, "count": orders % 4, "y": [0, 1] * 500})
    file = tmp_path / f"x.{form}"
    frame.to_csv(file, index=False) if form == "csv" else frame.to_parquet(file)
    plan = make_plan(Asked("pay", str(file), label="y"))
    types = {facts.name: facts.dtype for facts in plan.table.facts.values()}
    assert (types[name], types["x"], types["count"]) == ("BIGINT", "DOUBLE", "DOUBLE")
    assert {column.facts.name: column.role for column in plan.columns}[name] == "left out"


def test_floats_that_have_lost_digits_are_no_keys(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", pa.array([float(n) for n in repeated(LONG)]))
    with pytest.raises(UnreadableTable, match=r"lost digits beyond 2\^53\. Write the column as integers, decimals or"):
        make_plan(Asked("pay", str(file), label="y", entity="user"))


def test_decimals_without_places_are_labels_keys_and_no_measures(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).integers(0, 3, ROWS).tolist()
    file = write(
        tmp_path / "x.parquet",
        pa.array(repeated(1), pa.int64()),
        order_id=pa.array([Decimal(1_000_000 + n) for n in range(ROWS)], pa.decimal128(38, 0)),
        device=pa.array(repeated(LONG), pa.int64()),
        session=pa.array([LONG + 977 * n for n in range(ROWS)], pa.int64()),
        price=pa.array([Decimal(n).scaleb(-2) for n in range(ROWS)], pa.decimal128(12, 2)),
        grade=pa.array([Decimal(n) for n in codes], pa.decimal128(38, 0)),
    )
    plan = make_plan(Asked("pay", str(file), label="grade"))
    roles = {column.facts.name: column.role for column in plan.columns}
    assert (plan.label.task, plan.label.classes, plan.key) == ("multiclass", ("0", "1", "2"), "order_id")
    assert (roles["order_id"], roles["price"], roles["device"], roles["session"]) == (
        "left out", "numeric", "categorical", "left out",
    )  # fmt: skip
    (features,) = (text for path, text in render(plan).items() if path.name == "feat_pay.sql")
    assert "device::varchar as device" in features


def test_decimals_wider_than_duckdbs_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "x.parquet", pa.array([None] * ROWS, pa.decimal256(45, 0)))
    with pytest.raises(UnreadableTable, match=r"more than 38 digits in user.* Write the column as text"):
        make_plan(Asked("pay", str(file), label="y"))


@pytest.mark.parametrize("words", [("true", "false"), ("TRUE", "False"), ("yes", "no"), ("Y", "N"), ("t", "f")])
def test_a_flag_in_words_is_one_kind_whatever_the_file(tmp_path: Path, words: tuple[str, str]) -> None:
    flags = [words[n % 2] for n in range(ROWS)]
    plan = make_plan(Asked("pay", str(write(tmp_path / "x.parquet", pa.array(flags))), label="y"))
    as_csv = make_plan(Asked("pay", str(write(tmp_path / "x.csv", flags)), label="y"))
    for made in (plan, as_csv):
        assert made.table.facts["user"].dtype == "BOOLEAN"
        assert next(column.role for column in made.columns if column.facts.name == "user") == "boolean"


@pytest.mark.parametrize(
    ("of_rows", "of_labels"),
    [
        (pa.int64(), pa.float64()),
        (pa.float64(), pa.int32()),
        (pa.decimal128(38, 0), pa.string()),
        (pa.uint64(), pa.int64()),
    ],
)
def test_labels_find_their_rows_whatever_the_type_of_the_key(
    tmp_path: Path, of_rows: pa.DataType, of_labels: pa.DataType
) -> None:
    rng, numbers = np.random.default_rng(0), pa.array(range(100_000, 100_000 + ROWS))
    at = [datetime(2024, 1, 1) + timedelta(hours=2 * n) for n in range(ROWS)]
    times = pa.array(at, pa.timestamp("us"))
    rows = pa.table({"at": times, "order_id": numbers.cast(of_rows), "amount": rng.normal(50, 10, ROWS)})
    known = pa.array([moment + timedelta(days=1) for moment in at], pa.timestamp("us"))
    labels = pa.table({"order_id": numbers.cast(of_labels), "known_at": known, "paid": rng.random(ROWS) < 0.5})
    pq.write_table(rows, tmp_path / "rows.parquet")
    pq.write_table(labels, tmp_path / "labels.parquet")
    asked = Asked("pay", str(tmp_path / "rows.parquet"), labels=str(tmp_path / "labels.parquet"))
    plan = make_plan(asked)
    assert plan.late is not None
    assert (plan.late.key, plan.late.unknown, plan.labelled) == ("order_id", 0, ROWS)
    # The label model joins both as text: 100000 on either side, not 100000.0.
    for table in (plan.table, plan.late.table):
        low = table.first(f"select min(order_id)::varchar from {table.relation}")[0]
        assert low == "100000"
    texts = {path.name: text for path, text in render(plan).items()}
    assert "number" not in {
        line.partition("order_id: {type: ")[2].split("}")[0] for line in texts["defs.yaml"].splitlines()
    }


def test_whole_numbers_written_with_an_exponent_keep_their_digits(tmp_path: Path) -> None:
    exact = [f"{n // 10**18}.{n % 10**18:018}E+18" for n in repeated(LONG)]
    plan = make_plan(Asked("pay", str(write(tmp_path / "a.csv", exact)), label="y"))
    assert plan.table.facts["user"].dtype == "VARCHAR"
    assert plan.table.facts["user"].distinct == CUSTOMERS
    floats = [f"{float(n):.18e}" for n in repeated(LONG)]
    assert make_plan(Asked("pay", str(write(tmp_path / "b.csv", floats)), label="y")).table.facts["user"].is_number
