"""Events over HTTP: plain JSON and CloudEvents, keys and their scope, answers that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.core.record.entries import Request, only
from mlops_assets.serving.app import build
from mlops_assets.serving.http.keys import Keys, new_key
from mlops_assets.serving.http.limits import Limits
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.record import Record
from tests.real_slice import working_in

MODEL = "flight_delay"
KEY, LINE = new_key("ci", ["retrain"])
OTHER, OTHER_LINE = new_key("shop", ["predict"])
ASKED = {"model": MODEL, "reason": "a new tariff"}
CLOUD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "a-1",
    "source": "/tariffs",
    "type": "tariff.changed",
    "data": ASKED,
}
BINARY = {f"ce-{name}": CLOUD[name] for name in ("specversion", "id", "source", "type")}
CLOUD_TYPE = {"Content-Type": "application/cloudevents+json"}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with working_in(Home(tmp_path / "home")) as home:
        yield home.prepare()


@pytest.fixture
def client(home: Home) -> TestClient:
    keys = Keys.read({"MLOPS_API_KEYS": f"{LINE};{OTHER_LINE}"})
    # Not entered: no thread of the service is needed for the record.
    return TestClient(build(Platform.of(home), keys=keys, limits=Limits()), headers={"X-API-Key": KEY})


def requests(home: Home) -> list[Request]:
    return only(Record(home.ledger).entries(MODEL), Request)


def test_an_event_is_put_on_record_and_followed(client: TestClient, home: Home) -> None:
    answer = client.post("/events/retrain", json={**ASKED, "parameters": {"trials": 3}})
    assert answer.status_code == 202
    told = answer.json()
    assert answer.headers["Location"] == f"/events/{told['id']}"
    assert (told["by"], told["state"], told["decision"], told["run"]) == ("key ci", "waiting", None, None)
    assert client.get(answer.headers["Location"]).json() == told
    (entry,) = requests(home)
    assert (entry.id, entry.by, entry.reason, entry.parameters) == (told["id"], "key ci", "a new tariff", {"trials": 3})
    again = client.post("/events/retrain", json={**ASKED, "reason": "another event"})
    assert (again.status_code, again.json()["id"]) == (200, told["id"])


def test_a_cloud_event_is_one_by_its_source_and_id(client: TestClient, home: Home) -> None:
    first = client.post("/events/retrain", content=json.dumps(CLOUD), headers=CLOUD_TYPE)
    assert first.status_code == 202
    again = client.post("/events/retrain", json=ASKED, headers=BINARY)
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])
    assert len(requests(home)) == 1


def test_an_idempotency_key_is_of_its_caller(client: TestClient, home: Home) -> None:
    headers = {"Idempotency-Key": "order 7"}
    first = client.post("/events/retrain", json=ASKED, headers=headers)
    assert first.json()["id"].startswith("request-")
    assert client.post("/events/retrain", json=ASKED, headers=headers).status_code == 200
    for body in ({"reason": "else"}, {"parameters": {"trials": 3}}, {"force": True}):
        other = client.post("/events/retrain", json={**ASKED, **body}, headers=headers)
        assert (other.status_code, "was used for another request" in other.json()["error"]) == (409, True), body


def test_a_storm_from_many_callers_is_one_request(client: TestClient, home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        post = lambda number: client.post("/events/retrain", json={**ASKED, "reason": f"event {number}"})  # noqa: E731
        answers = list(pool.map(post, range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [202]
    assert len({answer.json()["id"] for answer in answers}) == len(requests(home)) == 1


REFUSED: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "no model": ({**ASKED, "model": "nobody"}, {}, 404, "there is no model 'nobody'; known: "),
    "no reason": ({"model": MODEL, "reason": ""}, {}, 422, "not what is expected"),
    "unknown field": ({**ASKED, "priority": 1}, {}, 422, "not what is expected"),
    "parameter": ({**ASKED, "parameters": {"trails": 3}}, {}, 422, "trails: is no field; use fields of training:"),
    "no CloudEvent": ({"specversion": "1.0"}, CLOUD_TYPE, 400, "the body is no CloudEvent 1.0"),
    "a list": ([1], CLOUD_TYPE, 400, "the body is no CloudEvent 1.0"),
    "another version": ({**CLOUD, "specversion": "9"}, CLOUD_TYPE, 400, "the body is no CloudEvent 1.0"),
    "without data": ({**CLOUD, "data": None}, CLOUD_TYPE, 422, "not what is expected"),
    "without an id": ({key: CLOUD[key] for key in CLOUD if key != "id"}, CLOUD_TYPE, 400, "1.0: it has no id"),
    "nor a version": ({"data": ASKED}, CLOUD_TYPE, 400, "it has no specversion and no id and no source and no type"),
    "binary without an id": (ASKED, {**BINARY, "ce-id": ""}, 400, "the body is no CloudEvent 1.0"),
    "binary without a version": (
        ASKED,
        {"ce-id": "1", "ce-source": "/a", "ce-type": "b"},
        400,
        "it has no specversion",
    ),
    "a batch": ([CLOUD], {"Content-Type": "application/cloudevents-batch+json"}, 415, "send each by itself"),
    "a blank reason": ({**ASKED, "reason": " \n"}, {}, 422, "not what is expected"),
    "no JSON": ("{", {"Content-Type": "application/json"}, 400, "the body is no JSON"),
    "a form": ("model=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
    "no key": (ASKED, {"X-API-Key": "nothing"}, 401, "send an API key"),
    "no scope": (ASKED, {"X-API-Key": OTHER}, 403, "the key shop lacks the scope retrain"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_taken_says_why_and_writes_nothing(client: TestClient, home: Home, name: str) -> None:
    body, headers, status, why = REFUSED[name]
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/events/retrain", content=content, headers={"Content-Type": "application/json", **headers})
    assert (answer.status_code, why in answer.json()["error"]) == (status, True), answer.json()
    assert not (home.ledger / f"{MODEL}.jsonl").exists()


def test_an_event_that_is_not_on_record(client: TestClient) -> None:
    answer = client.get("/events/request-none")
    assert (answer.status_code, "no event 'request-none' is on record" in answer.json()["error"]) == (404, True)
