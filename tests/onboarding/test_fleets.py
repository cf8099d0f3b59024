"""`mlops new-model --per`: a table becomes a fleet; which columns can tell its members apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.onboarding.asked import Asked
from mlops_assets.onboarding.files import render
from mlops_assets.onboarding.fleet_column import MOST_MEMBERS
from mlops_assets.onboarding.identity import CannotOnboard
from mlops_assets.onboarding.plan import Plan, make_plan
from tests.onboarding.tables import Project

REGIONS = ["EMEA", "São Paulo", "../up"]


def regions(rows: int = 3_000, *, days: int = 120) -> pd.DataFrame:
    """Rows of three regions, in one of which the relation is the other way round."""
    rng = np.random.default_rng(13)
    at = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, days * 86_400, rows)), unit="s")
    region = rng.choice(REGIONS, rows, p=[0.6, 0.35, 0.05])
    x = rng.normal(size=rows).round(3)
    late = rng.random(rows) < 1 / (1 + np.exp(-2 * x * np.where(region == "EMEA", 1, -1)))
    values = {"at": at, "Region Name": region, "x": x, "row": np.arange(rows), "late": late.astype(int)}
    frame = pd.DataFrame(values)
    frame.loc[rng.random(rows) < 0.02, "Region Name"] = None
    return frame


@pytest.fixture
def file(tmp_path: Path) -> Path:
    regions().assign(constant="a", seller=lambda rows: rows["row"] // 10, measure=lambda rows: rows["x"] * 1.7).to_csv(
        tmp_path / "rows.csv", index=False
    )
    return tmp_path / "rows.csv"


def planned(file: Path, per: str) -> Plan:
    return make_plan(Asked("late", str(file), time="at", label="late", per=per))


def test_the_column_is_one_of_the_label_model(file: Path) -> None:
    files = {path.name: text for path, text in render(planned(file, "Region Name")).items()}
    document = list(yaml.safe_load_all(files["defs.yaml"]))[-1]
    assert document["type"] == "mlops_assets.components.MonitoredFleet"
    assert FleetSettings.model_validate(document["attributes"]).per == "region_name"
    assert "a model for each of its 3 values" in files["defs.yaml"]
    assert "    events.region_name,\n" in files["lbl_late.sql"]
    columns = yaml.safe_load(files["lbl_late.yml"])["models"][0]["columns"]
    assert "region_name" in [column["name"] for column in columns]


@pytest.mark.parametrize(
    ("per", "why"),
    [
        ("nobody", "name one of at, Region Name"),
        ("late", "it is the time, the label or the key of a row"),
        ("at", "it is the time, the label or the key of a row"),
        ("measure", "its values are moments or measures"),
        ("constant", "it has one value"),
        ("row", "it is the time, the label or the key of a row"),
        ("seller", f"a fleet begins with at most {MOST_MEMBERS}"),
    ],
)
def test_a_column_that_tells_no_members_apart_is_refused(file: Path, per: str, why: str) -> None:
    with pytest.raises(CannotOnboard) as refused:
        planned(file, per)
    assert why in str(refused.value)
    assert "Nothing was written" in str(refused.value)


@pytest.mark.slow
def test_a_fleet_is_lived_through_from_a_table(tmp_path: Path) -> None:
    project = Project.at(tmp_path / "checkout")
    regions().drop(columns="row").to_csv(project.root / "rows.csv", index=False)
    said = project.mlops(
        "new-model", "late", "--from", "rows.csv", "--time", "at", "--label", "late", "--per", "Region Name"
    ).stdout
    assert "Members: late_up_" in said
    assert "late_emea" in said
    assert "late_sao_paulo_" in said
    project.mlops("replay", "late", "--start", "2024-03-15", "--end", "2024-04-05", "--every", "week", "--trials", "1")
    told = json.loads((project.home / "reports" / "late" / "replay.json").read_text(encoding="utf-8"))
    members = {member["value"]: member for member in told["members"]}
    assert {*members} == {*REGIONS}
    # Rows without a region are the pool's alone, and the smallest has too few to be watched by itself.
    assert sum(member["rows"] for member in members.values()) < sum(p["labelled_rows"] for p in told["periods"])
    assert members["../up"]["state"] == "pool"
    assert members["../up"]["own"] is None
    watched = [member for member in members.values() if member["state"] != "pool"]
    assert all(member["own"] > 0.7 and member["pool"] > 0.7 for member in watched)
    assert members["EMEA"] in watched
    page = (project.home / "reports" / "late" / "replay.html").read_text(encoding="utf-8")
    assert "The members of the fleet" in page
    assert "São Paulo" in page
    # The names are commands' too.
    (replay,) = (project.home / "replays").iterdir()
    assert "late_emea" in project.mlops("--home", str(replay), "status", "--json").stdout
