"""Which file declares a model, and where in a file a mistake stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.world import declared_files
from mlops_assets.world.declared_files import BrokenSettings, looked_at_once, stamp_of
from mlops_assets.world.settings_files import broken_files, read_settings, settings_file

SOURCE = """type: mlops_assets.components.LandingSource
attributes:
  name: orders
  description: One row per order.
  files: orders_{partition}.csv
  event_time: at
  timezone: Europe/Berlin
  start: 2024-01-01
  freshness: 36h
  contract:
    columns:
      at: {type: timestamp}
      price:
        type: number
        min: 0
"""
MODEL = """# A model.
type: mlops_assets.components.MonitoredModel
attributes:
  name: returns
  description: Whether an order comes back.
  task: binary
  label: {model: lbl_returns, column: is_back}
  features: [feat_orders]
  metric: roc_auc
  start: 2024-01-01
  monitoring:
    window: week
  retrain: {cooldown: 7d}
"""


def declared(folder: Path, text: str) -> Path:
    (folder / "one").mkdir()
    file = folder / "one" / "defs.yaml"
    file.write_text(text)
    return file


def test_the_file_of_a_model_is_found_by_its_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        content = {"type": "mlops_assets.components.MonitoredModel", "attributes": {"name": name}}
        (tmp_path / name / "defs.yaml").write_text(yaml.safe_dump(content))
    assert settings_file(tmp_path, "two") == tmp_path / "two" / "defs.yaml"
    with pytest.raises(ValueError, match=r"declares a monitored model 'three'. Add it"):
        settings_file(tmp_path, "three")


@pytest.mark.parametrize(
    ("kind", "text", "old", "new", "told"),
    [
        (SourceSettings, SOURCE, "Europe/Berlin", "Europe/Berln", "7: attributes.timezone: 'Europe/Berln' is no time"),
        (SourceSettings, SOURCE, "36h", "soon", "9: attributes.freshness: "),
        (SourceSettings, SOURCE, "2024-01-01", "yesterday", "8: attributes.start: "),
        (SourceSettings, SOURCE, "type: number", "type: numbr", "14: attributes.contract.columns.price"),
        (SourceSettings, SOURCE, "  start: 2024-01-01\n", "", "2: attributes: source orders: grain day needs"),
        (SourceSettings, SOURCE, "description: One", "describe: One", "2: attributes.description: Field required"),
        (SourceSettings, SOURCE, "description: One", "describe: One", "4: attributes.describe: "),
        (SourceSettings, SOURCE, "  files: ", "  files: [", "5: this is no YAML"),
        (ModelSettings, MODEL, "window: week", "window: wek", "12: attributes.monitoring.window: "),
        (
            ModelSettings,
            MODEL,
            "window: week",
            "performance: {floor: 3}",
            "12: attributes.monitoring.performance.floor: it",
        ),
        (ModelSettings, MODEL, "cooldown: 7d", "cooldown: 1e9", "13: attributes.retrain.cooldown: it is"),
        (ModelSettings, MODEL, "cooldown: 7d", "cooldwn: 7d", "13: attributes.retrain: "),
        (ModelSettings, MODEL, "[feat_orders]", "[feat_orders, 7]", "8: attributes.features.1: "),
    ],
)
def test_a_mistake_is_told_with_file_line_and_field(
    tmp_path: Path, kind: Any, text: str, old: str, new: str, told: str
) -> None:
    assert old in text
    file = declared(tmp_path, text.replace(old, new))
    found = read_settings(tmp_path, kind)
    (broken,) = found.broken
    assert not found
    assert f"{file}:{told}" in broken.sentence
    name = "orders" if kind is SourceSettings else "returns"
    with pytest.raises(BrokenSettings) as error:
        found[name]
    assert str(error.value) == broken.sentence
    with pytest.raises(KeyError):
        found["another"]


def test_a_mistake_in_the_second_document_of_a_file(tmp_path: Path) -> None:
    file = declared(tmp_path, f"{SOURCE}---\n{SOURCE}".replace("36h", "soon", 2).replace("soon", "36h", 1))
    (broken,) = broken_files(tmp_path)
    assert broken.sentence.startswith(f"{file}:{len(SOURCE.splitlines()) + 1 + 9}: attributes.freshness")


def test_a_name_is_given_once(tmp_path: Path) -> None:
    file = declared(tmp_path, f"{SOURCE}---\n{SOURCE}")
    (broken,) = broken_files(tmp_path)
    assert broken.sentence.startswith(f"{file}:19: the name 'orders' is taken by another file")


def test_of_two_files_with_one_name_the_first_stays(tmp_path: Path) -> None:
    declared(tmp_path, SOURCE)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "defs.yaml").write_text(SOURCE)
    found = read_settings(tmp_path, SourceSettings)
    assert found["orders"].name == "orders"
    assert [file.path for file in found.broken] == [tmp_path / "two" / "defs.yaml"]
    assert not found.unread.keys() & found.keys()


@pytest.mark.parametrize(
    ("old", "told"),
    [
        (
            "training: {family: xgboost}",
            r"14: attributes.training.family: there is no such field; it is called",
        ),
        ("gate: {twin_tolerance: 1}", r"14: attributes.gate.twin_tolerance: there is no such field; twins agree by"),
        (
            "rollout: {max_calibration_error: 1}",
            r"14: attributes.rollout.max_calibration_error: .* set rollout.max",
        ),
        ("training: {colour: red}", r"14: attributes.training.colour: there is no such field; there are batch, budget"),
    ],
)
def test_a_former_name_in_settings_of_today_is_told_by_its_present_one(tmp_path: Path, old: str, told: str) -> None:
    """As where somebody copies from an old page; an older project's are refused before (tests.onboarding)."""
    declared(tmp_path, f"{MODEL}  {old}\n")
    (broken,) = broken_files(tmp_path)
    assert re.search(told, broken.sentence), broken.sentence


@pytest.mark.parametrize("old", ["max_drop: 0.1", "drift: {share: 0.1}", "drift: {prediction_psi: 0.1}"])
def test_so_is_one_below_monitoring(tmp_path: Path, old: str) -> None:
    declared(tmp_path, MODEL.replace("window: week", old))
    (broken,) = broken_files(tmp_path)
    assert "since settings 2" in broken.sentence


def test_a_load_of_definitions_looks_at_the_files_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "defs.yaml").write_text("type: x\n", encoding="utf-8")
    looks: list[Path] = []
    look = declared_files._files
    monkeypatch.setattr(declared_files, "_files", lambda folder, *names: looks.append(folder) or look(folder, *names))
    before = stamp_of(tmp_path)
    with looked_at_once():
        assert stamp_of(tmp_path) == stamp_of(tmp_path) == before
        (tmp_path / "one" / "defs.yaml").write_text("type: another\n", encoding="utf-8")
        assert stamp_of(tmp_path) == before
    assert looks == [tmp_path, tmp_path]
    # Outside a load each look is a new one.
    assert stamp_of(tmp_path) != before
