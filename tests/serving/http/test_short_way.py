"""The way of nearly all requests: it says, logs and counts what the whole application would."""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from mlops_assets.core.models.families import one_row
from mlops_assets.serving.app import build
from mlops_assets.serving.engine.arms import verified
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.steps.keep.metric_names import BY_NAME
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.platform import Platform
from tests.real_slice import copy_home, working_in
from tests.serving.conftest import EVENT, MODEL, features, make_model

NUMBER = "feat_flight__distance_miles"
CARRIER = "feat_flight__flight_carrier"
KEYS = {"flight_id": "f0", "carrier": "UA"}
THEN = {"event_timestamp": EVENT.isoformat()}


@pytest.fixture(scope="module")
def shared(served_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with working_in(Home(tmp_path_factory.mktemp("hot") / "home")) as home:
        copy_home(served_home, home.root)
        for file in served_home.feast.glob("online.db*"):
            (home.feast / file.name).write_bytes(file.read_bytes())
        yield home


@pytest.fixture(scope="module")
def client(shared: Home) -> Iterator[TestClient]:
    """The whole service; nothing moves its log away."""
    built = build(Platform.of(shared), keys=Keys(), limits=Limits(rows=20), flush_seconds=1_000)
    with TestClient(built, raise_server_exceptions=False) as made:
        yield made


def logged(home: Home) -> list[dict[str, Any]]:
    """What the spool has, without what no two answers share; columns that are empty are left out."""
    lines = [line for path in sorted((home.root / "serving" / "spool").glob("*/*.jsonl")) for line in path.open("rb")]
    own = ("prediction_id", "predicted_at")
    return [{k: v for k, v in json.loads(line).items() if k not in own and v is not None} for line in lines]


def told(answer: Any) -> Any:
    """An answer without ids."""
    body = answer.json()
    for each in body.get("predictions", ()):
        assert each.pop("id")
    for each in body.get("outputs", ()):
        each["data"] = None if each["name"] == "prediction_id" else each["data"]
    return answer.status_code, body


def infer(*names: str, **changes: Any) -> dict[str, Any]:
    """Two rows by the protocol."""
    rows = [features(seed) for seed in (3, 4)]
    inputs = [
        {
            "name": name,
            "shape": [2],
            "datatype": "BYTES" if type(rows[0][name]) is str else "FP64",
            "data": [row[name] for row in rows],
            "parameters": {"content_type": "pd"},
        }
        for name in rows[0]
    ]
    inputs.append({"name": "event_timestamp", "shape": [2, 1], "datatype": "BYTES", "data": [EVENT.isoformat()] * 2})
    return {"id": "42", "inputs": inputs, "outputs": [{"name": name} for name in names], **changes}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("predict", {"rows": [{"features": features(), **THEN}]}),
        ("predict", {"rows": [{"features": {**features(), NUMBER: None}, "entities": KEYS, **THEN}]}),
        ("predict", {"rows": [{"features": {**features(), CARRIER: "Ü: \\"}, **THEN}]}),
        ("predict", {"rows": [{"features": features(n), **THEN} for n in range(3)]}),
        ("predict", {"rows": [{"entities": KEYS, **THEN}]}),
        ("predict", {"rows": [{"entities": {**KEYS, "carrier": None}, "features": {CARRIER: 7}, **THEN}]}),
        ("predict", {"rows": [{"features": features()}] * 21}),
        ("predict", {"rows": [{"features": {**features(), "nobody": 1}}]}),
        ("predict", {"rows": [{"features": {NUMBER: 1}, **THEN}]}),
        ("predict", {"rows": [{"features": features(), "event_timestamp": "0001-01-01T00:00:00Z"}]}),
        ("predict", {"rows": [{"features": features(), "entities": {"nobody": 1}}]}),
        ("infer", infer()),
        ("infer", infer("score", "arm")),
        ("infer", infer("score", "nobody")),
        ("infer", infer(inputs=[])),
    ],
)  # fmt: skip
def test_it_says_and_logs_what_the_application_says_and_logs(
    client: TestClient, shared: Home, path: str, body: dict[str, Any]
) -> None:
    address = f"/predict/{MODEL}" if path == "predict" else f"/v2/models/{MODEL}/infer"
    before = len(logged(shared))
    quick = told(client.post(address, json=body))
    between = len(logged(shared))
    full = told(full_way(client, address, body))
    assert quick == full
    lines = logged(shared)
    assert lines[before:between] == lines[between:]
    assert (len(lines) - between > 0) == (quick[0] == 200)


