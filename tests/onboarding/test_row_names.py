"""Whole numbers that name rows are no features, whatever their column is called, and measurements stay some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.plan import Plan, make_plan

ROWS = 2_000


def planned(folder: Path, columns: dict[str, object], texts: tuple[str, ...] = ()) -> Plan:
    """80 days of 25 rows, in no order within a day."""
    rng = np.random.default_rng(3)
    minutes = np.repeat(np.arange(80) * 1_440, 25) + rng.integers(0, 1_440, ROWS)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes, unit="min")
    frame = pd.DataFrame({"at": at, "x": rng.normal(size=ROWS).round(3), **columns})
    frame.assign(y=np.arange(ROWS) * 7 % 3 % 2).to_csv(folder / "t.csv", index=False)
    return make_plan(Asked("t", str(folder / "t.csv"), texts=texts))


def roles(plan: Plan) -> dict[str, str]:
    return {column.facts.name: column.role for column in plan.columns}


def test_what_goes_with_time_or_lies_close_together_is_left_out_and_identifies_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    floats = (rng.permutation(ROWS) * 4 + 70_000).astype(float)
    floats[7] = np.nan
    plan = planned(
        tmp_path,
        {
            "Buchung": np.repeat(np.arange(80) * 100, 25) + np.tile(np.arange(25), 80) * 3,
            "ticket": np.sort(rng.choice(900_000, ROWS, replace=False))[::-1] + 100_000,
            "case": rng.choice(3 * ROWS, ROWS, replace=False),
            "parcel": floats,
        },
    )
    assert {roles(plan)[name] for name in ("Buchung", "ticket", "case", "parcel")} == {"left out"}
    assert plan.key == "Buchung"
    assert "Each row is identified by Buchung." in plan.notes
    assert "Buchung, ticket, case, parcel are left out: what names rows, " in " ".join(plan.notes)
    assert not [said for said in plan.warnings if "unit" in said], "a counter is in no unit"
    contract = next(text for path, text in render(plan).items() if str(path).endswith("defs.yaml"))
    steady = [line.split(":")[0].strip() for line in contract.splitlines() if "steady: false" in line]
    assert steady == ["ticket", "case", "parcel"], "a key is held against no other day anyway"


@pytest.mark.parametrize("thousands", [False, True], ids=["plain", "with marks for thousands"])
def test_beside_decimal_commas_plain_numbers_are_names_and_marked_ones_amounts(thousands: bool, tmp_path: Path) -> None:
    case = np.random.default_rng(5).choice(3 * ROWS, ROWS, replace=False) + 1_000
    texts = [f"{number // 1_000}.{number % 1_000:03}" if thousands else str(number) for number in case]
    plan = planned(tmp_path, {"case": texts, "x": [f"{number % 90},{number % 7}" for number in range(ROWS)]})
    assert roles(plan)["case"] == ("numeric" if thousands else "left out")


def test_what_may_name_rows_is_named_with_the_option_that_takes_it_out(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    columns: dict[str, object] = {
        "booking": rng.choice(900_000, ROWS, replace=False) + 100_000,
        "uid": rng.choice(900_000, ROWS, replace=False) + 100_000,
    }
    columns["uid"][1] = columns["uid"][0]  # type: ignore[index]
    plan = planned(tmp_path, columns)
    assert (roles(plan)["booking"], roles(plan)["uid"], plan.key) == ("numeric", "left out", None)
    said = " ".join(plan.notes)
    assert "booking is taken for numbers" in said
    assert "left out by `--text booking`" in said
    assert "No column is known to identify a row (booking: different in all rows; call one booking_id" in said
    assert roles(planned(tmp_path, columns, texts=("booking",)))["booking"] == "left out"


MEASURED = ("price_cents", "distance_m", "duration_ms", "weight_g", "second_of_day", "last_seen")


@pytest.fixture
def measured(tmp_path: Path) -> Plan:
    rng = np.random.default_rng(8)
    epoch = 1_704_067_200 + np.repeat(np.arange(80) * 86_400, 25)
    return planned(
        tmp_path,
        {
            "price_cents": rng.lognormal(10, 1.2, ROWS).round().astype(int),
            "distance_m": rng.lognormal(10.5, 1, ROWS).round().astype(int),
            "duration_ms": rng.exponential(400_000, ROWS).round().astype(int),
            "weight_g": rng.normal(72_000, 12_000, ROWS).round().astype(int),
            "second_of_day": rng.integers(0, 86_400, ROWS),
            "last_seen": epoch + rng.integers(-90_000, 90_000, ROWS),
        },
    )


def test_measurements_that_hardly_repeat_stay_features(measured: Plan) -> None:
    assert {name: roles(measured)[name] for name in MEASURED} == dict.fromkeys(MEASURED, "numeric")
    assert min(measured.table.facts[name].distinct for name in MEASURED) > 0.95 * ROWS
    assert not [note for note in measured.notes if "left out" in note or "taken for numbers" in note]
    assert measured.key is None
    assert [said for said in measured.warnings if said.startswith("last_seen seems to hold ")]


def test_a_counter_that_stands_in_several_rows_is_in_no_unit(tmp_path: Path) -> None:
    """Basket 0 to 12 on the first day, thousands on the others: kelvin and Celsius by their spread."""
    plan = planned(tmp_path, {"basket": np.repeat(np.arange(80) * 100, 25) + np.tile(np.arange(25) // 2, 80) * 6})
    assert roles(plan)["basket"] == "numeric"
    assert not [said for said in plan.warnings if "another unit" in said]
