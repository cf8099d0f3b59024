"""What follows when drift begins and ends: once, whatever is restarted, removed, frozen or hangs meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from mlops_assets.core.record.entries import Freeze, Request, only
from mlops_assets.core.record.incidents import Incident
from mlops_assets.serving.app import build
from mlops_assets.serving.drift import profiles as profiles_module
from mlops_assets.serving.drift import reactions as reactions_module
from mlops_assets.serving.drift.checks import KEPT_CHECKS, MOST_WAITING, Checks, DriftCheck
from mlops_assets.serving.drift.metrics import DriftSeen
from mlops_assets.serving.drift.profiles import NoProfile, Profiles, Replaced
from mlops_assets.serving.drift.reactions import TOLD_AFTER, Reactions
from mlops_assets.serving.engine.prometheus_counts import exposition
from mlops_assets.serving.http.keys import Keys, new_key
from mlops_assets.serving.http.limits import Limits
from mlops_assets.world.alerts import webhooks as webhooks_module
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.record import Record
from tests.hook_receiver import SECRET, HookReceiver, receiving_hooks
from tests.real_slice import working_in

MODEL = "flight_delay"
DRIFT_KEY, DRIFT_LINE = new_key("science", ["drift"])
BOTH_KEY, BOTH_LINE = new_key("ops", ["drift", "retrain"])
REFERENCE = [{"age": float(n % 100), "country": "IE" if n % 3 else "FR"} for n in range(1_000)]
SAME, MOVED = REFERENCE, [{**row, "age": row["age"] + 60} for row in REFERENCE]
"""`MOVED`: 60 of 100 equal bins lie beyond the reference's last, so PSI is far over 0.2."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[HookReceiver]:
    monkeypatch.setenv("MLOPS_WEBHOOK_HOSTS", "hooks.example, 127.0.0.1")
    monkeypatch.setenv("MLOPS_WEBHOOK_SECRET", SECRET)
    with receiving_hooks() as here:
        yield here


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with working_in(Home(tmp_path / "home")) as home:
        yield home.prepare()


def client_of(home: Home) -> TestClient:
    """A service that has just begun; not entered, so a test makes the rounds itself."""
    keys = Keys.read({"MLOPS_API_KEYS": f"{DRIFT_LINE};{BOTH_LINE}"})
    return TestClient(build(Platform.of(home), keys=keys, limits=Limits()), headers={"X-API-Key": BOTH_KEY})


@pytest.fixture
def client(home: Home, receiver: HookReceiver) -> TestClient:
    return client_of(home)


def rounds(home: Home) -> Reactions:
    platform = Platform.of(home)
    return Reactions(Profiles(home, platform.lake), platform, Alerts(root=str(home.root)))


def register(client: TestClient, **values: Any) -> Any:
    answer = client.post("/drift/profiles", json={"name": "shop", "rows": REFERENCE, **values})
    assert answer.status_code == 201, answer.json()
    return answer


def held(client: TestClient, rows: list[dict[str, Any]]) -> Any:
    answer = client.post("/drift/shop", json={"rows": rows})
    assert answer.status_code == 200, answer.json()
    return answer.json()


def history(client: TestClient) -> Any:
    return client.get("/drift/shop/checks").json()


def incidents(home: Home) -> dict[str, Incident]:
    return dict(Alerts(root=str(home.root)).incidents.state().incidents)


def titles(home: Home) -> list[str]:
    return [message.title for message in Alerts(root=str(home.root)).incidents.state().outbox]


def requests(home: Home) -> list[Request]:
    return only(Record(home.ledger).entries(MODEL), Request)


def test_drift_is_told_posted_and_asked_for_once_until_it_is_over(
    client: TestClient, home: Home, receiver: HookReceiver
) -> None:
    register(client, webhook=receiver.url, model=MODEL)
    reacting = rounds(home)
    assert held(client, SAME)["drifting_since"] is None
    reacting.round()
    assert (titles(home), receiver.taken, requests(home)) == ([], [], [])
    since = held(client, MOVED)["drifting_since"]
    assert history(client)["waiting"] == {"alert": "", "webhook": "", "retrain": ""}
    for _ in range(3):
        reacting.round()
        assert held(client, MOVED)["drifting_since"] == since
    assert titles(home) == ["drift-profile/shop"]
    (asked,) = requests(home)
    assert (asked.by, asked.reason.startswith("The data have drifted: 1 of 2 features has drifted")) == (
        "drift profile shop",
        True,
    )
    assert client.get(f"/events/{history(client)['request']}").json()["id"] == asked.id
    (posted,) = receiver.taken
    assert (posted["type"], posted["source"]) == ("mlops.drift", "mlops/drift/shop")
    assert (posted["data"]["profile"], posted["data"]["drift"]) == ("shop", True)
    report = incidents(home)["drift-profile/shop"].report
    assert "127.0.0.1 is told. A training of flight_delay is asked for." in report.did
    assert held(client, SAME)["drifting_since"] is None
    reacting.round()
    assert titles(home)[1:] == ["All clear: drift-profile/shop"]
    assert [event["data"]["drift"] for event in receiver.taken] == [True, False]
    assert len(requests(home)) == 1
    held(client, MOVED)
    reacting.round()
    assert (len(titles(home)), len(receiver.taken), len(set(receiver.ids))) == (3, 3, 3)
    assert len(requests(home)) == 1, "the first request still waits, and answers the second drift too"


