"""What stands where in a home: landing, quarantine, status, and a decision that writes nothing."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.onboarding.projects.new_project import make
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.lake import Lake, file_hash
from mlops_assets.world.landed.intake import Intake
from mlops_assets.world.landed.partitions import Taken
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.record.record import Record
from mlops_assets.world.settings_files import read_settings

Mlops = Callable[..., Result]


def intake(home: Home, source: str) -> Intake:
    return Intake(lake=Lake(root=str(home.root)), source=read_settings(DEFS, SourceSettings)[source])


def put_into_quarantine(home: Home) -> None:
    """The 2nd of January as it landed, refused for its rows."""
    weather = intake(home, "weather")
    path = weather.landed()["2013-01-02"]
    stat = path.stat()
    entry = Taken(
        file=path.name,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        sha256=file_hash(path),
        status="quarantined",
        rows=2,
        reason="XXX is no airport of ours.",
        at="2013-01-03T06:00:00+00:00",
    )
    weather.record.put("2013-01-02", entry)


def test_land_says_what_landed_and_twice_is_once(mlops: Mlops, home: Home) -> None:
    landed = mlops("land", "flights", "--through", "2013-01-02")
    # 842 flights on the first day, as dplyr's vignette counts them, and 943 on the second.
    assert "flights: 1,785 rows, 2 new or changed files" in landed.stdout
    assert "airlines: 16 rows, 1 new or changed files" in landed.stdout
    again = mlops("land", "flights", "--through", "2013-01-02", "--from", "2013-01-02")
    assert "flights: 943 rows, 0 new or changed files" in again.stdout
    assert sorted(intake(home, "flights").landed()) == ["2013-01-01", "2013-01-02"]


def test_land_tells_what_it_cannot(mlops: Mlops) -> None:
    assert "the data run from 2013-01-01" in mlops("land", "flights", "--through", "2014-01-02").stderr
    assert "Known: flights;" in mlops("land", "trains", "--through", "2013-01-02").stderr


def test_quarantine_is_listed_and_released(mlops: Mlops, home: Home) -> None:
    assert mlops("quarantine", "list").stdout.strip() == "Nothing is in quarantine."
    mlops("land", "flights", "--through", "2013-01-02")
    put_into_quarantine(home)
    assert "XXX is no airport of ours." in mlops("quarantine", "list").stdout
    (found,) = json.loads(mlops("quarantine", "list", "--json").stdout)
    assert (found["source"], found["partition"], found["rows"]) == ("weather", "2013-01-02", 2)
    weather = intake(home, "weather")
    assert weather.pending() == ["2013-01-01"]
    released = mlops("quarantine", "release", "weather", "2013-01-02", "--reason", "a new airport")
    assert released.exit_code == 0
    assert weather.pending() == ["2013-01-01", "2013-01-02"]
    assert weather.taken()["2013-01-02"].reason == "a new airport (ada)"


def test_links_are_named_beside_what_is_in_quarantine(mlops: Mlops, home: Home, tmp_path: Path) -> None:
    mlops("land", "flights", "--through", "2013-01-02")
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    for name in ("weather_2013-01-03.csv", "weather_[red].csv", ".hidden.csv"):
        (home.landing / "weather" / name).symlink_to(secret)
    said = mlops("quarantine", "list").stdout
    assert said.startswith("Nothing is in quarantine.")
    assert "weather: weather_2013-01-03.csv, weather_[red].csv are links, and these are not followed (" in said
    assert said.strip().endswith("Put a copy of the file in its place.")
    put_into_quarantine(home)
    assert "weather_2013-01-03.csv" in mlops("quarantine", "list").stdout
    _, link = json.loads(mlops("quarantine", "list", "--json").stdout)
    assert (link["source"], link["partition"], link["folder"]) == ("weather", None, str(home.landing / "weather"))
    assert link["do"] == "Put a copy of the file in its place."


def test_releasing_what_is_not_there(mlops: Mlops, home: Home) -> None:
    failed = mlops("quarantine", "release", "weather", "2013-01-02", "--reason", "test")
    assert (failed.exit_code, "is not in quarantine" in failed.stderr) == (1, True)
    failed = mlops("quarantine", "release", "wetter", "2013-01-02", "--reason", "test")
    assert "Known: airlines, airports, card_confirmations, card_payments, flights, planes, weather." in failed.stderr


@pytest.fixture
def filled(mlops: Mlops, home: Home) -> Home:
    """Two days landed, one of them in quarantine, a pause, an alert of today and an old one."""
    logging.getLogger("mlops.alerts").setLevel(logging.ERROR)
    home.configure(HomeSettings(clock="data"))
    mlops("land", "flights", "--through", "2013-01-02")
    put_into_quarantine(home)
    mlops("pause", "flight_delay", "--reason", "the feed moves")
    alerts = Alerts(root=str(home.root))
    for key in ("stale-source/planes", "misnamed-file/flights", "stale-feature-view/views", "new", "old"):
        words = {"happened": f"{key} thing.", "did": f"It left {key} alone.", "do": "Look.", "runbook": "failed-run"}
        alerts.send(incident=key, key=key, **words)
    state = alerts.incidents.state()
    old = replace(state.incidents["old"], updated_at=datetime.now(UTC) - timedelta(days=8))
    alerts.incidents.change(lambda known: replace(known, incidents={**known.incidents, "old": old}))
    return home


def test_status_of_a_project_without_models_says_how_to_make_one(tmp_path: Path) -> None:
    """In a process of its own: each works on one project."""
    project = make("acme", tmp_path)
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "status"]
    at = {**os.environ, "MLOPS_PROJECT": str(project), "MLOPS_HOME": str(tmp_path / "home"), "COLUMNS": "100"}
    shown = subprocess.run(command, cwd=project, env=at, capture_output=True, text=True, check=True).stdout
    assert "No models yet. A table becomes the first: mlops new-model NAME --from TABLE.csv" in shown
    assert "Sources" not in shown, "an empty table says nothing"


def test_status_says_where_everything_stands(mlops: Mlops, filled: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    answered = mlops("status", "--json")
    assert answered.exit_code == 0, answered.output
    found = json.loads(answered.stdout)
    assert found["clock"] == {"kind": "data", "now": None, "until": None}
    assert found["up"] is None
    assert found["sources"]["flights"]["pending"] == ["2013-01-01", "2013-01-02"]
    assert found["sources"]["weather"]["quarantined"] == {"2013-01-02": "XXX is no airport of ours."}
    model = found["models"]["flight_delay"]
    assert (model["champion"], model["paused"], model["last_decision"]) == (
        None,
        "the feed moves (ada)",
        None,
    )
    # The states that were told do not last any more; what nothing closes is forgotten after a week.
    assert [(alert["about"], alert["did"]) for alert in found["alerts"]] == [("new", "It left new alone.")]
    assert (model["state"], model["fine"]) == ("paused", False)
    shown = mlops("status")
    assert shown.exit_code == 0
    assert "the feed moves (ada)" in shown.stdout
    assert "new thing." in shown.stdout
    assert "It left new alone." in shown.stdout
    assert max(len(line) for line in shown.stdout.splitlines()[3:]) <= 80


def test_status_says_how_many_hours_are_missed(mlops: Mlops, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    # By the clock of the data the newest source is what the others are behind: four days, 36 hours of them allowed.
    home.configure(HomeSettings(clock="data"))
    for name, day in (("flights", "2013-01-02"), ("weather", "2013-01-06")):
        held = intake(home, name)
        held.record.put(day, Taken(f"{name}.csv", 1, 1, "sha", "good"))
        held.raw_file(day).parent.mkdir(parents=True, exist_ok=True)
        held.raw_file(day).touch()
    found = json.loads(mlops("status", "--json").stdout)
    assert (found["sources"]["flights"]["lag_hours"], found["sources"]["flights"]["missed_hours"]) == (96, 60)
    assert (found["sources"]["weather"]["lag_hours"], found["sources"]["weather"]["missed_hours"]) == (0, 0)
    assert (found["views"]["feat_flight"]["lag_hours"], found["models"]["flight_delay"]["champion"]) == (48, None)
    shown = mlops("status").stdout
    assert "no: 60 h over 36h" in " ".join(shown.split())
    assert "feat_flight lacks 48 h that its sources have, from 2013-01-01 on." in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines()[3:]) <= 80


def test_a_link_that_has_landed_is_said_to_be_one(mlops: Mlops, home: Home) -> None:
    """Its name is right, and to rename it would change nothing."""
    folder = home.prepare().landing / "planes"
    folder.mkdir()
    (folder / "planes.csv").symlink_to("/nowhere/planes.csv")
    (folder / "aircraft.csv").write_text("x")
    said = " ".join(mlops("status").stdout.split())
    assert "planes: planes.csv is a link, and links are not followed. Put a copy of the file in its place." in said
    assert "planes: no partition claims 1 file: aircraft.csv. Rename to match planes*.csv (the partition's" in said
    found = json.loads(mlops("status", "--json").stdout)["sources"]["planes"]
    assert (found["unmatched_files"], len(found["unclaimed"])) == (["aircraft.csv", "planes.csv"], 2)


def test_a_dry_run_writes_nothing_and_says_what_is_missing(mlops: Mlops, filled: Home) -> None:
    before = Record(filled.ledger).entries("flight_delay")
    failed = mlops("decide", "flight_delay", "--dry-run")
    assert failed.exit_code == 1
    told = failed.stderr.replace("\n", " ")
    assert "flight_delay is paused: the feed moves (ada). Nothing can be decided yet. What has landed (" in told
    assert told.count("paused") == 1
    filled.configure(HomeSettings(clock="wall"))
    shown = mlops("decide", "flight_delay", "--dry-run")
    assert shown.exit_code == 0, (shown.stderr, shown.exception)
    said = shown.stdout
    assert "The model is paused: the feed moves (ada). mlops resume flight_delay --reason '...' ends that." in said
    assert "is still to be taken in; a decision on it follows." in said
    never = mlops("decide", "card_fraud", "--dry-run").stdout
    assert "a first model needs" in never
    assert f"Its data come first. Put files of card_payments into {filled.landing / 'card_payments'}." in never
    decided = json.loads(mlops("decide", "flight_delay", "--dry-run", "--json").stdout)
    assert (decided["action"], decided["rule"], decided["is_news"]) == ("wait", "paused", True)
    assert "the feed moves (ada)" in decided["reasons"][0]
    assert Record(filled.ledger).entries("flight_delay") == before
