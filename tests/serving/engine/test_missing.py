"""Keys of which the online store knows little or nothing: refused, or answered and marked, as the model's YAML says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient

from mlops_assets.core.settings_sections import ServingSpec
from mlops_assets.serving.app import build
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.serving.conftest import MODEL, VIEWS, features

KNOWN = {"flight_id": "f0", "carrier": "UA"}
PART = {"flight_id": "f0", "carrier": "nobody"}
NOTHING = ({"flight_id": "nobody", "carrier": "nobody"}, {"flight_id": "nobody", "carrier": None})
OF_FLIGHT = {name: value for name, value in features().items() if name.startswith(VIEWS[0])}
Service = Callable[[str], TestClient]


@pytest.fixture
def service(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service of the model with this `serving.on_missing`."""
    declared = Platform.of(home).models()[MODEL]
    with ExitStack() as stack:

        def build_it(on_missing: str) -> TestClient:
            spec = ServingSpec.model_validate({"on_missing": on_missing})
            model = declared.model_copy(update={"serving": spec})
            monkeypatch.setattr(Platform, "models", lambda self: {MODEL: model})
            app = build(Platform.of(home), keys=Keys(), limits=Limits())
            return stack.enter_context(TestClient(app, base_url="http://127.0.0.1"))

        yield build_it


def ask(client: TestClient, *rows: dict[str, Any]) -> Any:
    return client.post(f"/predict/{MODEL}", json={"rows": list(rows)})


def degraded(client: TestClient) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("mlops_degraded_answers_total{"))


def test_by_default_an_answer_says_what_it_lacks_and_nothing_known_is_refused(service: Service) -> None:
    client = service(ServingSpec().on_missing)
    whole, part = ask(client, {"entities": KNOWN}, {"entities": PART}).json()["predictions"]
    assert "degraded" not in whole
    assert (part["degraded"], part["missing_views"]) == (True, ["feat_carrier_history"])
    assert part["feature_times"]["feat_carrier_history"] is None
    assert degraded(client) == 1.0
    for keys in NOTHING:
        refused = ask(client, {"entities": KNOWN}, {"entities": keys})
        assert refused.status_code == 422
        (problem,) = refused.json()["detail"]
        assert problem["loc"] == ["rows", 1, "entities"]
        assert "the online store has nothing in feat_" in problem["msg"]
        assert "flight_id='nobody'" in problem["msg"]
        assert "send these views' features" in problem["msg"]
    # What the request brings is not looked up, and tells nothing of keys that nobody knows.
    assert ask(client, {"entities": NOTHING[0], "features": OF_FLIGHT}).status_code == 422
    assert "degraded" not in ask(client, {"features": features()}).json()["predictions"][0]
    assert degraded(client) == 1.0


def test_one_missing_view_can_be_enough_to_refuse(service: Service) -> None:
    client = service("refuse")
    assert ask(client, {"entities": KNOWN}).status_code == 200
    refused = ask(client, {"entities": PART})
    assert refused.status_code == 422
    assert "nothing in feat_carrier_history for carrier='nobody'" in refused.json()["error"]
    assert degraded(client) == 0.0


def test_it_can_answer_all_the_same(service: Service) -> None:
    client = service("allow")
    (answer,) = ask(client, {"entities": NOTHING[0]}).json()["predictions"]
    assert answer["feature_times"] == dict.fromkeys(VIEWS)
    assert "degraded" not in answer
    assert degraded(client) == 1.0, "counted anyway"


def test_the_open_protocol_says_it_of_each_row(service: Service) -> None:
    client = service("warn")

    def infer(carriers: list[str]) -> Any:
        columns = {"flight_id": ["f0"] * len(carriers), "carrier": carriers}
        inputs = [{"name": n, "shape": [len(v)], "datatype": "BYTES", "data": v} for n, v in columns.items()]
        return client.post(f"/v2/models/{MODEL}/infer", json={"inputs": inputs}).json()["parameters"]

    told = infer(["UA", "nobody"])
    assert (told["degraded"], told["missing_views"]) == ([False, True], [[], ["feat_carrier_history"]])
    assert "degraded" not in infer(["UA"])
