"""Older YAML becomes today's: names change in the text, comments stay, and what a person must say is told by place."""

from __future__ import annotations

import copy
import re
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.settings_changes import (
    CHANGES,
    SETTINGS,
    Change,
    hint_of,
    is_policies,
    migrated,
    outdated_fields,
)
from mlops_assets.core.settings_kinds import COMPONENTS

M, N = "  monitoring:\n", "  monitoring: {drift: {<<: *d}}\n"
KIND = "type: mlops_assets.components.MonitoredModel\nattributes:\n"
RENAMED = Change(2, "MonitoredModel", "monitoring.drift.share", "monitoring.drift.max_share")
MOVED = Change(2, "MonitoredModel", "monitoring.max_drop", "monitoring.performance.max_drop")
LISTED = Change(2, "MonitoredModel", "monitoring.window", "monitoring.windows[]")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  monitoring: {drift: {share: 0.3}} # ours", "  monitoring: {drift: {max_share: 0.3}} # ours"),
        (M + "    drift:\n      share: 0.3  # of 10\n", M + "    drift:\n      max_share: 0.3  # of 10\n"),
        ('  "monitoring": {"drift":{"share":0.3}}\n', '  "monitoring": {"drift":{"max_share":0.3}}\n'),
        (M + "    drift:\n      ? share\n      : 0.3\n", M + "    drift:\n      ? max_share\n      : 0.3\n"),
        ("  monitoring:\n    max_drop: 0.1 # a tenth\n", "  monitoring:\n    performance: {max_drop: 0.1} # a tenth\n"),
        ("  monitoring: {max_drop: .1, x: {share: 1}}", "  monitoring: {performance: {max_drop: .1}, x: {share: 1}}"),
        ("  training: {family: xgboost, trials: 3}\n", "  training: {families: [xgboost], trials: 3}\n"),
        ('  training:\n    family: "xgboost" # ours\n', '  training:\n    families: ["xgboost"] # ours\n'),
        # Brought in by name, twice: written once, changed once.
        ("  x: &d {share: 0.3}\n  monitoring: {drift: *d}\n", "  x: &d {max_share: 0.3}\n  monitoring: {drift: *d}\n"),
        ("  x: &d {share: 3}\n" + N, "  x: &d {max_share: 3}\n" + N),
        ("  monitoring:\r\n    max_drop: 0.1\r\n", "  monitoring:\r\n    performance: {max_drop: 0.1}\r\n"),
        # Of that name, elsewhere.
        ("  drift: {share: 0.3}\n  max_drop: 1\n", "  drift: {share: 0.3}\n  max_drop: 1\n"),
        ("  name: share\n", "  name: share\n"),
    ],
)  # fmt: skip
def test_a_name_changes_and_all_else_stays(old: str, new: str) -> None:
    assert migrated(KIND + old, 1) == KIND + new
    assert migrated(KIND + new, 1) == KIND + new, "made twice is made once"
    assert migrated(KIND + old, SETTINGS) == KIND + old, "of today: not touched"


def test_other_kinds_and_documents_are_left_alone() -> None:
    source = "type: mlops_assets.components.LandingSource\nattributes: {monitoring: {max_drop: 1}}\n"
    model = KIND + "  monitoring: {max_drop: 1}\n"
    assert (
        migrated(f"{source}---\n{model}", 1)
        == f"{source}---\n{model.replace('max_drop: 1', 'performance: {max_drop: 1}')}"
    )


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("  gate: {twin_tolerance: 0.5}\n", "3:10", "Change it by hand, then: mlops upgrade"),
        ("  monitoring:\n    drift:\n      prediction_psi: 0.2\n", "5:7", "remove it. Change it by hand"),
        ("  monitoring:\n    drift: {share: 1, max_share: 1}\n", "4:13", "There is max_share beside it, so change"),
        ("  monitoring:\n    max_drop: 1\n    performance: {}\n", "4:5", "There is performance beside it"),
        ("  monitoring:\n    max_drop: {a: 1}\n", "4:5", "Its value is not a plain one"),
        ("  x: &a 1\n  monitoring:\n    max_drop: *a\n", "5:5", "Its value is not a plain one"),
        ("  monitoring:\n    max_drop:\n", "4:5", "Its value is not a plain one"),
        ("  training: {family: [a]}\n", "3:14", "families, a list, since settings 2. Its value is not a plain one"),
        ("  rollout: {max_calibration_error: 0.1}\n", "3:13", "remove it, or set rollout.max_calibration_rise"),
    ],
)  # fmt: skip
def test_what_a_person_must_say_is_told_by_line_and_column(text: str, place: str, why: str) -> None:
    (found,) = outdated_fields(KIND + text, 1)
    assert not found.edits
    assert found.sentence.startswith(f"{place}: attributes.")
    assert why in found.sentence
    assert migrated(KIND + text, 1) == KIND + text


def test_changes_are_made_in_the_order_of_their_versions() -> None:
    """A name that went on to a third one, and one whose place something else took: each for the versions it is of."""
    changes = (
        Change(2, "MonitoredModel", "a", "b"),
        Change(3, "MonitoredModel", "b", "c"),
        Change(3, "MonitoredModel", "columns.*.old", "columns.*.new"),
    )
    text = KIND + "  a: 1\n  columns: {x: {old: 1}, y: {old: 2}}\n"
    assert yaml.safe_load(migrated(text, 1, changes))["attributes"] == {
        "c": 1,
        "columns": {"x": {"new": 1}, "y": {"new": 2}},
    }
    assert "  a: 1" in migrated(text, 2, changes), "version 2 has another a"
    assert hint_of("MonitoredModel", ["columns", "y", "old"], changes) == "it is called columns.*.new since settings 3"
    assert not hint_of("MonitoredModel", ["columns", "y", "other"], changes)


