"""`defaults.yaml` of a folder: what holds for the models below it, for each reader, and what is wrong where."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from copy import deepcopy
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from mlops_assets.commands.settings import settings_as_yaml
from mlops_assets.components import MonitoredModel
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_defaults import OWN_FIELDS, merge
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.projects import upgrade
from mlops_assets.steps.keep.settings_origins import settings_origins
from mlops_assets.world.declared_files import BrokenSettings, stamp_of
from mlops_assets.world.project import Project
from mlops_assets.world.settings_files import broken_files, read_settings
from tests.checkout import CHECKOUT

DEMOS = [
    yaml.safe_load((CHECKOUT / "mlops_assets" / "defs" / name / "defs.yaml").read_text(encoding="utf-8"))["attributes"]
    for name in ("flight_delay", "arrival_delay", "card_fraud")
]
RICH = {
    **DEMOS[0],
    "retrain": {
        "budget": "6 per 14d",
        "quiet_hours": ["mon-fri 08:00-18:00"],
        "mode": "propose",
        "growth": "never",
        "on": [{"schedule": {"cron": "0 6 * * 1"}}],
    },
    "rollout": {"preset": "quick", "shadow": "2d", "pause": 6},
    "monitoring": {
        "window": "week",
        "limits": {"log_loss": {"floor": 0.7}, "pr_auc": {"max_drop": 0.1}},
        "drift": {"preset": "high_stakes", "js": 0.3},
        "performance": {"max_drop": None},
    },
    "gate": {"window": "21d", "max_latency_ms": 40},
    "events": [{"name": "strike", "start": date(2013, 3, 1), "end": date(2013, 3, 4), "kind": "outage"}],
}
PLAIN = {
    "name": "returns",
    "description": "Whether an order comes back.",
    "task": "binary",
    "label": {"model": "lbl_returns", "column": "is_back"},
    "features": ["feat_orders"],
    "metric": "roc_auc",
    "start": date(2024, 1, 1),
}
SOURCE = (CHECKOUT / "mlops_assets" / "defs" / "airports" / "defs.yaml").read_text(encoding="utf-8")


def write(defs: Path, place: str, fields: dict[str, Any]) -> Path:
    """A model's YAML in a folder, or defaults (`.../defaults.yaml`)."""
    file = defs / place if place.endswith(".yaml") else defs / place / "defs.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = "mlops_assets.components.MonitoredModel"
    whole = fields if place.endswith(".yaml") else {"type": kind, "attributes": fields}
    file.write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")
    return file


def model(defs: Path, name: str = "returns") -> ModelSettings:
    return read_settings(defs, ModelSettings)[name]


def by_dagster(defs: Path, folder: Path) -> ModelSettings:
    """As the component that Dagster loads from the model's file has it."""
    own = yaml.safe_load((folder / "defs.yaml").read_text(encoding="utf-8"))["attributes"]
    context: Any = SimpleNamespace(path=folder, defs_module_path=defs)
    return MonitoredModel.load(MonitoredModel.get_model_cls().model_validate(own), context).settings


def leaves(fields: dict[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in fields.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*at, key))
        else:
            yield (*at, key), value


