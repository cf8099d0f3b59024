"""A fleet in YAML: its pooled model, the members that data bring, their overrides, and what is wrong with either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import FleetSettings, MemberSettings
from mlops_assets.steps.keep.settings_origins import settings_origins
from mlops_assets.world.declared_files import files_without
from mlops_assets.world.home import Home
from mlops_assets.world.landed.declared_models import declared_models
from mlops_assets.world.landed.fleet_values import add_values, values_of
from mlops_assets.world.settings_files import broken_files, owners_of_models, read_settings

FIELDS: dict[str, Any] = {
    "name": "delay",
    "per": "carrier",
    "description": "Whether a flight is late.",
    "task": "binary",
    "label": {"model": "lbl_flight_delay", "column": "is_late"},
    "features": ["feat_flight"],
    "metric": "roc_auc",
    "start": "2013-01-01",
    "owners": ["team:flights"],
}
Declare = Callable[..., Path]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def declare(tmp_path: Path) -> Declare:
    def write(folder: str = "delay", kind: str = "MonitoredFleet", **changes: Any) -> Path:
        fields = {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}
        file = tmp_path / "defs" / folder / "defs.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump({"type": f"mlops_assets.components.{kind}", "attributes": fields}))
        return tmp_path / "defs"

    return write


def test_members_are_the_values_that_data_have_brought(home: Home, declare: Declare) -> None:
    defs = declare()
    assert [*read_settings(defs, ModelSettings)] == ["delay"]
    assert add_values(home, "delay", ["UA", "AA"], most=10) == ["UA", "AA"]
    assert add_values(home, "delay", ["AA", "B6"], most=10) == ["B6"]
    models = read_settings(defs, ModelSettings)
    assert [*models] == ["delay", "delay_ua", "delay_aa", "delay_b6"]
    pool, member = models["delay"], models["delay_ua"]
    assert isinstance(pool, FleetSettings)
    assert isinstance(member, MemberSettings)
    assert (member.pool, member.value, member.label.only) == ("delay", "UA", {"carrier": "UA"})
    assert member.description == "Whether a flight is late. Where carrier is UA."
    assert pool.label.only == {}
    # Names are known without reading settings, and those of another home are its own.
    assert {model.name for model in declared_models(defs, home)} == {*models}
    assert [*read_settings(defs, ModelSettings, Home(home.root / "other"))] == ["delay"]


def test_a_fleet_takes_no_more_than_agreed(home: Home) -> None:
    assert add_values(home, "delay", [str(n) for n in range(10)], most=3) == ["0", "1", "2"]
    assert add_values(home, "delay", ["new"], most=3) == []
    assert values_of(home, "delay") == ["0", "1", "2"]


def test_named_members_are_all_there_are(home: Home, declare: Declare) -> None:
    defs = declare(values=["UA", 7], overrides={7: {"owners": ["team:seven"], "gate": {"window": "56d"}}})
    add_values(home, "delay", ["AA"], most=10)
    models = read_settings(defs, ModelSettings)
    assert [*models] == ["delay", "delay_ua", "delay_7"]
    assert models["delay_7"].owners == ["team:seven"]
    assert models["delay_7"].gate.window == "56d" != models["delay_ua"].gate.window == models["delay"].gate.window
    owners, unknown = owners_of_models(defs, declared_models(defs, home))
    assert owners == {"delay": ["team:flights"], "delay_ua": ["team:flights"], "delay_7": ["team:seven"]}
    assert not unknown
    values = {value.place: value for value in settings_origins(defs, models["delay_7"])}
    assert values["owners",].origin == "delay/defs.yaml:" + _line(defs, "team:seven")
    assert values["gate", "window"].origin == "delay/defs.yaml:" + _line(defs, "56d")
    assert values["metric",].origin == "delay/defs.yaml:" + _line(defs, "metric")


def _line(defs: Path, text: str) -> str:
    lines = (defs / "delay" / "defs.yaml").read_text().splitlines()
    number = next(n for n, line in enumerate(lines, start=1) if text in line)
    return str(number if ":" in lines[number - 1].strip("- ") and "- " not in lines[number - 1] else number - 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"per": None}, "per"),
        ({"values": [False]}, "False is no text to YAML: put the value into quotes, as 'NO'"),
        ({"values": [1.5]}, "1.5 is no text to YAML"),
        ({"values": ["UA", ""]}, "an empty text is no value"),
        ({"values": ["UA", "UA"]}, "values names 'UA' twice"),
        ({"values": []}, "values"),
        ({"values": ["UA"], "overrides": {"AA": {}}}, "overrides names 'AA', which values does not"),
        ({"overrides": {"AA": {"metric": "log_loss"}}}, "overrides of 'AA' set metric, which all members share"),
        ({"overrides": {"AA": {"gate": {"window": "soon"}}}}, "attributes.overrides.AA.gate.window"),
        ({"overrides": {"AA": {"bla": 1}}}, "attributes.overrides.AA.bla: there is no such field; there are "),
        ({"name": "x" * 51}, "name has 51 characters"),
        ({"most": 0}, "most"),
    ],
)
def test_a_mistake_is_named_and_the_others_live_on(
    home: Home, declare: Declare, changes: dict[str, Any], sentence: str
) -> None:
    declare("other", "MonitoredModel", name="other", per=None)
    defs = declare(**changes)
    assert [*read_settings(defs, ModelSettings)] == ["other"]
    (broken,) = broken_files(defs)
    assert sentence in broken.sentence
    assert str(defs / "delay" / "defs.yaml") in broken.sentence


def test_a_damaged_file_of_values_stops_its_fleet_alone(home: Home, declare: Declare) -> None:
    declare("other", "MonitoredModel", name="other", per=None)
    defs = declare()
    add_values(home, "delay", ["UA"], most=10)
    file = home.root / "fleets" / "delay.json"
    file.write_text('["UA"')
    assert [*read_settings(defs, ModelSettings)] == ["other"]
    (broken,) = broken_files(defs)
    assert f"{file} cannot be read" in broken.sentence
    assert "or delete it: the values are found again in the rows" in broken.sentence
    file.unlink()
    assert "delay" in read_settings(defs, ModelSettings)


def test_a_model_of_the_name_of_a_member_keeps_it(home: Home, declare: Declare) -> None:
    declare("other", "MonitoredModel", name="delay_ua", per=None)
    defs = declare()
    add_values(home, "delay", ["UA"], most=10)
    models = read_settings(defs, ModelSettings)
    assert not isinstance(models["delay_ua"], MemberSettings)
    (member,) = (model for model in models.values() if isinstance(model, MemberSettings))
    assert member.name.startswith("delay_ua_")


def test_a_member_that_is_named_no_more_is_gone_and_can_come_back(home: Home, declare: Declare) -> None:
    defs = declare(values=["UA", "AA"])
    assert "delay_aa" in read_settings(defs, ModelSettings)
    declare(values=["UA"])
    assert "delay_aa" not in read_settings(defs, ModelSettings)
    declare(values=["UA", "AA"])
    assert "delay_aa" in read_settings(defs, ModelSettings)


def test_the_process_of_a_run_reads_the_fleet_of_its_member(home: Home, declare: Declare) -> None:
    declare("other", "MonitoredModel", name="other", per=None)
    defs = declare()
    assert files_without(defs, {"delay_ua"}) == [defs / "other" / "defs.yaml"]
    assert files_without(defs, {"other"}) == [defs / "delay" / "defs.yaml"]
    assert files_without(defs, {"nobody"}) == []
