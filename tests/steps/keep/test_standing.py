"""Where everything stands: of each model whether it is fine, why, what comes next and when."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.decide.evidence import CheckResult, Evidence
from mlops_assets.core.decide.history import History, Past
from mlops_assets.core.decide.policy import decide as core_decide
from mlops_assets.core.models.training import FeatureColumn, Recipe, fit
from mlops_assets.core.record.entries import Decision, Freeze, Pause, Promotion, Rejection, Request, Snooze
from mlops_assets.core.record.entry import Entry
from mlops_assets.steps.keep.standing import standing
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.landed.landed_files import WHOLE
from mlops_assets.world.landed.loaded_definitions import note_loaded
from mlops_assets.world.landed.partitions import Taken
from mlops_assets.world.platform import FITTED_UNTIL, Platform, fitted_until
from tests.metrics_home import END, MODEL, WINDOW, keep_check

FAR = "2999-12-31T00:00:00+00:00"
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
"""When a window ended that the champion has predicted."""


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
    take_in(platform)
    return platform


def take_in(platform: Platform, status: str = "good", day: str = "2013-05-01", only: str = "") -> None:
    """Every source of the model (or one) with a day in the lake, which the features were built from."""
    for source in platform.sources_of(platform.models()[MODEL]):
        intake = platform.sources.intakes()[source.name]
        if only in ("", source.name):
            partition = WHOLE if source.grain == "none" else day
            entry = Taken("a.csv", 1, 1, "sha", status, reason="Half of its rows are missing.")
            intake.record.put(partition, entry)
            if status == "good":
                intake.raw_file(partition).parent.mkdir(parents=True, exist_ok=True)
                intake.raw_file(partition).touch()
    platform.sources.mark_built(platform.sources.good(), None)


def land(platform: Platform, *days: str) -> None:
    for source in platform.sources_of(platform.models()[MODEL]):
        folder = platform.home.landing / source.name
        folder.mkdir(parents=True, exist_ok=True)
        for day in days:
            (folder / source.files.replace("{partition}", day).replace("*", "x")).touch()


def judge(
    platform: Platform,
    *,
    passed: bool,
    kind: Any = "performance",
    name: str = "performance_holds",
    end: datetime = TODAY,
) -> None:
    keep_check(platform, kind, CheckResult(name, kind, WINDOW, end, passed, 0.71, 0.68, f"It is {passed}."))


def note(platform: Platform, kind: type[Entry], **values: Any) -> None:
    platform.ledger.record.note(MODEL, kind, **values)


def decide(platform: Platform, action: str, rule: str, *, ago: timedelta = timedelta(hours=1), id: str = "d1") -> None:
    at = datetime.now(UTC) - ago
    note(platform, Decision, id=id, at=at, action=action, rule=rule, reasons=[f"Because of {rule}."])


def looked(platform: Platform) -> dict[str, Any]:
    found: dict[str, Any] = standing(platform.home)["models"][MODEL]
    return found


def test_a_model_that_holds_is_fine_and_says_when_it_is_judged_next(platform: Platform) -> None:
    judge(platform, passed=True)
    judge(platform, passed=False, kind="drift", name="inputs_match_reference")
    decide(platform, "wait", "nothing")
    found = looked(platform)
    assert (found["state"], found["trouble"]) == ("fine", []), "drift alone has no consequence"
    assert found["quality"] == (
        f"Its predictions hold in window {WINDOW}. Watched only: inputs_match_reference failed; values may move while "
        "predictions stay right."
    )
    assert found["champion"]["version"] == 1
    assert (found["champion"]["age_days"], found["champion"]["lag_hours"]) == (31.0, 31.0 * 24)
    assert found["last_decision"]["reasons"] == ["Because of nothing."]
    # Months are this model's windows: the next one closes at a midnight in New York, after now.
    closes = datetime.fromisoformat(found["next"].split("closes at ")[1][:16]).replace(tzinfo=UTC)
    local = closes.astimezone(platform.models()[MODEL].zone)
    assert (local.day, local.hour, closes > datetime.now(UTC)) == (1, 0, True)
    assert "its age asks for a retraining" in found["next"]


def test_lag_in_hours_is_a_number_of_each_source_and_view(platform: Platform) -> None:
    found = standing(platform.home)
    flights, airlines = found["sources"]["flights"], found["sources"]["airlines"]
    # New York's first of May ended at 04:00 UTC of the second.
    age = datetime.now(UTC) - datetime(2013, 5, 2, 4, tzinfo=UTC)
    assert flights["lag_hours"] == pytest.approx(age.total_seconds() / 3600, abs=0.2)
    assert (flights["lag_hours"] - flights["missed_hours"], flights["fresh_for"]) == (pytest.approx(36), "36h")
    assert "hours more than the 36h that are allowed" in flights["stale"]
    assert {airlines[key] for key in ("stale", "lag_hours", "missed_hours", "fresh_for")} == {None}
    # Nothing was built of the days from January 1 to May 1.
    assert found["views"]["feat_flight"] == {"lag_hours": 121 * 24.0, "lacks_from": date(2013, 1, 1)}


def age_told(platform: Platform) -> str:
    (told,) = re.findall(r"(?:On|Since) \d{4}-\d\d-\d\d its age asks for a retraining", looked(platform)["next"])
    return str(told)


@pytest.mark.parametrize("concluded", [True, False])
def test_age_is_told_as_the_rule_counts_it(concluded: bool, platform: Platform) -> None:
    """A training that was judged renews the term; one whose run never ended does not."""
    model = platform.models()[MODEL]
    policy, since = model.retrain_policy, fitted_until(platform.registry.champion(MODEL))
    assert policy.age_limit is not None
    assert since is not None
    decide(platform, "retrain", "age", ago=timedelta(days=20), id="old")
    if concluded:
        note(platform, Rejection, version=2, decision="old", reason="No better.")
    judge(platform, passed=True)
    retrained = [platform.ledger.entries(MODEL)[0].at] if concluded else []
    history = History(tuple(Past(at, "retrain", "f", "age") for at in retrained))
    due = max([since, *retrained]) + policy.age_limit
    seen = CheckResult("performance_holds", "performance", WINDOW, TODAY, True, 0.71, 0.68, "It is True.")
    evidence = Evidence(MODEL, WINDOW, (seen,), 1_000, champion_version="1", champion_since=since)
    before, after = (core_decide(evidence, policy, history, due + timedelta(minutes=by)) for by in (-1, 1))
    assert (before.rule, after.rule) == ("nothing", "age")
    if concluded:
        assert age_told(platform) == f"On {due:%Y-%m-%d} its age asks for a retraining"


def test_what_is_not_fine_says_so_with_its_number(platform: Platform) -> None:
    judge(platform, passed=False)
    assert (looked(platform)["state"], looked(platform)["trouble"]) == ("not fine", ["It is False."])
    alert = {"did": "It went on.", "do": "Look.", "runbook": "serving-degraded"}
    Alerts(root=str(platform.home.root)).send(incident="a", key=f"serving/{MODEL}@champion", happened="Gone.", **alert)
    assert looked(platform)["trouble"] == ["It is False.", "Gone."]
    assert standing(platform.home)["alerts"][0]["did"] == "It went on."


def test_a_window_of_an_earlier_version_says_nothing_of_the_champion(platform: Platform) -> None:
    judge(platform, passed=False, end=END)
    found = looked(platform)
    assert (found["state"], found["trouble"]) == ("fine", [])
    assert found["quality"] == "No window has been judged since version 1 was trained."


def test_a_model_without_a_champion_waits_for_its_data(home: Home) -> None:
    home.configure(HomeSettings(clock="data"))
    found = standing(home)["models"][MODEL]
    assert (found["state"], found["trouble"]) == ("not fine", ["It has no champion yet: nothing is predicted."])
    assert found["next"].startswith("Its data come first. flights and weather wait for planes. Put planes*.csv into ")
    home.configure(HomeSettings(clock="wall"))
    assert standing(home)["models"][MODEL]["next"] == found["next"], "that the clock moves brings no data"


def test_what_has_landed_is_taken_in_first(platform: Platform) -> None:
    land(platform, "2013-05-01", "2013-05-02", "2013-05-03")
    assert looked(platform)["next"] == (
        "What has landed (2013-05-01 to 2013-05-03) is still to be taken in; a decision on it follows."
    )


def test_a_model_that_what_runs_has_not_loaded_waits_for_that(platform: Platform) -> None:
    """A note of the landing sensor tells, while it is fresh: what starts later loads all that is declared."""
    land(platform, "2013-05-01", "2013-05-02", "2013-05-03")
    sources = [source.name for source in platform.sources_of(platform.models()[MODEL])]
    note_loaded(platform.home, sources=sources, models=[])
    found = looked(platform)["next"]
    assert found.startswith(
        f"Dagster has not loaded {MODEL} yet, and takes nothing in and decides nothing until it has."
    )
    assert found.endswith("(Deployment, Reload), or stop mlops up and start it again.")
    note_loaded(platform.home, sources=sources, models=[MODEL])
    assert "is still to be taken in; a decision on it follows." in looked(platform)["next"]
    note_loaded(platform.home, sources=sources, models=[])
    file = platform.home.root / "loaded.json"
    old = datetime.now(UTC) - timedelta(minutes=6)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"at": old.isoformat()}))
    assert "is still to be taken in; a decision on it follows." in looked(platform)["next"]


def test_before_the_first_decision_the_next_tick_decides(home: Home) -> None:
    home.configure(HomeSettings(clock="data"))
    platform = Platform.of(home)
    take_in(platform)
    assert looked(platform)["next"] == "The next tick decides on a first champion."
    decide(platform, "wait", "labels")
    assert "as soon as something of what it waits for (see Why) changes" in looked(platform)["next"]


def test_a_quarantine_comes_before_a_request_and_is_over_when_it_is_healed(platform: Platform) -> None:
    decide(platform, "wait", "nothing")
    take_in(platform, "quarantined", "2013-05-02", only="flights")
    alert = {"did": "It stopped.", "do": "Look.", "runbook": "quarantine", "happened": "flights is bad."}
    Alerts(root=str(platform.home.root)).send(incident="run-1", key="quarantine/flights", run="r", **alert)
    note(platform, Request, reason="new feature", by="ada")
    reason = "flights/2013-05-02 is in quarantine: Half."
    note(platform, Decision, id="d2", action="quarantine", rule="data", reasons=[reason])
    found = looked(platform)
    assert found["outdated"] is False
    assert found["next"].startswith("Nothing is decided while flights/2013-05-02 is in quarantine. Send a corrected")
    assert (
        "mlops quarantine release flights 2013-05-02 --reason '...' The request waits for that: new f" in found["next"]
    )
    assert [a["about"] for a in standing(platform.home)["alerts"]] == ["quarantine/flights"]
    take_in(platform, "good", "2013-05-02", only="flights")
    found = looked(platform)
    assert (found["outdated"], found["quarantined"]) == (True, [])
    assert found["next"].startswith("The next tick decides on the request: new feature")
    assert standing(platform.home)["alerts"] == []


def test_a_window_that_has_closed_is_judged_before_the_next_one_closes(platform: Platform) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=70)
    note(platform, Promotion, at=long_ago, decision="d0", version=1, reason="the first")
    decide(platform, "wait", "nothing")
    told = looked(platform)["next"]
    assert "has closed. Its last files are taken in; then it is judged" in told
    local = (datetime.now(UTC)).astimezone(platform.models()[MODEL].zone)
    month = local.replace(day=1) - timedelta(days=1)
    assert told.startswith(f"Window {month:%Y-%m} ")


def test_what_holds_it_back_comes_first(platform: Platform) -> None:
    decide(platform, "retrain", "performance", ago=timedelta(days=2))
    assert "retrain by decision d1; then the gate says" in looked(platform)["next"]
    note(platform, Rejection, decision="d1", version=2, reason="no gain")
    ends = datetime.now(UTC) + timedelta(days=7 - 2)
    assert f"The cooldown of 7 days lasts until {ends:%Y-%m-%d}" in looked(platform)["next"]
    note(platform, Snooze, until=FAR, by="ada", reason="fair")
    assert "It is snoozed until 2999-12-31 00:00 UTC." in looked(platform)["next"]
    note(platform, Request, reason="new feature", by="ada")
    assert "The next tick decides on the request: new feature" in looked(platform)["next"]
    note(platform, Pause, by="ada", reason="the feed moves")
    assert "The next tick decides on the request" in looked(platform)["next"], "a pause refuses no request"
    note(platform, Freeze, until=FAR, by="ada", reason="year-end")
    assert "before 2999-12-31 00:00 UTC (frozen). The request waits for that: new f" in looked(platform)["next"]
    note(platform, Decision, id="d3", action="retrain", rule="request", reasons=[])
    note(platform, Rejection, decision="d3", version=3, reason="no gain")
    found = looked(platform)
    assert (found["state"], found["next"]) == (
        "paused",
        f"Nothing, until somebody types: mlops resume {MODEL} --reason '...'",
    )


def test_a_record_that_cannot_be_read_hides_no_other_model(platform: Platform) -> None:
    note(platform, Pause, by="ada", reason="so that there is a record")
    file = platform.ledger.file(MODEL)
    file.write_text("{not whole\n")
    models = standing(platform.home)["models"]
    assert models[MODEL]["state"] == "not fine"
    assert "line 1: not a whole entry" in models[MODEL]["trouble"][0]
    assert models["arrival_delay"]["trouble"] == ["It has no champion yet: nothing is predicted."]