def put(fields: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for part in place[:-1]:
        fields = fields.setdefault(part, {})
    fields[place[-1]] = value


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(data=st.data())
def test_settings_are_those_of_the_whole_yaml_however_it_is_split(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = data.draw(st.sampled_from([*DEMOS, RICH]))
    split: list[dict[str, Any]] = [{}, {}, {}]
    for place, value in leaves(whole):
        is_own = place[0] in OWN_FIELDS
        nearest = 0 if is_own else data.draw(st.integers(0, 2), label=".".join(place))
        put(split[nearest], place, value)
        # What a nearer file says wins over anything a farther one says.
        for farther in range(nearest + 1, 3):
            if not is_own and data.draw(st.booleans()):
                put(split[farther], place, data.draw(st.sampled_from([None, 7, "x", ["y"]])))
    defs = tmp_path_factory.mktemp("defs")
    folder = write(defs, "far/near/model", split[0]).parent
    for at, fields in (("far/near/defaults.yaml", split[1]), ("far/defaults.yaml", split[2])):
        if fields:
            write(defs, at, fields)
    expected = ModelSettings.model_validate(whole)
    assert broken_files(defs) == []
    assert model(defs, expected.name) == expected
    assert by_dagster(defs, folder) == expected
    # The page of settings is YAML that says the same, on lines of a screen's width.
    page = settings_as_yaml(settings_origins(defs, expected))
    assert ModelSettings.model_validate(yaml.safe_load(page)) == expected
    assert max(map(len, page.splitlines())) <= 80


@given(
    layers=st.lists(
        st.recursive(
            st.dictionaries(st.sampled_from("abc"), st.none() | st.integers() | st.lists(st.integers())),
            lambda inner: st.dictionaries(st.sampled_from("abc"), inner | st.none() | st.integers()),
        ).filter(lambda fields: isinstance(fields, dict)),
        min_size=1,
        max_size=4,
    )
)
def test_merging_is_done_layer_by_layer_and_names_the_layer(layers: list[dict[str, Any]]) -> None:
    """Whichever two neighbours are merged first, the same holds; each value is that of the layer that is named."""
    before = deepcopy(layers)
    merged = merge(layers)
    assert layers == before
    for place, number in merged.layers.items():
        value, named = merged.values, layers[number]
        for part in place:
            value, named = value[part], named[part]
        assert isinstance(value, dict) if isinstance(named, dict) else value == named
    assert {place for place, _ in leaves(merged.values)} <= merged.layers.keys()
    if len(layers) > 1:
        assert (
            merge([merge(layers[:2]).values, *layers[2:]]).values == merge([layers[0], merge(layers[1:]).values]).values
        )


def test_nearer_defaults_win_and_null_takes_one_away(tmp_path: Path) -> None:
    write(tmp_path, "defaults.yaml", {"owners": ["team:all"], "rollout": {"shadow": "1d"}, "retrain": {"budget": 9}})
    write(tmp_path, "eu/defaults.yaml", {"owners": ["team:eu"], "retrain": {"cooldown": "3d"}})
    write(tmp_path, "eu/north/returns", {**PLAIN, "rollout": None, "retrain": {"cooldown": "2d"}})
    write(tmp_path, "refunds", {**PLAIN, "name": "refunds"})
    near, far = model(tmp_path), model(tmp_path, "refunds")
    assert (near.owners, near.rollout, near.retrain.budget) == (["team:eu"], None, 9)
    assert near.retrain.to_dict()["cooldown"] == "2d"
    assert far.owners == ["team:all"]
    assert far.rollout is not None
    assert far.rollout.shadow == 24
    shown = {value.place: value.origin for value in settings_origins(tmp_path, near)}
    assert shown[("owners",)] == "eu/defaults.yaml:1"
    assert shown[("retrain", "budget")] == "defaults.yaml:6"
    assert shown[("retrain", "cooldown")] == "eu/north/returns/defs.yaml:15"
    assert shown[("rollout",)] == "eu/north/returns/defs.yaml:13"
    assert shown[("gate", "window")] == "default"


def test_what_follows_from_another_field_names_that_field(tmp_path: Path) -> None:
    write(tmp_path, "defaults.yaml", {"gate": {"preset": "rmse_5_percent"}, "retrain": {"budget": "4 per 7d"}})
    write(tmp_path, "returns", {**PLAIN, "task": "regression", "metric": "rmse"})
    shown = {value.place: value.origin for value in settings_origins(tmp_path, model(tmp_path))}
    assert shown[("gate", "min_gain")] == "defaults.yaml:2 (preset)"
    assert shown[("gate", "margin")] == "default"
    assert shown[("retrain", "budget_period")] == "defaults.yaml:4 (budget)"


def test_a_value_of_the_environment_may_stand_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "defaults.yaml", {"training": {"trials": "{{ env.TRIALS }}"}})
    folder = write(tmp_path, "returns", PLAIN).parent
    monkeypatch.setenv("TRIALS", "30")
    assert model(tmp_path).training.trials == by_dagster(tmp_path, folder).training.trials == 30
    monkeypatch.delenv("TRIALS")
    # What is read is kept until a file changes.
    os.utime(file, (1, 1))
    (broken,) = broken_files(tmp_path)
    assert f"{file}:2: training.trials: the environment variable TRIALS is not set" in broken.sentence


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("owners: [\n", r"defaults.yaml:2: this is no YAML"),
        ("owners: [a]\nowners: [b]\n", r"defaults.yaml:2: owners stands in line 1 already. Keep one of the two"),
        ("", r"defaults.yaml: it is empty. Write the settings into it, or remove it"),
        ("- owners\n", r"defaults.yaml: it is no mapping of fields, such as owners: \[team:pricing\]. Correct it"),
        ("owners: [a]\n---\nmetric: x\n", r"defaults.yaml: it is no mapping of fields"),
        ("retrain: {}\ncolour: red\n", r"defaults.yaml:2: colour: there is no such field; there are events, exclude"),
        ("attributes: {owners: [x]}\n", r"defaults.yaml:1: attributes: .*the fields of attributes stand at the top"),
        ("\nname: many\n", r"defaults.yaml:2: name: only one model can have it: its assets, its record .*defs.yaml"),
        ("label: {max_delay: 3d}\n", r"defaults.yaml:1: label: only one model can have it"),
        ("training:\n  pipeline: a.pkl\n", r"defaults.yaml:2: training.pipeline: it is 'a.pkl'"),
        ("training:\n  colour: red\n", r"defaults.yaml:2: training.colour: there is no such field; there are batch"),
        ("retrain:\n  cooldwn: 7d\n", r"defaults.yaml:1: retrain: retrain has no field 'cooldwn'"),
        ("retrain:\n  cooldown: 1e9\n", r"defaults.yaml:2: retrain.cooldown: it is"),
        ("retrain:\n  budget: -1\n", r"defaults.yaml:2: retrain.budget: it is -1"),
        ("metric: rmse\nretrain:\n  max_novelty: 4\n", r"defaults.yaml:3: retrain.max_novelty: it is 4"),
        ("monitoring:\n  performance:\n    floor: 3\n", r"defaults.yaml:3: monitoring.performance.floor: it is 3"),
        ("owners: [team:x, 7]\n", r"defaults.yaml:1: owners.1: "),
        ("training: {family: linear}\n", r"defaults.yaml:1: training.family: .* it is called training.families"),
    ],
)
def test_broken_defaults_leave_out_the_models_below_and_nothing_else(tmp_path: Path, content: str, why: str) -> None:
    write(tmp_path, "eu/returns", {**PLAIN, "retrain": {"mode": "propose"}})
    folder = write(tmp_path, "eu/deep/refunds", {**PLAIN, "name": "refunds"}).parent
    write(tmp_path, "us/orders", {**PLAIN, "name": "orders"})
    (tmp_path / "eu" / "airports").mkdir()
    (tmp_path / "eu" / "airports" / "defs.yaml").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "eu" / "defaults.yaml").write_text(content, encoding="utf-8")
    models = read_settings(tmp_path, ModelSettings)
    assert models.keys() == {"orders"}
    assert read_settings(tmp_path, SourceSettings).keys() == {"airports"}
    (broken,) = broken_files(tmp_path)
    assert re.search(re.escape(str(tmp_path / "eu")) + "/" + why, broken.sentence), broken.sentence
    assert broken.sentence.endswith("All else goes on.")
    assert broken.sentence.count("there is no such field") <= 1, "said once, for however many models"
    assert (broken.names, broken.subjects) == ({"returns", "refunds"}, "refunds, returns")
    assert broken.left_out == {tmp_path / "eu" / "returns", folder}
    for name in broken.names:
        with pytest.raises(BrokenSettings):
            models[name]
    with pytest.raises(BrokenSettings, match=re.escape(str(tmp_path / "eu" / "defaults.yaml"))):
        by_dagster(tmp_path, folder)


