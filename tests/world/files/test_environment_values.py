"""Values of the environment in `defs.yaml`: as if they were written there, or a mistake that names the variable."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import yaml

from mlops_assets.components import LandingSource, MonitoredModel, StreamSource
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.world.files.environment_values import put_in, reading_environment
from mlops_assets.world.settings_files import read_settings
from tests.checkout import CHECKOUT
from tests.landing_home import ORDERS

MODEL = yaml.safe_load((CHECKOUT / "mlops_assets" / "defs" / "flight_delay" / "defs.yaml").read_text(encoding="utf-8"))


def declared(folder: Path, **attributes: Any) -> ModelSettings:
    """The demo's model with other attributes, read as every command reads it."""
    written = {**MODEL, "attributes": {**MODEL["attributes"], **attributes}}
    folder.mkdir(exist_ok=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump(written))
    return read_settings(folder, ModelSettings)["flight_delay"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("{{ env.X }}", 30),
        ("{{env.X}}", 30),
        ("rolling: {{ env.X }}d", "rolling: 30d"),
        ("{{ env.X }}-{{ env('X') }}", "30-30"),
        ("{{ env('NOT_SET', '36h') }}", "36h"),
        ('{{ env("NOT_SET", "0.5") }}', 0.5),
        ("{{ env('NOT_SET', 'true') }}", True),
        ("{{ env('NOT_SET', '2024-02-01') }}", date(2024, 2, 1)),
        ("{{ env('NOT_SET', '[1, 2]') }}", "[1, 2]"),
        ("{{ env('NOT_SET', '') }}", None),
        (7, 7),
    ],
)
def test_a_value_stands_there_as_if_it_were_written(written: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "30")
    assert put_in({"a": [{"b": written}]}) == ({"a": [{"b": value}]}, [])


def test_braces_of_a_description_are_its_own() -> None:
    own = {"description": "One row of {{ customer }}."}
    assert put_in(own) == (own, [])


def test_both_readers_of_the_files_read_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIALS", "9")
    monkeypatch.setenv("DAYS", "120")
    training = {
        "trials": "{{ env.TRIALS }}",
        "window": "rolling: {{ env.DAYS }}d",
        "params": {"max_depth": "{{ env.TRIALS }}", "learning_rate": "{{ env('RATE', '1e-2') }}"},
        "validation_share": "{{ env('SHARE', '2e-1') }}",
    }
    model = declared(tmp_path / "a", training=training)
    assert (model.training.trials, model.training.window, model.training.params) == (
        9,
        "rolling: 120d",
        {"max_depth": 9, "learning_rate": 0.01},
    )
    assert model.training.validation_share == 0.2
    own = MonitoredModel.get_model_cls().model_validate({**MODEL["attributes"], "training": training})
    by_dagster: Any = SimpleNamespace(path=tmp_path / "a", defs_module_path=tmp_path)
    assert MonitoredModel.load(own, by_dagster).settings == model
    source = LandingSource.get_model_cls().model_validate({**ORDERS, "freshness": "{{ env('LATE', '48h') }}"})
    assert isinstance(source, SourceSettings)
    assert source.fresh_for == "48h"
    assert {cls.get_model_cls().__name__ for cls in (LandingSource, StreamSource)} == {
        "SourceSettings",
        "StreamSettings",
    }


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        (
            {"training": {"trials": "{{ env.NOT_SET }}"}},
            r"defs.yaml:\d+: attributes.training.trials: the environment variable NOT_SET is not set. Set it for every",
        ),
        ({"training": {"trials": "{{ env.MANY }}"}}, r"attributes.training.trials: it is 'many', which is no number"),
        (
            {"metric": "{{ env['X'] }}"},
            r"attributes.metric: {{ env\['X'\] }} names no environment variable: write",
        ),
        (
            {"retrain": {True: [{"schedule": {"cron": "{{ evn.X }}"}}]}},
            r"defs.yaml:\d+: attributes.retrain.on.0.schedule.cron: {{ evn.X }} names no environment variable",
        ),
        ({"metric": "{{ evn.X }}"}, r"attributes.metric: {{ evn.X }} names no environment variable: write {{ env.NAME"),
        ({"training": {"window": "rolling: {{ days }}d"}}, r"attributes.training.window: {{ days }} names no"),
        (
            {"training": {"window": "rolling: {{ env.X d"}},
            r"attributes.training.window: .* opens {{ and does not close",
        ),
        ({"owners": ["team:{{ Env.TEAM }}"]}, r"attributes.owners.0: {{ Env.TEAM }} names no environment variable"),
        ({"name": "{{ env.TEAM }}_delay"}, r"attributes.name: a name cannot stand in the environment"),
    ],
)
def test_a_mistake_names_file_line_field_and_variable(
    attributes: dict[str, Any], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MANY", "many")
    with pytest.raises((ValueError, KeyError)):
        declared(tmp_path / "flight_delay", **attributes)
    (broken,) = read_settings(tmp_path / "flight_delay", ModelSettings).broken
    assert re.search(why, broken.sentence), broken.sentence


@pytest.mark.parametrize("written", ["{{ env.TRIALS }}", "{{ evn.X }}"])
def test_what_is_not_quoted_is_to_be_quoted(tmp_path: Path, written: str) -> None:
    text = yaml.safe_dump(MODEL).replace("metric: ", f"exclude: {written}\n  metric: ", 1)
    (tmp_path / "defs.yaml").write_text(text)
    (broken,) = read_settings(tmp_path, ModelSettings).broken
    line = 1 + text.splitlines().index(f"  exclude: {written}")
    assert f"defs.yaml:{line}: braces in braces are no YAML. Quote what stands in the environment" in broken.sentence
    assert '"{{ env.NAME }}"' in broken.sentence
    (tmp_path / "defs.yaml").write_text(text.replace(written, "{[a]: 1}"))
    (broken,) = read_settings(tmp_path, ModelSettings).broken
    assert "this is no YAML (found unhashable key)" in broken.sentence


def test_the_schema_that_dg_checks_by_allows_variables_and_still_refuses_texts() -> None:
    schema = MonitoredModel.get_model_cls().model_json_schema()
    check = jsonschema.Draft202012Validator(schema)

    def faults(**training: Any) -> list[str]:
        written = {**MODEL["attributes"], "start": "{{ env.START }}", "end": "2013-12-31", "training": training}
        return [error.json_path for error in check.iter_errors(json.loads(json.dumps(written, default=str)))]

    assert faults(trials="{{ env.TRIALS }}", calibration="{{ env('C', 'none') }}") == []
    assert faults(validation_share="2e-1", params={"learning_rate": "1e-3"}) == []
    assert faults(trials="many") == ["$.training.trials"]
    assert faults(calibration="well") == ["$.training.calibration"]


def test_settings_that_are_read_twice_are_one_class() -> None:
    assert reading_environment(ModelSettings) is reading_environment(ModelSettings)
