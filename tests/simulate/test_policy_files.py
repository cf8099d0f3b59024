"""Policies in a file: what is read, and what each mistake is told.

What lives here: reading and its errors. What doesn't: trying the policies (tests/core/simulate/test_backtest.py).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from mlops_assets.core.decide.agreed.reading import PRESETS
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_sections import GateSpec, ProbeSpec
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.simulate import policy_files
from mlops_assets.simulate.policy_files import not_lived, other_policy, own_policy, read_policies
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.settings_files import read_settings


@pytest.fixture(scope="module")
def own() -> LifePolicy:
    return own_policy(read_settings(DEFS, ModelSettings)["flight_delay"])


def read(tmp_path: Path, own: LifePolicy, text: str) -> dict[str, LifePolicy]:
    file = tmp_path / "policies.yaml"
    file.write_text(text, encoding="utf-8")
    return read_policies(file, own)


def test_each_policy_changes_what_it_names_and_keeps_the_rest(tmp_path: Path, own: LifePolicy) -> None:
    text = """
- name: bold
  retrain: {min_gain: 0.0, budget: 8 per 60d, max_age: never}
  probe: {level: 0.05, refits: [expanding, "2"]}
- name: strict
  gate: {confidence: 0.99, window: 14d}
- name: points
  gate: {preset: accuracy_1_point}
- name: the same
"""
    found = read(tmp_path, own, text)
    assert list(found) == ["bold", "strict", "points", "the same"]
    bold, strict, points, same = found.values()
    assert points.gate is not None
    assert (points.gate.rule, points.gate.min_gain) == ("absolute", 0.01)
    assert (bold.retrain.min_gain, bold.retrain.budget, bold.retrain.budget_period) == (0.0, 8, timedelta(days=60))
    assert (bold.retrain.age_limit, bold.retrain.cooldown) == (None, own.retrain.cooldown)
    assert isinstance(bold.probe, ProbeSpec)
    assert (bold.probe.level, bold.probe.refits, bold.probe.folds) == (0.05, ("expanding", "2"), own.probe.folds)
    assert isinstance(strict.gate, GateSpec)
    assert (strict.gate.confidence, strict.gate_window) == (0.99, timedelta(days=14))
    assert bold.gate_window == timedelta(days=28)
    assert same == own
    assert bold.retrain.window == own.retrain.window


def test_triggers_take_the_place_of_what_asks_by_default(tmp_path: Path, own: LifePolicy) -> None:
    (policy,) = read(tmp_path, own, "- name: a\n  retrain:\n    on: [psi_0_2]\n").values()
    assert [trigger.name for trigger in policy.retrain.on or ()] == ["drift (psi 0.2)"]
    assert (policy.retrain.growth, policy.retrain.max_age, own.retrain.growth) == (None, None, 0.5)
    presets = Path("docs/examples/trigger_presets.yaml")
    assert list(read_policies(presets, own)) == list(PRESETS)


def test_the_models_own_triggers_are_lived_as_far_as_paper_goes() -> None:
    model = read_settings(DEFS, ModelSettings)["flight_delay"]
    agreed = model.model_copy(update={"retrain": model.retrain.changed({"on": ["psi_0_2", "importance"]})})
    assert [trigger.name for trigger in own_policy(agreed).retrain.on or ()] == ["drift (psi 0.2)"]
    assert not_lived(agreed) == ["importance"]
    none = model.model_copy(update={"retrain": model.retrain.changed({"on": ["importance"]})})
    assert [trigger.name for trigger in own_policy(none).retrain.on or ()] == ["gain"]
    assert not_lived(model) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("retrain: {min_gain: 1}", "it holds no list"),
        ("[]", "it holds no list"),
        ("- retrain: {min_gain: 1}", "policy 1 has no name"),
        ("- {name: a, label: {}}", "policy 'a' has no field 'label': use name, retrain, probe, gate"),
        ("- {name: a, retrain: {min_gian: 1}}", r"policy 'a': retrain has no field 'min_gian': use cooldown, budget"),
        ("- {name: a, retrain: {window: 7d}}", "retrain.window changes nothing on paper: use cooldown"),
        ("- {name: a, probe: {level: high}}", "policy 'a': probe.level: it is 'high', which is no number"),
        ("- {name: a, probe: {level: 0.7}}", "policy 'a': probe.level: it is 0.7: write a number between 0 and 0.5"),
        (
            "- {name: a, gate: {rule: best}}",
            "policy 'a': gate.rule: Input should be 'better', 'relative', 'absolute' or 'non_inferior'",
        ),
        ("- {name: a, gate: {rule: better, min_gain: 1}}", "rule better takes none: set relative or absolute"),
        ("- {name: a, retrain: {budget: many}}", "retrain.budget is 'many': write a number and a period"),
        ("- {name: a, retrain: {on: [importance]}}", "policy 'a': retrain.on: importance cannot be lived on paper"),
        ("- {name: a, retrain: {on: [drift]}}", "policy 'a': retrain.on: drift cannot be lived on paper"),
        ("- {name: a, retrain: {on: [{drift: {psii: 1}}]}}", "policy 'a': retrain.on: drift: it contains unknown"),
        ("- {name: a, probe: 3}", "policy 'a': probe is 3: write fields under it, any of refits"),
        ("- {name: a}\n- {name: a}", "the name 'a' is taken"),
        ("- {name: present policy}", "the name 'present policy' is taken"),
        ("- {name: a", "policies.yaml"),
    ],
)
def test_a_mistake_names_file_and_field_and_says_what_is_allowed(
    tmp_path: Path, own: LifePolicy, text: str, told: str
) -> None:
    with pytest.raises(ValueError, match=r"policies\.yaml") as failed:
        read(tmp_path, own, text)
    assert told in str(failed.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path, own: LifePolicy) -> None:
    with pytest.raises(ValueError, match="There is no file"):
        read_policies(tmp_path / "none.yaml", own)


def test_fields_of_an_older_version_are_named_with_what_became_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: LifePolicy
) -> None:
    """As in a model's YAML: before the upgrade by line, after it by the field's name."""
    file = tmp_path / "policies.yaml"
    file.write_text("- name: strict\n  gate: {twin_tolerance: 1}\n")
    with pytest.raises(ValueError, match=r"gate has no field 'twin_tolerance': twins agree by correlation since"):
        read_policies(file, own)
    monkeypatch.setattr(policy_files, "PROJECT", SimpleNamespace(settings=1))
    with pytest.raises(ValueError, match=r"2:10: gate\.twin_tolerance: twins agree .*, then: mlops upgrade\. Nothing"):
        read_policies(file, own)
    with pytest.raises(ValueError, match=r"2:10: gate\.twin_tolerance: twins agree"):
        other_policy(own.retrain, file)