def test_a_mistake_of_one_model_alone_is_said_in_its_own_file(tmp_path: Path) -> None:
    write(tmp_path, "defaults.yaml", {"retrain": {"budget": 3}, "monitoring": {"performance": {"floor": 0.6}}})
    own = write(tmp_path, "returns", {**PLAIN, "retrain": {"cooldwn": "7d"}})
    write(tmp_path, "refunds", {**PLAIN, "name": "refunds"})
    (broken,) = broken_files(tmp_path)
    assert f"{own}:13: attributes.retrain: retrain has no field 'cooldwn'" in broken.sentence
    assert read_settings(tmp_path, ModelSettings).keys() == {"refunds"}


def test_defaults_that_do_not_fit_one_model_leave_out_that_one(tmp_path: Path) -> None:
    """A limit of an AUC is none of an error in minutes."""
    file = write(tmp_path, "defaults.yaml", {"monitoring": {"limits": {"log_loss": {"max_drop": 0.1}}}})
    write(tmp_path, "returns", PLAIN)
    write(tmp_path, "amount", {**PLAIN, "name": "amount", "task": "regression", "metric": "rmse"})
    assert read_settings(tmp_path, ModelSettings).keys() == {"returns"}
    (broken,) = broken_files(tmp_path)
    assert broken.names == {"amount"}
    assert str(file) in broken.sentence or str(tmp_path / "amount" / "defs.yaml") in broken.sentence