def full_way(client: TestClient, address: str, body: dict[str, Any]) -> Any:
    """The same without the hot path."""
    guard: Any = client.app
    hot = guard._app
    guard._app = hot._app
    try:
        return client.post(address, json=body)
    finally:
        guard._app = hot


def test_the_application_is_not_asked_for_what_is_right(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: Any) -> None:
        raise AssertionError("the application was asked")

    monkeypatch.setattr(client.app._app, "_app", nobody)  # type: ignore[attr-defined]
    row = {"features": features(), **THEN}
    assert client.post(f"/predict/{MODEL}", json={"rows": [row]}).status_code == 200
    assert client.post(f"/predict/{MODEL}", json={"rows": [{"entities": KEYS}]}).status_code == 200
    assert client.post(f"/v2/models/{MODEL}/versions/1/infer", json=infer()).status_code == 200


# --- clients of the protocol -------------------------------------------------------------------------------


def test_a_program_may_leave_the_type_out_and_a_web_page_may_not(client: TestClient) -> None:
    address, body = f"/v2/models/{MODEL}/infer", json.dumps(infer("score")).encode()
    assert client.post(address, content=body).status_code == 200
    assert client.post(address, content=body, headers={"Origin": "https://evil.example"}).status_code == 415
    assert client.post(f"/predict/{MODEL}", content=b'{"rows": [{}]}').status_code == 415


def as_triton_sends(body: dict[str, Any], *, outputs: bool) -> tuple[bytes, dict[str, str]]:
    """The body as Triton's client for Python sends it by default: tensors as bytes, no content type."""
    behind = b""
    for tensor in body["inputs"]:
        data = tensor.pop("data")
        if tensor["datatype"] == "BYTES":
            content = b"".join(struct.pack("<I", len(text)) + text.encode() for text in data)
        else:
            content = np.array(data, dtype="<f8").tobytes()
        tensor["parameters"] = {"binary_data_size": len(content)}
        behind += content
    if outputs:
        body["parameters"] = {"binary_data_output": True}
    head = json.dumps(body).encode()
    return head + behind, {"Inference-Header-Content-Length": str(len(head))}


