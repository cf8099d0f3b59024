"""A person's word on record, and the record shown: decisions, retrain, pause, resume."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from msgspec import structs
from typer.testing import Result

from mlops_assets.commands import running
from mlops_assets.core.decide.policy import Decision, Evidence, History, RetrainPolicy, decide
from mlops_assets.core.record.entries import Pause, Promotion, Request
from mlops_assets.world.atomic import write_text
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.landed.partitions import Taken, TakenRecord
from mlops_assets.world.record.record import Record

Mlops = Callable[..., Result]


def made(model: str = "flight_delay") -> Decision:
    evidence = Evidence(model=model, window=None, matured_labels=1000)
    return decide(evidence, RetrainPolicy(), History(), datetime(2013, 4, 1, tzinfo=UTC))


def test_nothing_decided_yet(mlops: Mlops) -> None:
    shown = mlops("record", "show", "flight_delay")
    assert (shown.exit_code, shown.stdout.strip()) == (
        0,
        "Nothing has been decided about flight_delay in this home yet.",
    )


def test_decisions_shows_time_what_rule_and_reason(mlops: Mlops, home: Home) -> None:
    record = Record(home.ledger)
    decision = made()
    record.append("flight_delay", decision)
    at = datetime(2013, 4, 1, 1, tzinfo=UTC)
    record.note("flight_delay", Promotion, at=at, version=3, reason="It is better [by 0.02].")
    shown = mlops("record", "show", "flight_delay").stdout
    assert "2013-04-01 00:00" in shown
    assert "first_model" in shown
    assert "There is no champion yet." in shown
    assert "promotion of version 3" in shown
    assert "It is better [by 0.02]." in shown


def test_decisions_say_where_two_clocks_are_at_work(mlops: Mlops, home: Home) -> None:
    Record(home.ledger).append("flight_delay", made())
    assert "data's clock" not in mlops("record", "show", "flight_delay").stdout
    home.configure(HomeSettings(clock="data"))
    assert "by the data's clock, what people said by the wall's" in mlops("record", "show", "flight_delay").stdout


def test_decisions_as_json_is_the_record_and_limit_keeps_the_newest(mlops: Mlops, home: Home) -> None:
    record = Record(home.ledger)
    for number in range(3):
        record.note("flight_delay", Request, id=f"r{number}", reason="test", by="ada")
    entries = json.loads(mlops("record", "show", "flight_delay", "--limit", "2", "--json").stdout)
    assert [entry["id"] for entry in entries] == ["r1", "r2"]


@pytest.mark.parametrize("command", ["why", "decide", "retrain", "pause", "resume"])
def test_an_unknown_model_names_the_known_ones(mlops: Mlops, home: Home, command: str) -> None:
    reason = ["--reason", "test"] if command in ("retrain", "pause", "resume") else []
    failed = mlops(command, "flights_delay", *reason)
    assert failed.exit_code == 1
    assert failed.stderr.strip() == (
        "Error: There is no model 'flights_delay'. Known: arrival_delay, card_fraud, carrier_delay, flight_delay."
    )
    assert not home.ledger.exists()


def test_pause_and_resume_are_on_record_with_who_and_why(mlops: Mlops, home: Home) -> None:
    assert mlops("pause", "flight_delay", "--reason", "the feed moves").exit_code == 0
    assert Record(home.ledger).paused("flight_delay") == "the feed moves (ada)"
    assert mlops("resume", "flight_delay", "--reason", "it is back").exit_code == 0
    assert Record(home.ledger).paused("flight_delay") is None


def test_resuming_what_is_not_paused_writes_nothing(mlops: Mlops, home: Home) -> None:
    failed = mlops("resume", "flight_delay", "--reason", "why not")
    assert failed.exit_code == 1
    assert "flight_delay is not paused" in failed.stderr
    assert Record(home.ledger).entries("flight_delay") == []


def test_an_empty_reason_is_none(mlops: Mlops, home: Home) -> None:
    assert mlops("retrain", "flight_delay", "--reason", " ").exit_code == 1
    assert Record(home.ledger).entries("flight_delay") == []


def test_retrain_puts_a_request_on_record_and_says_who_starts_it(mlops: Mlops, home: Home) -> None:
    asked = mlops("retrain", "flight_delay", "--reason", "a new feature")
    assert asked.exit_code == 0
    assert "`mlops up` is not running" in asked.stdout
    assert "--now" in asked.stdout
    assert "a new feature" in (Record(home.ledger).open_request("flight_delay") or "")


def test_retrain_leaves_the_start_to_a_running_sensor(mlops: Mlops, home: Home) -> None:
    with running.claimed(home, dagster="http://127.0.0.1:3000", mlflow="http://127.0.0.1:5000"):
        asked = mlops("retrain", "flight_delay", "--reason", "a new feature", "--now")
    assert (
        "The retrain sensor starts it within a minute, or says what it waits for: http://127.0.0.1:3000" in asked.stdout
    )


def test_a_request_stays_open_until_a_decision_answers_it(home: Home) -> None:
    record = Record(home.ledger)
    record.note("flight_delay", Request, reason="a new feature", by="ada")
    record.append("flight_delay", structs.replace(made(), action="wait", id="waits"))
    assert record.open_request("flight_delay") is not None
    record.append("flight_delay", made())
    assert record.open_request("flight_delay") is None


def test_a_record_that_was_edited_is_told_in_one_line(mlops: Mlops, home: Home) -> None:
    home.ledger.mkdir(parents=True)
    Record(home.ledger).file("flight_delay").write_text('{"kind": \n{}\n')
    failed = mlops("record", "show", "flight_delay")
    assert failed.exit_code == 1
    assert "line 1: not a whole entry. Restore the file from a backup" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_traceback_on_demand(mlops: Mlops, home: Home) -> None:
    failed = mlops("--traceback", "record", "show", "nothing")
    assert isinstance(failed.exception, ValueError)


def test_the_home_option_goes_before_the_environment(mlops: Mlops, home: Home) -> None:
    other = home.root.parent / "other"
    mlops("--home", str(other), "pause", "flight_delay", "--reason", "test")
    assert Record(Home(other).ledger).paused("flight_delay") is not None
    assert Record(home.ledger).paused("flight_delay") is None


def test_decide_in_earnest_is_refused(mlops: Mlops, home: Home) -> None:
    refused = mlops("decide", "flight_delay")
    assert refused.exit_code == 1
    assert "--dry-run" in refused.stderr
    assert not home.ledger.exists()


def test_one_damaged_source_hides_no_other(mlops: Mlops, home: Home) -> None:
    for source, content in (("weather", '{"x": '), ("card_payments", '{"2013-01-01": {"file": 1}}')):
        write_text(home.lake / "raw" / source / "_taken.json", content)
    bad = Taken("flights_2013-01.parquet", 9, 0, "0" * 64, "quarantined", 3, "its hours are odd", "2026-01-01T00:00")
    TakenRecord(home, "flights").put("2013-01-01", bad)
    found = json.loads(mlops("status", "--json").stdout)
    assert found["damaged_sources"].keys() == {"weather", "card_payments"}
    assert list(found["sources"]["flights"]["quarantined"]) == ["2013-01-01"]
    troubles = {name: " ".join(model["trouble"]) for name, model in found["models"].items()}
    assert "raw/card_payments/_taken.json cannot be read" in troubles["card_fraud"]
    assert "raw/weather/_taken.json cannot be read" in troubles["flight_delay"]
    listed = mlops("quarantine", "list")
    assert listed.exit_code == 1
    assert "its hours are odd" in " ".join(listed.stdout.split())
    assert "Restore it from a backup" in listed.stderr


@pytest.mark.parametrize(
    "line",
    [b"[1]", b"[" * 100_000, b'{"id": "x", "kind": "x", "a": "\\ud800"}', b"\xff\xfe", b'{"id": "x", "kind": [1]}'],
)
def test_one_damaged_record_hides_no_other(mlops: Mlops, home: Home, line: bytes) -> None:
    record, damaged, sound = Record(home.ledger), "arrival_delay", "flight_delay"
    for model in (damaged, sound):
        record.note(model, Pause, reason="the feed moves", by="ada")
    whole = record.file(damaged).read_bytes()
    record.file(damaged).write_bytes(line + b"\n" + whole)
    verified = mlops("ledger", "verify")
    assert verified.exit_code == 1
    assert f"{damaged}: line 1: it is not a whole entry" in verified.stdout
    assert f"{sound}: 1 entry, whole" in verified.stdout
    found = json.loads(mlops("status", "--json").stdout)["models"]
    assert f"{damaged}.jsonl, line 1" in found[damaged]["damaged_record"]
    assert (found[sound]["damaged_record"], found[sound]["paused"]) == (None, "the feed moves (ada)")
    assert found[damaged].keys() == found[sound].keys()
    shown = mlops("status")
    assert shown.exit_code == 0
    assert f"{damaged}: not fine" in shown.stdout
    assert "from a backup" in " ".join(shown.stdout.split())
    for model, code in ((damaged, 1), (sound, 0)):
        asked = mlops("decisions", model)
        assert asked.exit_code == code
        assert ("from a backup" in asked.stderr) == (model == damaged)
    assert mlops("pause", damaged, "--reason", "its record is damaged").exit_code == 0
    assert b"its record is damaged" in record.file(damaged).read_bytes()


@pytest.mark.parametrize(("name", "field"), [("incidents.json", "unread_alerts"), ("lake/_built.json", "models")])
def test_a_damaged_file_hides_only_what_needs_it(mlops: Mlops, home: Home, name: str, field: str) -> None:
    write_text(home.prepare().root / name, '"x"')
    Record(home.ledger).note("flight_delay", Pause, reason="the feed moves", by="ada")
    shown = mlops("status")
    assert shown.exit_code == 0
    assert "Restore it from a backup" in " ".join(shown.stdout.split())
    found = json.loads(mlops("status", "--json").stdout)
    assert f"{name} cannot be read (Expected `object`, got `str`)" in json.dumps(found[field])
    assert found["models"]["flight_delay"]["paused"] == "the feed moves (ada)"


@pytest.mark.parametrize(
    "content", [b"[1]\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"a": "\\ud800"}\n', b'{"a": 1}\n']
)
@pytest.mark.parametrize(
    ("name", "asks"), [("incidents.json", ["alerts", "list"]), ("lake/raw/flights/_taken.json", ["quarantine", "list"])]
)
def test_a_damaged_file_of_the_platform_is_a_sentence(
    mlops: Mlops, home: Home, name: str, asks: list[str], content: bytes
) -> None:
    file = home.prepare().root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    failed = mlops(*asks)
    assert failed.exit_code == 1
    assert isinstance(failed.exception, SystemExit)
    assert str(file) in "".join(failed.stderr.split("\n"))
    assert "from a backup" in failed.stderr
    file.unlink()
    assert mlops(*asks).exit_code == 0