POLICY = (
    Change(2, "MonitoredModel", "gate.max_loss", "gate.non_inferiority_margin"),
    Change(2, "MonitoredModel", "probe.gone", do="it is no more: remove it"),
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- {name: a, gate: {max_loss: 1}} # b\n", "- {name: a, gate: {non_inferiority_margin: 1}} # b\n"),
        ("- name: a\n  gate:\n    max_loss: 1\n", "- name: a\n  gate:\n    non_inferiority_margin: 1\n"),
        ("gate: {max_loss: 1}\n", "gate: {non_inferiority_margin: 1}\n"),
        ("- name: a\n  retrain: {max_loss: 1}\n", "- name: a\n  retrain: {max_loss: 1}\n"),
    ],
)
def test_policies_change_as_the_fields_of_a_model_do(old: str, new: str) -> None:
    assert is_policies(old)
    assert migrated(old, 1, POLICY) == new
    assert migrated(new, 1, POLICY) == new
    assert migrated(old, 2, POLICY) == old
    (field,) = outdated_fields("- name: a\n  probe: {gone: 1}\n", 1, POLICY)
    assert field.sentence == "2:11: probe.gone: it is no more: remove it. Change it by hand, then: mlops upgrade."


@pytest.mark.parametrize(
    "text", ["", "[]", "- a\n", "- name: a\n", "name: a\ngate: {}\nother: 1\n", KIND, "version: 2\nmodels: []\n", "3"]
)
def test_other_yaml_is_no_file_of_policies(text: str) -> None:
    assert not is_policies(text)


def test_every_change_leads_to_a_field_that_there_is() -> None:
    """Else an upgrade would write what the library refuses; what is gone is refused by it."""
    for change in CHANGES:
        assert 1 < change.since <= SETTINGS
        assert bool(change.now) != bool(change.do)
        assert place_of(change.kind, change.field) is None, change
        assert not change.now or place_of(change.kind, change.now.removesuffix("[]")), change


def place_of(component: str, place: str) -> Any:
    """The field of today's settings at a place; None where there is none."""
    kinds: list[Any] = [COMPONENTS[component]]
    for part in place.split("."):
        fields = [kind.__pydantic_fields__[part] for kind in kinds if part in getattr(kind, "__pydantic_fields__", {})]
        if not fields:
            return None
        # Of `X | None` and of what stands in `Annotated`, each.
        kinds = [fields[0].annotation, *get_args(fields[0].annotation)]
    return fields[0]


# --- any document: against a second way, on the values ------------------------------------------------------

NAMES = st.sampled_from(
    ["share", "max_share", "max_drop", "performance", "drift", "monitoring", "psi", "window", "windows"]
)
VALUES = st.one_of(
    st.booleans(),
    st.integers(0, 9),
    st.floats(0, 1).map(lambda x: round(x, 3)),
    st.sampled_from(["a b", "7d", "#", "ü: x", ""]),
)
TREES = st.recursive(
    VALUES, lambda below: st.dictionaries(NAMES, below, max_size=4) | st.lists(below, max_size=2), max_leaves=12
)


def by_value(attributes: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The three renamings on loaded values, and whether a person is needed for one."""
    found, is_stuck = copy.deepcopy(attributes), False
    monitoring = found.get("monitoring")
    if not isinstance(monitoring, dict):
        return found, False
    drift = monitoring.get("drift")
    if isinstance(drift, dict) and "share" in drift:
        if "max_share" in drift:
            is_stuck = True
        else:
            drift["max_share"] = drift.pop("share")
    if "max_drop" in monitoring:
        if "performance" in monitoring or isinstance(monitoring["max_drop"], dict | list):
            is_stuck = True
        else:
            monitoring["performance"] = {"max_drop": monitoring.pop("max_drop")}
    if "window" in monitoring:
        if "windows" in monitoring or isinstance(monitoring["window"], dict | list):
            is_stuck = True
        else:
            monitoring["windows"] = [monitoring.pop("window")]
    return found, is_stuck


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.dictionaries(NAMES, TREES, max_size=3),
    st.dictionaries(NAMES, TREES, max_size=4),
    st.sampled_from([None, True, False]),
    st.sampled_from([None, '"', "'"]),
)
def test_the_text_says_what_the_values_say(rest: Any, monitoring: Any, flow: bool | None, style: str | None) -> None:
    attributes = {**rest, "monitoring": monitoring}
    values = {"type": "mlops_assets.components.MonitoredModel", "attributes": attributes}
    text = yaml.safe_dump(values, default_flow_style=flow, default_style=style, allow_unicode=True, width=30)
    # A comment behind each line that can have one.
    is_open = flow is False and style is None
    noted = "\n".join(
        f"{line} # {n}" if re.search(r"[:\w}\]]$", line) else line for n, line in enumerate(text.split("\n"))
    )
    text = noted if is_open and yaml.safe_load(noted) == values else text
    new = migrated(text, 1, (RENAMED, MOVED, LISTED))
    expected, is_stuck = by_value(attributes)
    assert yaml.safe_load(new)["attributes"] == expected
    assert re.findall(r" # \d+$", new, re.MULTILINE) == re.findall(r" # \d+$", text, re.MULTILINE)
    assert any(not one.edits for one in outdated_fields(text, 1, (RENAMED, MOVED, LISTED))) is is_stuck
