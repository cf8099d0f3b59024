"""`mlops why`: one decision in one screen, now or at the end of a day; commands to type stay in the same home."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from mlops_assets.cli import app
from mlops_assets.commands.console import say_table
from mlops_assets.core.decide.policy import CheckResult, Evidence, History, RetrainPolicy, decide
from mlops_assets.core.record.entries import OutcomeFound, Promotion, Rejection, Request
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record
from mlops_assets.world.record.replayed import EndedReplay, note_ended

Mlops = Callable[..., Result]
MODEL = "flight_delay"
NOW = datetime(2013, 6, 1, 4, 0, tzinfo=UTC)


def put(home: Home, days: int, *, passed: bool, **evidence: Any) -> str:
    """A decision of so many days after `NOW`, on a window in which one check passed or failed."""
    at = NOW + timedelta(days=days)
    window = f"2013-06-{days + 1:02d}"
    sentence = "roc_auc 0.71 keeps the limit of 0.68 " + "on and on " * 40
    check = CheckResult("performance_holds", "performance", window, at, passed, 0.71, 0.68, sentence)
    known = Evidence(
        model=MODEL,
        window=window,
        checks=(check,),
        matured_labels=500,
        labels_at_fit=9_000,
        champion_version="1",
        champion_since=NOW - timedelta(days=20),
        **evidence,
    )
    decision = decide(known, RetrainPolicy(), History.of(()), at)
    Record(home.ledger).append(MODEL, decision)
    return decision.id


@pytest.fixture
def lived(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A champion, a quiet day, and a day whose failure led to a training that the gate rejected."""
    monkeypatch.setenv("COLUMNS", "80")
    note = Record(home.ledger).note
    note(MODEL, Promotion, at=NOW - timedelta(days=20), version=1, decision="d0", reason="the first")
    put(home, 0, passed=True)
    acted = put(home, 3, passed=False, request="new feature")
    note(MODEL, Rejection, at=NOW + timedelta(days=3), version=2, decision=acted, reason="no sure gain")
    return home


def test_the_newest_decision_with_what_came_of_it_fits_a_screen(mlops: Mlops, lived: Home) -> None:
    shown = mlops("why", MODEL)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    assert lines[0] == f"{MODEL}: retrain (rule: request), at 2013-06-04 04:00 UTC"
    text = " ".join(shown.stdout.split())
    assert "Champion version 1, since 2013-05-12 04:00 UTC" in text
    assert "performance_holds failed in 2013-06-04" in text
    assert "Since 2013-06-04 04:00 rejection of version 2: no sure gain" in text
    assert len(lines) <= 24
    assert max(map(len, lines[:-1])) <= 80


def test_what_became_of_a_request_is_told_until_another_training_follows(mlops: Mlops, home: Home) -> None:
    def told(command: str, *arguments: str) -> str:
        return " ".join(mlops(command, *arguments).stdout.split())

    note = Record(home.ledger).note
    put(home, 0, passed=True)
    assert "Asked" not in told("why", MODEL) + told("status")
    asked = "Asked 2026-05-04 10:00 UTC by ada (new feature): "
    note(MODEL, Request, at=datetime(2026, 5, 4, 10, 0, tzinfo=UTC), by="ada", reason="new feature.")
    for command in (("why", MODEL), ("status",)):
        assert f"{asked}it waits." in told(*command)
    acted = put(home, 1, passed=True, request="new feature")
    assert f"{asked}its training has not been judged yet (decision {acted[:8]})." in told("why", MODEL)
    note(MODEL, Rejection, at=NOW + timedelta(days=1), version=2, decision=acted, reason="no sure gain.")
    put(home, 2, passed=True)
    for command in (("why", MODEL), ("status",)):
        assert f"{asked}version 2 was rejected, because no sure gain." in told(*command)
    assert "it waits" not in told("why", MODEL, "2013-06-03")
    put(home, 5, passed=False)
    assert "Asked" not in told("why", MODEL) + told("status")


@pytest.mark.parametrize("day", ["2013-06-01", "2013-06-03", "2013-06-01T04:00"])
def test_a_day_is_seen_as_it_ended(mlops: Mlops, lived: Home, day: str) -> None:
    assert f"{MODEL}: no retraining" in mlops("why", MODEL, day).stdout
    assert json.loads(mlops("why", MODEL, day, "--json").stdout)["decision"]["action"] == "wait"


def test_what_came_of_a_decision_later_than_the_day_is_not_told_of_the_day(mlops: Mlops, lived: Home) -> None:
    acted = json.loads(mlops("why", MODEL, "--json").stdout)["decision"]["id"]
    late = {"version": 2, "promotion": "p", "decision": acted, "reason": "kept"}
    Record(lived.ledger).note(MODEL, OutcomeFound, at=NOW + timedelta(days=40), result="as promised", **late)
    assert "rejection of version 2" in mlops("why", MODEL, "2013-06-04").stdout
    assert "outcome" not in mlops("why", MODEL, "2013-06-04").stdout
    assert "outcome" in mlops("why", MODEL).stdout


def test_before_the_first_decision_there_is_none(mlops: Mlops, lived: Home) -> None:
    assert (
        "Nothing has been decided about flight_delay before 2013-05-02 00:00 UTC."
        in mlops("why", MODEL, "2013-05-01").stdout
    )
    assert mlops("why", MODEL, "someday").exit_code == 1
    assert "There is no model" in mlops("why", "trains").stderr


def test_commands_to_type_stay_in_the_home_that_was_typed(lived: Home) -> None:
    typed = CliRunner().invoke(app, ["--home", str(lived.root), "why", MODEL]).stdout
    assert f"mlops --home {lived.root} record show {MODEL}" in typed.replace("\n", "")
    by_environment = CliRunner().invoke(app, ["why", MODEL]).stdout
    assert f"mlops record show {MODEL}" in by_environment


@pytest.mark.parametrize("count", [1, 3, 6, 12])
@pytest.mark.parametrize("words", [1, 12])
def test_a_table_fits_the_screen_and_breaks_no_word(
    count: int, words: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit beside each other is told below each other."""
    monkeypatch.setenv("COLUMNS", "80")
    cells = [" ".join([f"predictions{number}"] * words) for number in range(count)]
    say_table("Title", [f"heading{number}" for number in range(count)], [cells])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for number in range(count):
        assert shown.count(f"predictions{number}") >= words


def test_a_replay_that_has_ended_is_named_by_why_and_status(mlops: Mlops, home: Home) -> None:
    for day, headline in ((1, "An older one."), (2, "Not retrained.")):
        where = Home(home.replays / f"{MODEL}-{day}")
        at = NOW + timedelta(days=day)
        note_ended(where, EndedReplay(MODEL, date(2013, 4, 1), date(2013, 6, 1), at, headline, "reports/replay.html"))
    told = "2013-04-01 to 2013-06-01, ended 2013-06-03 04:00 UTC: Not retrained. Page: reports/replay.html"
    for command in (("why", MODEL), ("status",)):
        shown = " ".join(mlops(*command).output.split())
        assert told in shown and "An older one." not in shown
    replayed = json.loads(mlops("status", "--json").output)["replayed"]
    assert (list(replayed), replayed[MODEL]["told"]) == ([MODEL], told)
    assert json.loads(mlops("why", MODEL, "--json").output) == {"model": MODEL, "decision": None}