def test_defaults_without_a_model_below_are_fine_unless_they_are_broken(tmp_path: Path) -> None:
    write(tmp_path, "returns", PLAIN)
    file = write(tmp_path, "sources/defaults.yaml", {"owners": ["team:x"]})
    assert broken_files(tmp_path) == []
    file.write_text("colour: red\n", encoding="utf-8")
    (broken,) = broken_files(tmp_path)
    assert f"{file}:1: colour: there is no such field" in broken.sentence
    assert (broken.left_out, broken.subjects) == (frozenset(), "defaults.yaml")
    assert read_settings(tmp_path, ModelSettings).keys() == {"returns"}


def test_a_change_of_defaults_is_a_change_of_what_is_declared(tmp_path: Path) -> None:
    write(tmp_path, "eu/returns", PLAIN)
    before = stamp_of(tmp_path)
    file = write(tmp_path, "defaults.yaml", {"owners": ["team:a"]})
    with_defaults = stamp_of(tmp_path)
    assert with_defaults != before
    assert model(tmp_path).owners == ["team:a"]
    file.write_text("owners: ['team:bb']\n", encoding="utf-8")
    assert stamp_of(tmp_path) != with_defaults
    assert model(tmp_path).owners == ["team:bb"]
    file.unlink()
    assert stamp_of(tmp_path) == before
    assert model(tmp_path).owners == []


def test_the_schema_that_dg_checks_by_asks_for_what_no_defaults_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.assets import monitored_model

    defs = tmp_path / "own" / "defs"
    write(defs, "eu/defaults.yaml", {"task": "binary"})
    write(defs, "eu/returns", {name: value for name, value in PLAIN.items() if name != "task"})
    monkeypatch.setattr(monitored_model, "PROJECT", Project(tmp_path, "own"))
    check = jsonschema.Draft202012Validator(MonitoredModel.get_model_cls().model_json_schema())

    def faults(**other: Any) -> list[str]:
        fields = {name: value for name, value in {**PLAIN, "task": None, **other}.items() if value is not None}
        return [error.message for error in check.iter_errors(json.loads(json.dumps(fields, default=str)))]

    assert faults() == []
    assert faults(name="orders") == ["'task' is a required property"]
    assert faults(metric=None) == ["'metric' is a required property"]
    assert faults(label=None) == ["'label' is a required property"]
    assert len(faults(colour="red")) == 1


def test_an_upgrade_changes_defaults_as_it_does_models(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "own"\n', encoding="utf-8")
    defs = tmp_path / "own" / "defs"
    file = write(defs, "defaults.yaml", {"training": {"family": "linear"}})
    parts = list(upgrade._settings(Project.find(tmp_path)))
    (part,) = parts
    assert (part.path, part.state) == ("own/defs/defaults.yaml", "outdated")
    assert yaml.safe_load(part.text) == {"training": {"families": ["linear"]}}
    file.write_text("training: [\n", encoding="utf-8")
    (part,) = upgrade._settings(Project.find(tmp_path))
    assert (part.path, part.state) == ("own/defs/defaults.yaml", "by hand")
    assert "this is no YAML" in part.sentence


def test_of_very_many_models_ten_are_named(tmp_path: Path) -> None:
    for number in range(13):
        write(tmp_path, f"m{number:02}", {**PLAIN, "name": f"m{number:02}"})
    write(tmp_path, "defaults.yaml", {"metric": "roc_auc", "colour": "red"})
    (broken,) = broken_files(tmp_path)
    assert len(broken.names) == 13
    assert broken.subjects == "m00, m01, m02, m03, m04, m05, m06, m07, m08, m09 and 3 more"
    assert broken.sentence.count("colour") == 1
