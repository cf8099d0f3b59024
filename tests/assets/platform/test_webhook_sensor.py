"""Webhooks on real HTTP: signed, in order, once; a receiver that refuses or hangs loses nothing and holds up nobody."""

from __future__ import annotations

import errno
import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.assets.platform.webhook_sensor import PATIENCE, webhook_sensor
from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.record.entries import Decision, Promotion, Rejection, Request, Rollback
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.watch.windows.summaries import WindowSummary, folder_of, write_summary
from mlops_assets.world.alerts import webhooks as webhooks_module
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.webhooks import Webhooks
from mlops_assets.world.home import Home, HomeSettings
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.record import Record
from tests.hook_receiver import SECRET, HookReceiver, receiving_hooks

MODEL, OTHER = "flight_delay", "card_fraud"
NOW = datetime(2013, 5, 1, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[HookReceiver]:
    with receiving_hooks() as here:
        yield here


@pytest.fixture
def home(tmp_path: Path, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("MLOPS_WEBHOOK_URLS", receiver.url)
    monkeypatch.setenv("MLOPS_WEBHOOK_SECRET", SECRET)
    home = Home(tmp_path / "home")
    decide(home, "d0")
    told(home)  # What lies before the first round is nobody's news.
    return home


def told(home: Home) -> str:
    resources = {"platform": Platform.of(home), "alerts": Alerts(root=str(home.root))}
    with dg.build_sensor_context(resources=resources) as context:
        skipped = webhook_sensor(context)
    assert isinstance(skipped, dg.SkipReason)
    return str(skipped.skip_message)


def decide(home: Home, id: str, model: str = MODEL) -> None:
    decision = Decision(id=id, model=model, at=NOW, action="wait", rule="nothing", reasons=("All is well.",))
    Record(home.ledger).append(model, decision)


def drifted(home: Home, end: datetime, *, passed: bool = False) -> None:
    window = Window(end - timedelta(days=7), end)
    check = CheckResult("inputs_match_reference", "drift", "w", end, passed, 0.4, 0.05, "12 of 28 features.")
    parts = {"window": "w", "start": window.start, "end": end, "state": "s", "version": 1, "rows": 10}
    summary = WindowSummary(**parts, checks=(check,))
    write_summary(folder_of(Platform.of(home).lake, MODEL, "drift", window), summary)


def test_what_happens_is_told_in_order_signed_and_once(home: Home, receiver: HookReceiver) -> None:
    record = Record(home.ledger)
    decide(home, "d1")
    record.note(MODEL, Request, reason="is nobody's business outside", by="ada")
    record.note(MODEL, Promotion, version=2, decision="d1", reason="It is better.")
    record.note(MODEL, Rejection, version=3, decision="d1", reason="It is no better.")
    record.note(MODEL, Rollback, version=1, decision="d1", reason="It was worse.", by="ada")
    drifted(home, NOW)
    drifted(home, NOW + timedelta(days=7), passed=True)
    assert told(home) == f"{receiver.host} took 5 events"
    # A decision comes after the drift that it rests on.
    assert receiver.kinds == ["mlops.drift", "mlops.decision", "mlops.promotion", "mlops.rejection", "mlops.rollback"]
    drift, first, second, *_ = receiver.taken
    assert (first["source"], first["specversion"], first["data"]["reasons"]) == (
        f"mlops/{MODEL}",
        "1.0",
        ["All is well."],
    )
    assert second["data"] == {"model": MODEL, "version": 2, "decision": "d1", "reason": "It is better."}
    assert (drift["data"]["check"], drift["data"]["value"], drift["data"]["limit"]) == (
        "inputs_match_reference",
        0.4,
        0.05,
    )
    assert len(set(receiver.ids)) == 5
    assert told(home) == f"{receiver.host} took 0 events"
    assert "secret-in-the-address" not in "".join(path.read_text() for path in (home.root / "webhooks").iterdir())


def test_a_receiver_that_refuses_loses_nothing_and_a_person_is_told(
    home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(home, "d1")
    decide(home, "d2", OTHER)
    receiver.status = 503
    assert "took 0 events, and has taken none since" in told(home)
    assert Alerts(root=str(home.root)).incidents.state().open == ()
    (state,) = (home.root / "webhooks").iterdir()
    waited = json.loads(state.read_text())
    since = datetime.fromisoformat(waited["refusing"]) - PATIENCE - timedelta(minutes=1)
    state.write_text(json.dumps({**waited, "refusing": since.isoformat()}))
    told(home)
    (incident,) = Alerts(root=str(home.root)).incidents.state().open
    assert f"{receiver.host} has taken no event since" in incident.report.happened
    assert "it answered 503" in incident.report.happened
    assert "secret" not in incident.report.happened
    receiver.status = 200
    assert told(home) == f"{receiver.host} took 2 events"
    assert sorted(event["data"]["decision"] for event in receiver.taken) == ["d1", "d2"]
    assert Alerts(root=str(home.root)).incidents.state().open == ()


def test_a_receiver_that_hangs_holds_up_no_other(
    home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks_module, "ANSWER_SECONDS", 2.0)
    slow = receiver.url.replace("/hook", "/slow")
    # A port that takes connections and never answers.
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        patch.setenv("MLOPS_WEBHOOK_URLS", f"{hanging}, {slow}")
        told(home)
        decide(home, "d1")
        said = told(home)
    assert "has taken none since" in said
    assert "it did not answer within 2 seconds" in said
    assert said.endswith(f"{receiver.host} took 1 event")
    assert receiver.kinds == ["mlops.decision"]


def test_a_receiver_that_is_not_there_is_told_with_the_cause(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        monkeypatch.setenv("MLOPS_WEBHOOK_URLS", f"http://127.0.0.1:{gone.getsockname()[1]}/hook?token=secret")
    told(home)
    decide(home, "d1")
    assert f"(ConnectError: [Errno {errno.ECONNREFUSED}]" in (said := told(home))
    assert "secret" not in said


def test_a_receiver_that_never_ends_its_answer_is_not_listened_to(home: Home, receiver: HookReceiver) -> None:
    receiver.talks_on = True
    decide(home, "d1")
    assert told(home) == f"{receiver.host} took 1 event"
    receiver.talks_on = False


def test_a_receiver_that_never_ends_its_headers_has_not_answered(
    home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each of its bytes comes sooner than the limit; httpx's own would begin anew with each.
    monkeypatch.setattr(webhooks_module, "ANSWER_SECONDS", 0.5)
    receiver.drips = True
    decide(home, "d1")
    assert "took 0 events" in (said := told(home))
    assert "it did not answer within 0.5 seconds" in said
    receiver.drips = False
    assert told(home) == f"{receiver.host} took 1 event"


def test_who_comes_first_leaves_the_others_their_time(
    home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks_module, "ROUND_SECONDS", 0.0)
    second = receiver.url.replace("/hook", "/second")
    monkeypatch.setenv("MLOPS_WEBHOOK_URLS", f"{receiver.url} {second}")
    told(home)
    decide(home, "d1")
    decide(home, "d2")
    assert told(home) == ". ".join([f"{receiver.host} took 1 event"] * 2)
    assert told(home) == ". ".join([f"{receiver.host} took 1 event"] * 2)
    assert [event["data"]["decision"] for event in receiver.taken] == ["d1", "d1", "d2", "d2"]


def test_killed_between_sending_and_writing_it_sends_the_same_event_again(
    home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(home, "d1")
    with monkeypatch.context() as patch:
        patch.setattr(Webhooks, "_write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            told(home)
    told(home)
    assert receiver.kinds == ["mlops.decision"] * 2
    assert len(set(receiver.ids)) == 1


def test_a_damaged_record_hides_no_other_model(home: Home, receiver: HookReceiver) -> None:
    decide(home, "d1", OTHER)
    (home.ledger / f"{MODEL}.jsonl").write_text("[1]\n")
    assert told(home) == f"{receiver.host} took 1 event"


def test_only_the_kinds_that_are_asked_for(home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_WEBHOOK_EVENTS", "promotion, drift")
    decide(home, "d1")
    Record(home.ledger).note(MODEL, Promotion, version=2, decision="d1", reason="It is better.")
    told(home)
    assert receiver.kinds == ["mlops.promotion"]


@pytest.mark.parametrize(
    ("variable", "value", "why"),
    [
        ("MLOPS_WEBHOOK_URLS", "ftp://host/x", "Webhook 1 in MLOPS_WEBHOOK_URLS is no address"),
        ("MLOPS_WEBHOOK_URLS", "example.com/hook", "Webhook 1 in MLOPS_WEBHOOK_URLS is no address"),
        ("MLOPS_WEBHOOK_SECRET", "", "MLOPS_WEBHOOK_SECRET signs no webhook: set it to 24 random bytes"),
        ("MLOPS_WEBHOOK_SECRET", "é", "MLOPS_WEBHOOK_SECRET signs no webhook"),
        ("MLOPS_WEBHOOK_SECRET", "correct horse battery staple, twice", "MLOPS_WEBHOOK_SECRET signs no webhook"),
        ("MLOPS_WEBHOOK_SECRET", b64encode(bytes(23)).decode(), "set it to 24 random bytes or more in base64"),
        ("MLOPS_WEBHOOK_EVENTS", "promotions", "has no event 'promotions': name some of decision, promotion"),
    ],
)
def test_what_is_set_wrong_is_told_and_nothing_is_sent(
    home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, why: str
) -> None:
    monkeypatch.setenv(variable, value)
    decide(home, "d1")
    assert why in told(home)
    assert receiver.taken == []


def test_a_replay_tells_nobody(home: Home, receiver: HookReceiver) -> None:
    home.configure(HomeSettings(landing="/nowhere"))
    decide(home, "d1")
    assert told(home) == "A replay tells nobody."


def test_a_model_of_which_nothing_is_new_is_not_read(
    home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    drifted(home, NOW)
    decide(home, "d1", OTHER)
    told(home)
    read: list[str] = []
    damage = Record.damage
    monkeypatch.setattr(Record, "damage", lambda self, model: (read.append(model), damage(self, model))[1])
    told(home)
    assert read == []
    decide(home, "d2", OTHER)
    told(home)
    drifted(home, NOW + timedelta(days=7))
    told(home)
    assert read == [OTHER, MODEL]
    assert receiver.kinds == ["mlops.decision", "mlops.drift", "mlops.decision", "mlops.drift"]


def test_what_a_damaged_record_holds_is_told_when_it_is_restored(home: Home, receiver: HookReceiver) -> None:
    decide(home, "d1")
    file = home.ledger / f"{MODEL}.jsonl"
    whole = file.read_bytes()
    file.write_text("[1]\n")
    told(home)
    file.write_bytes(whole)
    assert told(home) == f"{receiver.host} took 1 event"


def test_what_is_passed_over_does_not_set_back_since_when_a_receiver_refuses(
    home: Home, receiver: HookReceiver
) -> None:
    receiver.status = 503
    decide(home, "d1", OTHER)
    told(home)
    (state,) = (home.root / "webhooks").iterdir()
    since = json.loads(state.read_text())["refusing"]
    assert sorted([MODEL, OTHER])[0] == OTHER
    Record(home.ledger).note(OTHER, Request, reason="is nobody's business outside", by="ada")
    drifted(home, NOW, passed=True)
    told(home)
    assert json.loads(state.read_text())["refusing"] == since