def test_history_metrics_and_what_waits_outlive_a_restart(home: Home, client: TestClient) -> None:
    register(client, model=MODEL)
    held(client, SAME)
    held(client, MOVED)
    again = client_of(home)
    told = history(again)
    assert [check["drift"] for check in told["checks"]] == [True, False]
    assert (told["counts"], told["drifting_since"]) == ({"no_drift": 1, "drift": 1}, told["checks"][0]["at"])
    assert [check["drift"] for check in again.get("/drift/shop/checks?limit=1").json()["checks"]] == [True]
    assert again.get("/drift/profiles").json() == [
        {
            "name": "shop",
            "drifting_since": told["drifting_since"],
            "checks": told["counts"],
            "checked_at": told["drifting_since"],
            "problem": None,
        }
    ]
    text = again.get("/metrics").text
    assert 'mlops_drift_profile_checks_total{profile="shop",result="drift"} 1.0' in text
    assert 'mlops_drift_profile_drifting{profile="shop"} 1.0' in text
    assert 'mlops_drift_profile_share{profile="shop"} 0.5' in text
    held(again, MOVED)
    rounds(home).round()
    assert (titles(home), len(requests(home))) == (["drift-profile/shop"], 1)


def test_no_more_references_than_have_series(client: TestClient, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles_module, "MOST_PROFILES", 1)
    register(client)
    register(client)
    answer = client.post("/drift/profiles", json={"name": "other", "rows": REFERENCE})
    assert (answer.status_code, "remove one first (DELETE /drift/profiles/NAME)" in answer.json()["error"]) == (
        422,
        True,
    )
    assert client.delete("/drift/profiles/shop").status_code == 204
    assert client.post("/drift/profiles", json={"name": "other", "rows": REFERENCE}).status_code == 201
    seen = DriftSeen(Profiles(home, Platform.of(home).lake))
    assert b'profile="shop"' not in exposition(seen)


