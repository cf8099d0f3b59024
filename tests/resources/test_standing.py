"""Where everything stands: of each model whether it is fine, why, what comes next and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.evidence import CheckResult
from mlops_assets.core.training import FeatureColumn, Recipe, fit
from mlops_assets.resources.alerts import Alerts
from mlops_assets.resources.home import Home, HomeSettings
from mlops_assets.resources.platform import FITTED_UNTIL, Platform
from mlops_assets.resources.standing import standing
from tests.metrics_home import END, MODEL, WINDOW, _write

FAR = "2999-12-31T00:00:00+00:00"


@pytest.fixture
def platform(home: Home) -> Platform:
    """A home by the wall's clock with a champion that was fitted 31 days ago."""
    home.configure(HomeSettings(clock="wall"))
    platform = Platform.of(home)
    frame = pd.DataFrame({"x": np.random.default_rng(5).normal(size=200)})
    model = fit(Recipe("linear", "binary", {"C": 1.0}, 1, (FeatureColumn("x"),)), frame, (frame.x > 0).astype(int))
    registry = platform.registry
    run = registry.client.create_run(registry.client.create_experiment(MODEL)).info.run_id
    since = datetime.now(UTC) - timedelta(days=31)
    registry.register(MODEL, model, run_id=run, tags={FITTED_UNTIL: since.isoformat()})
    registry.promote(MODEL, 1, decision_id="d0", reason="the first")
    return platform


def judge(platform: Platform, *, passed: bool, kind: Any = "performance", name: str = "performance_holds") -> None:
    _write(platform, kind, CheckResult(name, kind, WINDOW, END, passed, 0.71, 0.68, f"It is {passed}."))


def note(platform: Platform, kind: str, **values: Any) -> None:
    platform.ledger.record.note(MODEL, kind, **values)


def decide(platform: Platform, action: str, rule: str, *, ago: timedelta = timedelta(hours=1), id: str = "d1") -> None:
    at = datetime.now(UTC) - ago
    note(platform, "decision", id=id, at=at, action=action, rule=rule, reasons=[f"Because of {rule}."])


def looked(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = standing(platform.home)["models"][MODEL]
    return found


def test_a_model_that_holds_is_fine_and_says_when_it_is_judged_next(platform: Platform) -> None:
    judge(platform, passed=True)
    judge(platform, passed=False, kind="drift", name="inputs_match_reference")
    decide(platform, "wait", "nothing")
    found = looked(platform)
    assert (found["state"], found["trouble"]) == ("fine", []), "drift alone has no consequence"
    assert found["champion"]["version"] == 1
    assert found["champion"]["age_days"] == 31.0
    assert found["last_decision"]["reasons"] == ["Because of nothing."]
    # Months are this model's windows: the next one closes at a midnight in New York, after now.
    closes = datetime.fromisoformat(found["next"].split("closes at ")[1][:16]).replace(tzinfo=UTC)
    local = closes.astimezone(platform.models()[MODEL].zone)
    assert (local.day, local.hour, closes > datetime.now(UTC)) == (1, 0, True)
    assert "its age asks for a retraining" in found["next"]


def test_what_is_not_fine_says_so_with_its_number(platform: Platform) -> None:
    judge(platform, passed=False)
    assert (looked(platform)["state"], looked(platform)["trouble"]) == ("not fine", ["It is False."])
    alert = {"did": "It went on.", "do": "Look.", "runbook": "serving-degraded"}
    Alerts(root=str(platform.home.root)).send(incident="a", key=f"serving/{MODEL}@champion", happened="Gone.", **alert)
    assert looked(platform)["trouble"] == ["It is False.", "Gone."]
    assert standing(platform.home)["alerts"][0]["did"] == "It went on."


def test_a_model_without_a_champion_waits_for_its_data(home: Home) -> None:
    home.configure(HomeSettings(clock="data"))
    found = standing(home)["models"][MODEL]
    assert (found["state"], found["trouble"]) == ("not fine", ["It has no champion yet: nothing is predicted."])
    assert "no good partition" in found["next"]


def test_what_holds_it_back_comes_first(platform: Platform) -> None:
    decide(platform, "retrain", "performance", ago=timedelta(days=2))
    assert "retrain by decision d1; then the gate says" in looked(platform)["next"]
    note(platform, "rejection", decision="d1", version=2, reason="no gain")
    ends = datetime.now(UTC) + timedelta(days=7 - 2)
    assert f"The cooldown of 7 days lasts until {ends:%Y-%m-%d}" in looked(platform)["next"]
    note(platform, "snooze", until=FAR, by="ada", reason="fair")
    assert "It is snoozed until 2999-12-31 00:00 UTC." in looked(platform)["next"]
    note(platform, "request", reason="new feature", by="ada")
    assert "The next tick decides on the request: new feature" in looked(platform)["next"]
    note(platform, "freeze", until=FAR, by="ada", reason="year-end")
    assert "before 2999-12-31 00:00 UTC (frozen)" in looked(platform)["next"]
    note(platform, "pause", by="ada", reason="the feed moves")
    found = looked(platform)
    assert (found["state"], found["next"]) == (
        "paused",
        f"Nothing, until somebody types: mlops resume {MODEL} --reason '...'",
    )


def test_a_record_that_cannot_be_read_hides_no_other_model(platform: Platform) -> None:
    note(platform, "pause", by="ada", reason="so that there is a record")
    file = platform.ledger.file(MODEL)
    file.write_text("{not whole\n")
    models = standing(platform.home)["models"]
    assert models[MODEL]["state"] == "not fine"
    assert "line 1: not a whole entry" in models[MODEL]["trouble"][0]
    assert models["arrival_delay"]["trouble"] == ["It has no champion yet: nothing is predicted."]