@pytest.mark.parametrize("outputs", [True, False])
def test_tensors_come_and_go_as_bytes(client: TestClient, shared: Home, outputs: bool) -> None:
    rows = pd.DataFrame([features(seed) for seed in (3, 4)])
    rows.loc[0, NUMBER] = np.nan
    body = infer()
    next(each for each in body["inputs"] if each["name"] == NUMBER)["data"][0] = np.nan
    content, headers = as_triton_sends(body, outputs=outputs)
    answer = client.post(f"/v2/models/{MODEL}/infer", content=content, headers=headers)
    assert answer.status_code == 200, answer.text
    expected = Registry(home=str(shared.root)).load(MODEL, 1).predict(rows).astype(float)
    if not outputs:
        assert answer.json()["outputs"][0]["data"] == expected.tolist()
        return
    length = int(answer.headers["inference-header-content-length"])
    head, behind = json.loads(answer.content[:length]), answer.content[length:]
    found = {}
    for tensor in head["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        found[tensor["name"]], behind = behind[:size], behind[size:]
    assert behind == b""
    np.testing.assert_array_equal(np.frombuffer(found["score"], dtype="<f8"), expected)
    np.testing.assert_array_equal(np.frombuffer(found["model_version"], dtype="<i8"), [1, 1])
    assert found["arm"] == (struct.pack("<I", 8) + b"champion") * 2


@pytest.mark.parametrize(
    ("length", "change", "status"),
    [
        ("x", {}, 422), ("-1", {}, 422), ("999999", {}, 422), ("3", {}, 400), (None, {"size": 7}, 422),
        (None, {"size": -8}, 422), (None, {"size": "8"}, 422), (None, {"size": 10**9}, 422), (None, {"more": 8}, 422),
        (None, {"datatype": "FP99"}, 422), (None, {"datatype": "BYTES"}, 422), (None, {"data": [1.0]}, 422),
    ],
)  # fmt: skip
def test_bytes_that_make_no_tensor_are_told(
    client: TestClient, length: str | None, change: dict[str, Any], status: int
) -> None:
    tensor = {"name": NUMBER, "shape": [1], "datatype": change.get("datatype", "FP64")}
    tensor["parameters"] = {"binary_data_size": change.get("size", 8)}
    tensor |= {"data": change["data"]} if "data" in change else {}
    head = json.dumps({"inputs": [tensor]}).encode()
    content = head + struct.pack("<d", 1e300) + b" " * change.get("more", 0)
    headers = {"Inference-Header-Content-Length": length or str(len(head))}
    answer = client.post(f"/v2/models/{MODEL}/infer", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]


# --- what is counted ---------------------------------------------------------------------------------------


def counts(client: TestClient) -> dict[tuple[str, ...], float]:
    """Every sample of /metrics: its name and the values of its labels, in order."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            spec = BY_NAME.get(sample.name) or BY_NAME[sample.name.rpartition("_")[0]]
            assert set(sample.labels) - {"le"} == set(spec.labels)
            labels = [sample.labels[each] for each in (*spec.labels, *(["le"] if "le" in sample.labels else []))]
            found[sample.name, *labels] = sample.value
    return found


def test_requests_are_counted_by_who_answered(shared: Home) -> None:
    built = build(Platform.of(shared), keys=Keys(), limits=Limits(rows=20), flush_seconds=1_000)
    with TestClient(built, raise_server_exceptions=False) as client:
        row = {"features": features(), **THEN}
        for query in ("", "", "?explain=true"):
            assert client.post(f"/predict/{MODEL}{query}", json={"rows": [row]}).status_code == 200
        client.post(f"/predict/{MODEL}", json={"rows": [{"nobody": 1}]})
        client.post("/predict/arrival_delay", json={"rows": [row]})
        client.post("/predict/nobody", json={"rows": [row]})
        client.post(f"/predict/{MODEL}", json={"rows": [{"entities": KEYS}, {"entities": {**KEYS, "flight_id": "g"}}]})
        found = counts(client)
    total = "mlops_requests_total"
    assert {key[1:]: value for key, value in found.items() if key[0] == total} == {
        (MODEL, "1", "champion", "200"): 4,
        (MODEL, "", "", "422"): 1,
        ("arrival_delay", "", "", "503"): 1,
    }
    assert found["mlops_request_seconds_count", MODEL, "1", "champion"] == 4
    assert found["mlops_request_seconds_bucket", MODEL, "1", "champion", "+Inf"] == 4
    assert 0 < found["mlops_request_seconds_sum", MODEL, "1", "champion"] < 60
    # One of the two flights is not in the online store, their carrier is.
    assert found["mlops_feature_misses_total", MODEL, "feat_flight"] == 1
    assert found["mlops_feature_misses_total", MODEL, "feat_carrier_history"] == 0
    assert 0 <= found["mlops_feature_age_seconds", MODEL, "feat_flight"] < 3_600


def test_an_error_of_ours_is_the_champions(client: TestClient, shared: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    before = counts(client).get(("mlops_requests_total", MODEL, "1", "champion", "500"), 0.0)
    monkeypatch.setattr("mlops_assets.serving.engine.scoring.choose", broken)
    answer = client.post(f"/predict/{MODEL}", json={"rows": [{"features": features()}]})
    assert (answer.status_code, answer.json()["error"]) == (500, "an error of the service; its log has it")
    assert counts(client)["mlops_requests_total", MODEL, "1", "champion", "500"] == before + 1


# --- the quick form of a model -----------------------------------------------------------------------------


def test_a_quick_form_that_scores_otherwise_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(1)
    assert verified(model, "models:/a/1").quick
    right = one_row.FewRows.__call__
    monkeypatch.setattr(one_row.FewRows, "__call__", lambda self, matrix: right(self, matrix) + np.float32(1e-6))
    caplog.set_level(logging.WARNING, logger="mlops.serving")
    scorer = verified(model, "models:/a/1")
    assert not scorer.quick
    assert "34 of 34 rows get another score" in caplog.text
    np.testing.assert_array_equal(scorer.predict([features()]), model.predict(pd.DataFrame([features()])))