REFUSED: dict[str, tuple[dict[str, Any], str, int, str]] = {
    "unknown model": ({"model": "nobody"}, BOTH_KEY, 422, "there is no model 'nobody'; known: "),
    "no scope": ({"model": MODEL}, DRIFT_KEY, 403, "the key science lacks the scope retrain"),
    "unknown preset": ({"preset": "strict"}, BOTH_KEY, 422, "not what is expected"),
    "no address": ({"webhook": "shop"}, BOTH_KEY, 422, "write https://HOST/PATH"),
    "broken address": ({"webhook": "https://[::1/"}, BOTH_KEY, 422, "write https://HOST/PATH"),
    "no port": ({"webhook": "https://hooks.example:99999/"}, BOTH_KEY, 422, "write https://HOST/PATH"),
    "another host": ({"webhook": "http://169.254.169.254/"}, BOTH_KEY, 422, "not among those of MLOPS_WEBHOOK_HOSTS"),
    "file": ({"webhook": "file:///etc/passwd"}, BOTH_KEY, 422, "write https://HOST/PATH"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_registration_that_cannot_be_had_says_why(client: TestClient, name: str) -> None:
    values, key, status, why = REFUSED[name]
    body = {"name": "shop", "rows": REFERENCE, **values}
    answer = client.post("/drift/profiles", json=body, headers={"X-API-Key": key})
    assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.json()
    assert client.get("/drift/profiles").json() == []


def test_a_webhook_needs_a_secret_to_sign_with(client: TestClient, monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.delenv("MLOPS_WEBHOOK_SECRET")
    body = {"name": "shop", "rows": REFERENCE, "webhook": "https://hooks.example/x"}
    answer = client_of(home).post("/drift/profiles", json=body)
    assert (answer.status_code, "MLOPS_WEBHOOK_SECRET signs no webhook" in answer.json()["error"]) == (422, True)


def test_a_key_for_drift_alone_holds_batches_against_what_another_registered(client: TestClient, home: Home) -> None:
    register(client, model=MODEL)
    answer = client.post("/drift/shop", json={"rows": MOVED}, headers={"X-API-Key": DRIFT_KEY})
    assert answer.status_code == 200
    rounds(home).round()
    assert len(requests(home)) == 1


def test_a_receiver_that_hangs_holds_up_nothing_else_and_loses_nothing(
    client: TestClient, home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks_module, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(reactions_module, "_AGAIN", 0.0)
    receiver.seconds, receiver.status = 0.6, 500
    register(client, webhook=receiver.url, model=MODEL)
    client.post("/drift/profiles", json={"name": "other", "rows": REFERENCE, "webhook": receiver.url})
    held(client, MOVED)
    client.post("/drift/other", json={"rows": MOVED})
    reacting = rounds(home)
    reacting.round()
    assert (sorted(titles(home)), len(requests(home))) == (["drift-profile/other", "drift-profile/shop"], 1)
    assert "did not answer within" in client.get("/drift/other/checks").json()["waiting"]["webhook"]
    assert history(client)["waiting"] == {"webhook": "its receiver takes nothing"}
    held(client, SAME)
    receiver.seconds, receiver.status = 0.0, 204
    reacting.round()
    assert [(e["data"]["profile"], e["data"]["drift"]) for e in receiver.taken] == [
        ("other", True),
        ("shop", True),
        ("shop", False),
    ]
    assert history(client)["waiting"] == {}


def test_what_a_receiver_does_not_take_is_told_after_an_hour_and_given_up_after_a_day(
    client: TestClient, home: Home, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactions_module, "_AGAIN", 0.0)
    receiver.status = 503
    register(client, webhook=receiver.url)
    held(client, MOVED)
    reacting, key = rounds(home), "drift-reaction/shop.webhook"
    reacting.round()
    assert key not in incidents(home)
    age(home, TOLD_AFTER)
    reacting.round()
    assert "it answered 503" in incidents(home)[key].report.happened
    age(home, timedelta(days=1))
    reacting.round()
    assert (incidents(home)[key].is_open, history(client)["waiting"]) == (False, {})


def age(home: Home, by: timedelta) -> None:
    """Let what waits have waited for longer."""
    from msgspec.structs import replace as changed

    def older(checks: Checks) -> Checks:
        return changed(checks, waiting=tuple(changed(n, at=n.at - by - timedelta(minutes=1)) for n in checks.waiting))

    Profiles(home, Platform.of(home).lake).change("shop", older)


def test_a_frozen_model_is_asked_for_once_it_may_be_and_not_after_the_drift(
    client: TestClient, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reactions_module, "_AGAIN", 0.0)
    monkeypatch.setattr(Platform, "now", lambda *_: datetime(2013, 5, 1, tzinfo=UTC))
    until = datetime(2013, 6, 1, tzinfo=UTC)
    Record(home.ledger).note(MODEL, Freeze, until=until, reason="peak season", by="ada")
    register(client, model=MODEL)
    held(client, MOVED)
    reacting = rounds(home)
    reacting.round()
    assert (requests(home), "peak season" in history(client)["waiting"]["retrain"]) == ([], True)
    held(client, SAME)
    assert "retrain" not in history(client)["waiting"]
    held(client, MOVED)
    monkeypatch.setattr(Platform, "now", lambda *_: until)
    reacting.round()
    assert len(requests(home)) == 1


def test_a_model_that_is_declared_no_more_is_said(
    client: TestClient, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(client, model=MODEL)
    held(client, MOVED)
    monkeypatch.setattr(Platform, "models", lambda _: {})
    rounds(home).round()
    assert history(client)["waiting"] == {"retrain": "there is no model flight_delay any more"}


def test_what_breaks_at_one_reference_keeps_no_other_from_what_follows(
    client: TestClient, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(client)
    client.post("/drift/profiles", json={"name": "other", "rows": REFERENCE})
    held(client, MOVED)
    client.post("/drift/other", json={"rows": MOVED})
    send = Alerts.send

    def breaking(self: Alerts, **values: Any) -> bool:
        if values["key"] == "drift-profile/other":
            raise RuntimeError("nobody thought of this")
        return send(self, **values)

    monkeypatch.setattr(Alerts, "send", breaking)
    assert rounds(home).round() > 0, "the thread goes on"
    assert titles(home) == ["drift-profile/shop"]
    assert client.get("/drift/other/checks").json()["waiting"] == {"alert": ""}


def test_a_reference_that_is_removed_leaves_nothing_but_the_all_clear(
    client: TestClient, home: Home, receiver: HookReceiver
) -> None:
    register(client, webhook=receiver.url, model=MODEL)
    held(client, MOVED)
    rounds(home).round()
    assert client.delete("/drift/profiles/shop").status_code == 204
    assert {client.get(path).status_code for path in ("/drift/shop", "/drift/shop/checks")} == {404}
    assert client.delete("/drift/profiles/shop").status_code == 404
    reacting = rounds(home)
    reacting.round()
    reacting.round()
    assert titles(home) == ["drift-profile/shop", "All clear: drift-profile/shop"]
    assert len(receiver.taken) == 1
    assert [file.name for file in (home.root / "serving" / "drift").glob("*.json")] == []


def test_another_reference_ends_the_drift_and_keeps_the_history(client: TestClient, home: Home) -> None:
    register(client, model=MODEL)
    held(client, MOVED)
    register(client)
    rounds(home).round()
    assert (titles(home), requests(home)) == (["drift-profile/shop", "All clear: drift-profile/shop"], [])
    held(client, SAME)
    assert len({check["reference"] for check in history(client)["checks"]}) == 2


@pytest.mark.parametrize("removed", [True, False])
def test_a_batch_that_is_in_flight_while_its_reference_goes(
    home: Home, client: TestClient, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    register(client)
    profiles = Profiles(home, Platform.of(home).lake)
    judge = profiles_module.drift_verdict

    def meanwhile(*values: Any) -> Any:
        assert client.delete("/drift/profiles/shop").status_code == 204
        if not removed:
            register(client)
        return judge(*values)

    monkeypatch.setattr(profiles_module, "drift_verdict", meanwhile)
    error, why = (NoProfile, "was removed while") if removed else (Replaced, "send the batch again")
    with pytest.raises(error, match=why):
        profiles.judge("shop", pd.DataFrame(MOVED))
    assert profiles.checks("shop") == Checks()
    assert not (home.root / "serving" / "drift" / "shop.report.json").exists()


def test_a_damaged_history_is_named_and_keeps_no_other_from_its_alert(client: TestClient, home: Home) -> None:
    register(client)
    client.post("/drift/profiles", json={"name": "other", "rows": REFERENCE})
    held(client, MOVED)
    client.post("/drift/other", json={"rows": MOVED})
    (home.root / "serving" / "drift" / "other.checks.json").write_text("{")
    listed = {each["name"]: each["problem"] for each in client.get("/drift/profiles").json()}
    assert listed["shop"] is None
    assert listed["other"].startswith("its history cannot be read: the service's log")
    rounds(home).round()
    assert titles(home) == ["drift-profile/shop"]
    assert b'profile="shop"' in exposition(DriftSeen(Profiles(home, Platform.of(home).lake)))
    with pytest.raises(ValueError, match=r"other.checks.json cannot be read .* delete it: the history"):
        Profiles(home, Platform.of(home).lake).checks("other")


def test_what_is_remembered_is_bounded_and_what_it_came_to_is_counted() -> None:
    at, checks = datetime(2026, 1, 1, tzinfo=UTC), Checks()
    for number in range(KEPT_CHECKS + 10):
        drift = number % 2 == 0
        check = DriftCheck(at + timedelta(hours=number), "r", 10, drift, 1.0 * drift, (), "It is so.")
        checks = checks.checked(check, ["alert", "webhook", "retrain"])
    assert (len(checks.checks), checks.checks[-1].at) == (KEPT_CHECKS, at + timedelta(hours=KEPT_CHECKS + 9))
    assert checks.counts == {"drift": (KEPT_CHECKS + 10) // 2, "no_drift": (KEPT_CHECKS + 10) // 2}
    assert len(checks.waiting) == MOST_WAITING
    assert "retrain" not in {notice.action for notice in checks.waiting}, "the drift is over"


def test_a_batch_that_cannot_be_judged_ends_no_drift() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    drifted = Checks().checked(DriftCheck(at, "r", 10, True, 1.0, (), ""), ["alert"])
    unjudged = drifted.checked(DriftCheck(at, "r", 3, None, None, (), ""), ["alert"])
    assert (unjudged.drifting, unjudged.waiting) == (at, drifted.waiting)
    assert unjudged.counts == {"drift": 1, "unjudged": 1}
