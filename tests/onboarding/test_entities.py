"""An entity that the project has already: read as its type where nothing is lost, else refused."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.core.sources.contract_check import check_frame
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import entities_beside, render
from mlops_assets.onboarding.identity import CannotOnboard, Declared
from mlops_assets.onboarding.plan import Plan, make_plan
from mlops_assets.steps.land.landed_rows import parse
from mlops_assets.world.project import PROJECT
from tests.onboarding.reading.test_texts import plain, source, table

TEXT, WHOLE = Declared("string", "feat_payment_customer"), Declared("int64", "feat_payment_customer")


def planned(folder: Path, key: object, declared: dict[str, Declared], name: str = "t") -> Plan:
    file = table(folder, lambda i: {**plain(i), "Customer ID": key(i) if callable(key) else key})
    return make_plan(Asked(name, str(file), label="y", entity="Customer ID"), declared)


def texts(plan: Plan) -> dict[str, str]:
    return {path.name: text for path, text in render(plan).items()}


def test_numbers_are_read_as_the_text_that_the_entity_is(tmp_path: Path) -> None:
    plan = planned(tmp_path, lambda i: i % 30, {"customer_id": TEXT})
    files = texts(plan)
    assert '"Customer ID"::varchar as customer_id' in files["stg_t.sql"]
    assert "{name: customer_id, data_type: varchar" in files["feat_t.yml"]
    assert "{name: customer_id, data_type: varchar" in files["lbl_t.yml"]
    assert "Customer ID: {type: integer" in files["defs.yaml"].replace('"', "")
    assert any("customer_id is a text in this project (feat_payment_customer has it, too)" in n for n in plan.notes)


@pytest.mark.parametrize("declared", [{}, {"customer_id": WHOLE}, {"other": TEXT}])
def test_numbers_stay_numbers_where_nothing_speaks_against_it(declared: dict[str, Declared], tmp_path: Path) -> None:
    files = texts(planned(tmp_path, lambda i: i % 30, declared))
    assert '"Customer ID" as customer_id' in files["stg_t.sql"]
    assert "{name: customer_id, data_type: bigint" in files["feat_t.yml"]


@pytest.mark.parametrize("of", ["C-{}", "0{}", "2024-01-{:02}"])
def test_texts_are_refused_where_the_entity_is_a_number(of: str, tmp_path: Path) -> None:
    with pytest.raises(CannotOnboard, match=r"feat_payment_customer has an entity customer_id as int64.*t_customer_id"):
        planned(tmp_path, lambda i: f"x{of.format(1 + i % 25)}", {"customer_id": WHOLE})


def test_the_key_of_the_rows_is_held_against_entities_too(tmp_path: Path) -> None:
    with pytest.raises(CannotOnboard, match=r"feat_payment_customer has an entity .* as int64\. Choose another name"):
        planned(tmp_path, lambda i: i % 30, {"t_id": WHOLE})


def test_the_projects_own_entities_are_known_but_for_those_of_the_model_itself() -> None:
    found = entities_beside("orders", PROJECT.root)
    assert found["customer_id"] == TEXT
    assert entities_beside("flight", PROJECT.root).get("flight_id") is None


@pytest.mark.parametrize(
    ("none", "hint"), [("", ""), ("NA", "`--not-missing NA`"), ("#N/A", "`--not-missing '#N/A'`"), ("  ", "")]
)
@pytest.mark.parametrize("rows", [[4], [7, 200, 479], range(0, 480, 3)])
def test_rows_about_nobody_are_counted_and_the_first_is_named(
    none: str, hint: str, rows: Collection[int], tmp_path: Path
) -> None:
    first = min(rows)
    told = f"{len(rows)} of 480 rows have no Customer ID, the first is row {first + 1} of t.csv (line {first + 2}): "
    remedy = r"Remove these rows, or write whom they are about.* or leave --entity out\."
    with pytest.raises(CannotOnboard, match=remedy) as got:
        planned(tmp_path, lambda i: none if i in rows else f"C-{i % 30}", {})
    assert str(got.value).startswith(told)
    assert ("--not-missing" in str(got.value)) == bool(hint)
    assert hint in str(got.value)


def test_landing_refuses_rows_about_nobody_as_well(tmp_path: Path) -> None:
    """By the contract that is written for an entity."""
    settings = source(planned(tmp_path, lambda i: f"C-{i % 30}", {}))
    file = table(tmp_path, lambda i: {**plain(i), "Customer ID": "" if i in (3, 9) else "C-1"}, "b.csv")
    found = check_frame(settings.rules, parse(file.name, file.read_bytes(), settings))
    assert "2 rows of Customer ID (rows 4, 10) are missing (0.4%, at most 0.0%)" in found.reason


def test_ids_that_are_no_number_in_a_file_of_floats_are_none(tmp_path: Path) -> None:
    columns = {name: [plain(i)[name] for i in range(480)] for name in ("at", "size", "y")}
    ids = [float("nan") if i == 11 else float(i % 30) for i in range(480)]
    pq.write_table(pa.table({**columns, "user": pa.array(ids)}), tmp_path / "t.parquet")
    with pytest.raises(CannotOnboard, match=r"1 of 480 rows have no user, the first is row 12 of t\.parquet: nobody"):
        make_plan(Asked("t", str(tmp_path / "t.parquet"), label="y", entity="user"), {})
