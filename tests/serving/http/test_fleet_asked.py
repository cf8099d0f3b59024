"""A fleet asked by its own name: whose row it is, who answers and is logged, and members that come while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_assets.serving.app import build
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.world.home import Home
from mlops_assets.world.landed.fleet_values import add_values
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.platform import Platform
from tests.serving.conftest import EVENT, MODEL, features

FLEET, UNITED, DELTA = "carrier_delay", "carrier_delay_ua", "carrier_delay_dl"
KEYS = {"flight_id": "f0", "origin": "EWR", "route": "EWR-IAH", "tailnum": None, "dest": "IAH"}


def begin(home: Home, name: str, version: int) -> None:
    """A first champion: the same file as a version of the served home's model."""
    registry = Registry(home=str(home.root))
    shared = registry.share(name, registry.version(MODEL, version), tags={"pooled": version})
    registry.promote(name, shared.version, decision_id=f"pool-{name}", reason="a test")


@pytest.fixture
def client(home: Home) -> Iterator[TestClient]:
    add_values(home, FLEET, ["UA", "DL"], most=200)
    begin(home, FLEET, 1)
    begin(home, UNITED, 2)
    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits(), flush_seconds=1_000)) as made:
        yield made


def row(carrier: str | None, number: int = 1, **entities: Any) -> dict[str, Any]:
    keys = KEYS if carrier is None else {**KEYS, "carrier": carrier}
    return {"entities": {**keys, **entities}, "features": features(number), "event_timestamp": EVENT.isoformat()}


def ask(client: TestClient, *rows: dict[str, Any], model: str = FLEET, **options: Any) -> list[dict[str, Any]]:
    answer = client.post(f"/predict/{model}", json={"rows": list(rows)}, **options)
    assert answer.status_code == 200, answer.json()
    assert answer.json()["model"] == model
    return answer.json()["predictions"]


def until(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def who(predictions: list[dict[str, Any]]) -> list[str]:
    return [each.get("model", FLEET) for each in predictions]


@pytest.mark.parametrize("options", [{}, {"params": {"explain": "true"}}])
def test_each_row_is_answered_by_whose_it_is_in_the_order_of_the_request(
    client: TestClient, home: Home, options: dict[str, Any]
) -> None:
    carriers = ["UA", "DL", None, "UA", "ZZ"]
    rows = [row(carrier, number) for number, carrier in enumerate(carriers)]
    answers = ask(client, *rows, **options)
    # Delta is part of the pool, and nobody stands for ZZ.
    assert who(answers) == [UNITED, FLEET, FLEET, UNITED, FLEET]
    alone = [ask(client, each, model=name)[0]["score"] for each, name in zip(rows, who(answers), strict=True)]
    assert [each["score"] for each in answers] == alone
    pooled = ask(client, row("ZZ", 0))[0]["score"]
    assert alone[0] != pooled, "the member's version is another one"
    client.post("/admin/flush")
    lake = Platform.of(home).lake
    logged = {
        name: set(lake.read("predictions", name, name="online", columns=["prediction_id"])["prediction_id"])
        for name in (FLEET, UNITED)
    }
    assert all(each["id"] in logged[name] for each, name in zip(answers, who(answers), strict=True))


def test_a_wrong_row_is_named_by_its_place_in_the_request_and_nothing_is_logged(client: TestClient, home: Home) -> None:
    wrong = row("DL")
    wrong["features"]["nobody"] = 1
    answer = client.post(f"/predict/{FLEET}", json={"rows": [row("UA"), row("UA"), wrong]})
    assert (answer.status_code, answer.json()["detail"][0]["loc"][:2]) == (422, ["rows", 2])
    lacking = {"entities": {"carrier": "UA"}, "event_timestamp": EVENT.isoformat()}
    answer = client.post(f"/predict/{FLEET}", json={"rows": [row("DL"), lacking]})
    assert (answer.status_code, answer.json()["detail"][0]["loc"][:2]) == (422, ["rows", 1])
    assert client.post("/admin/flush").json() == {"moved": 0}


def test_the_open_protocol_says_which_model_answered_each_row(client: TestClient) -> None:
    kinds = {str: "BYTES", float: "FP64", int: "FP64"}
    each = [{**KEYS, "carrier": carrier, "tailnum": "N1", **features()} for carrier in ("DL", "UA")]
    inputs = [
        {"name": name, "shape": [2], "datatype": kinds[type(value)], "data": [one_of[name] for one_of in each]}
        for name, value in each[0].items()
    ]
    answer = client.post(f"/v2/models/{FLEET}/infer", json={"inputs": inputs}).json()
    assert answer["parameters"]["models"] == [FLEET, UNITED]


def test_a_member_that_cannot_be_loaded_leaves_its_rows_to_the_pool(client: TestClient, home: Home) -> None:
    registry = Registry(home=str(home.root))
    shared = registry.share(DELTA, registry.version(MODEL, 2), tags={"pooled": 2})
    registry.tag(DELTA, shared.version, {"sha256": "0" * 64})
    registry.client.set_registered_model_alias(DELTA, "champion", str(shared.version))
    client.post("/admin/reload")
    assert who(ask(client, row("DL"), row("UA"))) == [FLEET, UNITED]
    answer = client.post(f"/predict/{DELTA}", json={"rows": [row("DL")]})
    assert (answer.status_code, "restore it from a backup" in answer.json()["error"]) == (503, True)
    ready = client.get("/readyz").json()
    assert (ready["status"], DELTA in ready["without_champion"]) == ("degraded", True)
    assert ready["models"] == {FLEET: {"champion": 1}, UNITED: {"champion": 1}, MODEL: {"champion": 1}}


def test_a_member_that_data_bring_is_known_without_a_restart(client: TestClient, home: Home) -> None:
    assert client.post("/predict/carrier_delay_b6", json={"rows": [row("B6")]}).status_code == 404
    assert who(ask(client, row("B6"))) == [FLEET]
    add_values(home, FLEET, ["B6"], most=200)
    until(lambda: "carrier_delay_b6" in client.get("/readyz").json()["without_champion"])
    answer = client.post("/predict/carrier_delay_b6", json={"rows": [row("B6")]})
    assert (answer.status_code, f"ask {FLEET} with the same row" in answer.json()["error"]) == (503, True)
    begin(home, "carrier_delay_b6", 2)
    until(lambda: who(ask(client, row("B6"))) == ["carrier_delay_b6"])


def test_who_answered_is_counted_under_its_own_name(client: TestClient) -> None:
    ask(client, row("UA"), row("DL"))
    text = client.get("/metrics").text
    for name in (FLEET, UNITED):
        assert f'mlops_requests_total{{arm="champion",code="200",model="{name}",version="1"}} 1.0' in text
