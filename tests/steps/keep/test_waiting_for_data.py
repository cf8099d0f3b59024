"""A broken source is one incident that names the models behind it, however many there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_assets.core.record.incidents import Report, State, reported
from mlops_assets.steps.keep import waiting_for_data as module
from mlops_assets.steps.keep.model_alarms import WAITS_FOR_DATA, Alarm
from mlops_assets.steps.keep.waiting_for_data import by_source

NOW = datetime(2026, 3, 4, tzinfo=UTC)


def held(*names: str) -> list[Alarm]:
    """Pages of models that wait for data."""
    return [
        {
            "key": f"performance/{name}",
            "incident": f"{name}-performance_holds-w-d1",
            "severity": "page",
            "happened": f"{name}: performance_holds failed.",
            "did": "It is held back (data): prices/2026-03-03 is in quarantine.",
            "do": "Read.",
            "runbook": "not-retrained",
            "asset": (name, "performance_report"),
            WAITS_FOR_DATA: name,
        }
        for name in names
    ]


def models(*names: str) -> dict[str, Any]:
    return {name: SimpleNamespace(name=name) for name in names}


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, str]]]:
    """What is in quarantine of each model's sources, as source and partition; nothing at first."""
    bad: dict[str, list[tuple[str, str]]] = {}
    entry = SimpleNamespace(reason="price is text.", remedy=lambda source, partition: f"mlops quarantine {source}.")
    monkeypatch.setattr(module, "newest_bad", lambda _, model: dict.fromkeys(bad.get(model.name, []), entry))
    return bad


def test_nothing_is_changed_where_no_model_waits_for_data() -> None:
    other: list[Alarm] = [{"key": "performance/a", "incident": "a", "severity": "notify"}]
    assert by_source(None, other, models("a")) == other  # type: ignore[arg-type]
    assert by_source(None, [], {}) == []  # type: ignore[arg-type]


def test_models_behind_one_source_are_one_page_that_names_them(broken: dict[str, list[tuple[str, str]]]) -> None:
    names = [f"m{number:04}" for number in range(1_000)]
    broken |= {name: [("prices", "2026-03-03")] for name in names}
    (alarm,) = by_source(None, held(*names), models(*names))  # type: ignore[arg-type]
    assert (alarm["key"], alarm["severity"], alarm["runbook"]) == ("quarantine/prices", "page", "quarantine")
    assert alarm["happened"] == (
        "prices/2026-03-03 is in quarantine: price is text. 1,000 models below their agreed performance wait for it: "
        "m0000, m0001, m0002, m0003, m0004, m0005, m0006, m0007, m0008, m0009 and 990 more."
    )
    assert alarm["do"] == "mlops quarantine prices."


def test_each_source_is_one(broken: dict[str, list[tuple[str, str]]]) -> None:
    broken |= {"a": [("prices", "1"), ("stock", "2")], "b": [("stock", "2")]}
    alarms = by_source(None, held("a", "b"), models("a", "b"))  # type: ignore[arg-type]
    assert [alarm["key"] for alarm in alarms] == ["quarantine/prices", "quarantine/stock"]
    assert alarms[0]["happened"].endswith("1 model below its agreed performance waits for it: a.")
    assert alarms[1]["happened"].endswith("2 models below their agreed performance wait for it: a, b.")


def test_one_held_back_by_broken_features_is_told_by_itself(broken: dict[str, list[tuple[str, str]]]) -> None:
    """No partition is in quarantine: its data are broken in another way, which is its own."""
    broken |= {"a": [("prices", "1")]}
    own, of_source = by_source(None, held("b", "a"), models("a", "b"))  # type: ignore[arg-type]
    assert (own["key"], of_source["key"]) == ("performance/b", "quarantine/prices")
    assert WAITS_FOR_DATA not in own


def test_it_updates_the_incident_of_the_source_once_a_partition(
    broken: dict[str, list[tuple[str, str]]],
) -> None:
    first = Report("run-1", "Run 1 failed: price is text.", "It stopped there.", "Look.", "quarantine")
    state, sent = reported(State(), "quarantine/prices", first, NOW), list[int]()
    for count in (1, 3, 9, 10, 99, 100):
        names = [f"m{number}" for number in range(count)]
        broken |= {name: [("prices", "2026-03-03")] for name in names}
        (alarm,) = by_source(None, held(*names), models(*names))  # type: ignore[arg-type]
        parts = {name: alarm[name] for name in ("happened", "did", "do", "runbook", "severity")}
        before = state
        state = reported(replace(state), alarm["key"], Report(alarm["incident"], **parts), NOW)
        sent += [count] if state != before else []
    assert sent == [1]
    assert [incident.key for incident in state.open] == ["quarantine/prices"]
    assert state.open[0].severity == "page"
