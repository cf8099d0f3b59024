"""The HTTP surface in process: the protocol, strict bodies, keys and scopes, limits, drift."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from typer.testing import Result

from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.drift.policy import DriftPolicy
from mlops_assets.serving.app import build, check_keys
from mlops_assets.serving.http.bodies import OURS
from mlops_assets.serving.http.keys import SCOPES, Keys, new_key
from mlops_assets.serving.http.limits import Limits, Rates
from mlops_assets.steps.watch.drift_files import compare_files
from mlops_assets.steps.watch.windows.summaries import WindowSummary, write_summary
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.platform import Platform
from tests.real_slice import copy_home, working_in
from tests.serving.conftest import MODEL, features

Client = TestClient
KEY, LINE = new_key("shop", ["predict"])
FEATURES = ("rows", 0, "features")
MILES = "feat_flight__distance_miles"
WIND = "feat_origin_weather__wind_gust_mph"
DRIFT_KEY, DRIFT_LINE = new_key("science", ["drift", "admin"])


@pytest.fixture(scope="module")
def shared(served_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with working_in(Home(tmp_path_factory.mktemp("http") / "home")) as home:
        yield copy_home(served_home, home.root)


@pytest.fixture(scope="module")
def client(shared: Home) -> Iterator[Client]:
    limits = Limits(body=200_000, drift_body=2**21, rows=20, drift_rows=3_000)
    with TestClient(build(Platform.of(shared), keys=Keys(), limits=limits), raise_server_exceptions=False) as made:
        yield made


@pytest.fixture(scope="module")
def guarded(shared: Home) -> Iterator[Client]:
    keys = Keys.read({"MLOPS_API_KEYS": f"{LINE};{DRIFT_LINE}"})
    with TestClient(
        build(Platform.of(shared), keys=keys, limits=Limits(rate=10)), raise_server_exceptions=False
    ) as made:
        yield made


@pytest.fixture(scope="module")
def keyed(shared: Home) -> Iterator[Client]:
    """With keys a service may be called by any name; nothing is slowed down."""
    keys = Keys.read({"MLOPS_API_KEYS": f"{LINE};{DRIFT_LINE}"})
    with TestClient(build(Platform.of(shared), keys=keys, limits=Limits()), raise_server_exceptions=False) as made:
        yield made


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def predict(client: Client, **row: Any) -> Any:
    return client.post(f"/predict/{MODEL}", json={"rows": [row]})


# --- the protocol ------------------------------------------------------------------------------------------


def test_metadata_and_readiness_of_the_open_inference_protocol(client: Client) -> None:
    assert client.get("/v2").json() == {"name": "mlops-assets", "version": "2", "extensions": ["binary_tensor_data"]}
    assert client.get("/v2/health/live").status_code == client.get("/v2/health/ready").status_code == 200
    assert client.get(f"/v2/models/{MODEL}/ready").status_code == 200
    assert client.get(f"/v2/models/{MODEL}/versions/1/ready").status_code == 200
    assert client.get(f"/v2/models/{MODEL}/versions/2/ready").status_code == 404
    # Declared, and without a champion.
    assert client.get("/v2/models/arrival_delay/ready").status_code == 503
    assert client.get("/v2/models/nobody").status_code == 404
    told = client.get(f"/v2/models/{MODEL}").json()
    assert (told["name"], told["versions"], told["platform"]) == (MODEL, ["1"], "xgboost")
    inputs = {each["name"]: each["datatype"] for each in told["inputs"]}
    assert inputs["feat_flight__distance_miles"] == "FP64"
    assert inputs["feat_flight__flight_carrier"] == inputs["carrier"] == inputs["event_timestamp"] == "BYTES"


def tensors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": [len(rows), 1] if name.endswith("miles") else [len(rows)],
            "datatype": "BYTES" if isinstance(rows[0][name], str) else "FP64",
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]


def test_inference_equals_the_batch(client: Client, shared: Home) -> None:
    rows = [features(seed) for seed in (3, 4)]
    expected = Registry(home=str(shared.root)).load(MODEL, 1).predict(pd.DataFrame(rows)).astype(float).tolist()
    for path in (f"/v2/models/{MODEL}/infer", f"/v2/models/{MODEL}/versions/1/infer"):
        answer = client.post(path, json={"id": "42", "inputs": tensors(rows)}).json()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == (MODEL, "1", "42")
        outputs = {each["name"]: each for each in answer["outputs"]}
        assert outputs["score"] == {"name": "score", "shape": [2], "datatype": "FP64", "data": expected}
        assert outputs["model_version"]["data"] == [1, 1]
    only = client.post(path, json={"inputs": tensors(rows), "outputs": [{"name": "arm"}]}).json()
    assert [each["name"] for each in only["outputs"]] == ["arm"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"shape": [3]}, ["inputs", 0, "data"]),
        ({"shape": [2, 2]}, ["inputs", 0, "shape"]),
        ({"datatype": "INT8", "data": [1.5, 2]}, ["inputs", 0, "data", 0]),
        ({"datatype": "FLOAT"}, ["inputs", 0, "datatype"]),
        ({"name": "carrier"}, ["rows", 0, "entities", "carrier"]),
        ({"data": [[1, 2], 3]}, ["inputs", 0, "data", 0]),
    ],
)
def test_a_wrong_tensor_is_named(client: Client, change: dict[str, Any], place: list[Any]) -> None:
    tensor = {"name": "feat_flight__distance_miles", "shape": [2], "datatype": "FP64", "data": [1.0, 2.0], **change}
    answer = client.post(f"/v2/models/{MODEL}/infer", json={"inputs": [tensor]})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, place)


# --- what only breaks a service --------------------------------------------------------------------------------

DIGITS = ("9" * 5_000, "0" * 5_000 + "9" * 5_000, "1e5", "-1", "0x10", "\xb2", "1_000", "")


@pytest.mark.parametrize("length", DIGITS)
@pytest.mark.parametrize("path", [f"/predict/{MODEL}", f"/v2/models/{MODEL}/infer", "/drift/references/x", "/nothing"])
def test_a_length_that_is_none_is_the_callers_error(client: Client, length: str, path: str) -> None:
    answer = client.post(path, content=b"{}", headers=[(b"content-length", length.encode("latin-1"))])
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"] != OURS


@pytest.mark.parametrize("length", [*DIGITS, "0" * 5_000, "3", "1"])
@pytest.mark.parametrize("name", ["Inference-Header-Content-Length", "inference-header-content-length"])
def test_a_length_of_json_that_is_none_is_the_callers_error(client: Client, length: str, name: str) -> None:
    headers = [(name.encode(), length.encode("latin-1")), (b"content-type", b"application/octet-stream")]
    answer = client.post(f"/v2/models/{MODEL}/infer", content=b"{}", headers=headers)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"] != OURS


@pytest.mark.parametrize(
    "text", [b"[" * 90_000, b'{"rows": ' * 10_000, b"[" * 50_000 + b"]" * 50_000, b"9" * 10_000, b"\xff"]
)
@pytest.mark.parametrize("path", [f"/predict/{MODEL}", f"/v2/models/{MODEL}/infer", "/drift/references/x"])
def test_json_nested_without_end_is_the_callers_error(client: Client, text: bytes, path: str) -> None:
    kind = {"Content-Type": "application/json"}
    assert client.post(path, content=text, headers=kind).status_code in (400, 404, 405, 422)
    kind = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    assert client.post(f"/v2/models/{MODEL}/infer", content=text, headers=kind).status_code in (400, 422)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/", "/v2/models/", f"/v2/models/{MODEL}/", f"/v2/models/{MODEL}/ready/", "/models/", "/livez/",
        "//evil.example/v2", "/v2//evil.example", f"/predict/{MODEL}/", "/drift/references/x/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_answer_repeats_a_foreign_host(keyed: Client, path: str, method: str) -> None:
    headers = {**bearer(KEY), "Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = keyed.request(method, path, headers=headers, follow_redirects=False)
    assert not 300 <= answer.status_code < 400
    assert answer.status_code not in (429, 500)
    assert "evil.example" not in str(answer.headers) + answer.text


# --- strict bodies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"rows": [{"features": {"nobody": 1}}]}', ["rows", 0, "features", "nobody"]),
        ('{"rows": [{"features": {"feat_flight__distance_miles": "7"}}]}', [*FEATURES, MILES]),
        ('{"rows": [{"features": {"feat_flight__distance_miles": NaN}}]}', [*FEATURES, MILES]),
        ('{"rows": [{"features": {"feat_flight__distance_miles": -Infinity}}]}', [*FEATURES, MILES]),
        ('{"rows": [{"features": {"feat_flight__distance_miles": 1e999}}]}', [*FEATURES, MILES]),
        # A feature that no version is trained on is held to its kind too.
        ('{"rows": [{"features": {"feat_origin_weather__wind_gust_mph": {}}}]}', [*FEATURES, WIND]),
        ('{"rows": [{"entities": {"carrier": 7}}]}', ["rows", 0, "entities", "carrier"]),
        ('{"rows": [{"entities": {"\'; drop table x; --": "a"}}]}', ["rows", 0, "entities", "'; drop table x; --"]),
        ('{"rows": [{"event_timestamp": "2013-01-01T00:00:00"}]}', ["rows", 0, "event_timestamp"]),
        ('{"rows": [{"event_timestamp": "0001-01-01T00:00:00+14:00"}]}', ["rows", 0, "event_timestamp"]),
        ('{"rows": [{"other": 1}]}', ["rows", 0, "other"]),
        ('{"rows": [], "x": 1}', ["rows"]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_body_is_named(client: Client, text: str, place: list[Any]) -> None:
    answer = client.post(f"/predict/{MODEL}", content=text, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, place), answer.json()


def test_bodies_of_another_kind_are_refused(client: Client) -> None:
    path, json_type = f"/predict/{MODEL}", {"Content-Type": "application/json"}
    assert client.post(path, content="rows", headers=json_type).status_code == 400
    assert client.post(path, content=b"\xff\xfe", headers=json_type).status_code == 400
    assert client.post(path, content="[" * 100_000, headers=json_type).status_code == 400
    assert client.post(path, content='{"rows": []}', headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post(f"{path}?explain=maybe", json={"rows": [{}]}).json()["detail"][0]["loc"] == ["query", "explain"]
    assert client.post(f"{path}?other=1", json={"rows": [{}]}).json()["detail"][0]["loc"] == ["query", "other"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "..%2f..%2fhome", "a%00b", "x'; drop table y; --", "A", "%2e%2e"])
def test_names_in_addresses_cannot_escape(client: Client, shared: Home, name: str) -> None:
    own = ("serving/spool", "serving/counts", "lake/requests")  # what it writes by itself, of earlier requests

    def files() -> list[Path]:
        return sorted(path for path in shared.root.parent.rglob("*") if not any(part in str(path) for part in own))

    before = files()
    for path in (f"/predict/{name}", f"/drift/{name}", f"/v2/models/{name}/infer"):
        assert client.post(path, json={"rows": [{}], "inputs": []}).status_code in (404, 405, 422)
    assert client.get(f"/drift/{name}").status_code in (404, 422)
    answer = client.post("/drift/profiles", json={"name": name, "rows": [{"x": 1}] * 100})
    assert answer.status_code == 422
    assert files() == before


def test_odd_texts_reach_the_lake_as_they_are(client: Client, shared: Home) -> None:
    odd = "a'\"; drop table x; -- \u0000\n\u2028\U0001f6eb"
    row = {"entities": {"carrier": odd}, "features": {**features(), "feat_flight__flight_carrier": odd}}
    answer = predict(client, **row, event_timestamp="2013-02-01T12:00:00Z")
    assert answer.status_code == 200, answer.json()
    assert client.post("/admin/flush").status_code == 200
    kept = Platform.of(shared).lake.read("predictions", MODEL, name="online", columns=["carrier", "prediction_id"])
    (found,) = kept.loc[kept["prediction_id"] == answer.json()["predictions"][0]["id"], "carrier"]
    assert found == odd


# --- limits and keys ---------------------------------------------------------------------------------------


def test_rows_and_bytes_are_limited(client: Client) -> None:
    assert "may have 20 rows" in client.post(f"/predict/{MODEL}", json={"rows": [{}] * 21}).json()["error"]
    assert client.post(f"/predict/{MODEL}", content=b" " * 200_001).status_code == 413

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 10_000

    assert client.post(f"/predict/{MODEL}", content=pieces()).status_code == 413


def test_without_keys_no_other_name_leads_here(client: Client) -> None:
    assert client.get("/readyz", headers={"Host": "evil.example"}).status_code == 400


def test_keys_and_scopes(guarded: Client) -> None:
    assert guarded.get("/livez").status_code == guarded.get("/readyz").status_code == 200
    row = {"rows": [{"features": features()}]}
    path = f"/predict/{MODEL}"
    assert guarded.post(path, json=row).status_code == 401
    assert guarded.post(path, json=row, headers=bearer(KEY[:-1])).status_code == 401
    assert guarded.post(path, json=row, headers={"Authorization": f"Basic {KEY}"}).status_code == 401
    assert guarded.post(path, json=row, headers=bearer(KEY)).status_code == 200
    assert guarded.post(path, json=row, headers={"X-API-Key": KEY}).status_code == 200
    assert guarded.post(path, json=row, headers=bearer(DRIFT_KEY)).status_code == 403
    assert guarded.post("/admin/flush", headers=bearer(KEY)).status_code == 403
    assert guarded.post("/admin/flush", headers=bearer(DRIFT_KEY)).status_code == 200
    # What nobody knows is not for everybody.
    assert guarded.get("/nobody").status_code == 401


def test_a_key_opens_each_scope_that_is_named(mlops: Callable[..., Result]) -> None:
    for words in ("--scope predict+retrain", "--scope predict --scope retrain"):
        line = mlops("api-key", "ci", *words.split()).stdout.split()[-1]
        (key,) = Keys.read({"MLOPS_API_KEYS": line}).keys
        assert key.scopes == {"predict", "retrain"}
    usage = mlops("api-key", "--help").stdout
    assert all(scope in usage for scope in SCOPES)


def test_the_rate_of_a_key_is_limited(guarded: Client) -> None:
    answers = [guarded.get("/models", headers=bearer(KEY)) for _ in range(150)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].headers["Retry-After"] == "1"


def test_a_bucket_fills_at_the_rate() -> None:
    rates = Rates(10.0)
    assert [rates.allows("a", now=0.0) for _ in range(21)] == [True] * 20 + [False]
    assert rates.allows("b", now=0.0)
    assert [rates.allows("a", now=0.2) for _ in range(3)] == [True, True, False]


def test_keys_are_off_on_this_machine_only(tmp_path: Path) -> None:
    assert "keys are off" in str(check_keys(Keys(), "127.0.0.1"))
    with pytest.raises(ValueError, match=r"mlops api-key"):
        check_keys(Keys(), "0.0.0.0")
    file = tmp_path / "keys"
    file.write_text(f"# of the shop\n{LINE}\n")
    keys = Keys.read({"MLOPS_API_KEYS_FILE": str(file)})
    assert check_keys(keys, "0.0.0.0") is None
    found = keys.find(KEY)
    assert found is not None
    assert (found.name, found.scopes) == ("shop", {"predict"})
    for wrong in ("shop:predict:abc", f"shop:all:{'0' * 64}", f"{LINE};{LINE}"):
        with pytest.raises(ValueError, match="must read NAME:SCOPE") as error:
            Keys.read({"MLOPS_API_KEYS": wrong})
        assert wrong not in str(error.value)


# --- drift -------------------------------------------------------------------------------------------------


def table(shift: float = 0.0, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"age": rng.normal(40 + shift, 10, 2_000).round(3), "country": rng.choice(["IE", "FR"], 2_000)})


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_drift_of_a_foreign_model_is_that_of_the_command(client: Client, tmp_path: Path) -> None:
    made = client.post("/drift/profiles", json={"name": "shop", "rows": table().to_dict(orient="records")})
    assert (made.status_code, made.json()["features"]) == (201, {"age": "numeric", "country": "categorical"})
    for name, frame in {"old": table(), "new": table(5.0, 1)}.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")
    found = compare_files(
        str(tmp_path / "old.parquet"), str(tmp_path / "new.parquet"), policy=DriftPolicy.of_preset("default")
    )
    by_rows = client.post("/drift/shop", json={"rows": table(5.0, 1).to_dict(orient="records")}).json()
    kind = {"Content-Type": "application/vnd.apache.parquet"}
    by_file = client.post("/drift/shop", content=parquet(table(5.0, 1)), headers=kind).json()
    assert by_rows["drifted"] == by_file["drifted"] == list(found.verdict.drifted) == ["age"]
    for told in (by_rows, by_file):
        values = {each["feature"]: each["psi"] for each in told["features"]}
        assert values == pytest.approx({each.feature: each.psi for each in found.drifts})
    assert client.get("/drift/shop").json()["reason"] == by_file["reason"]
    assert client.post("/drift/shop", json={"rows": table(seed=2).to_dict(orient="records")}).json()["drift"] is False


def test_what_follows_from_drift_is_done_beside_the_requests(client: Client, shared: Home) -> None:
    rows = {"name": "beside", "rows": table().to_dict(orient="records")}
    assert client.post("/drift/profiles", json=rows).status_code == 201
    client.post("/drift/beside", json={"rows": table(30.0).to_dict(orient="records")})
    while client.get("/drift/beside/checks").json()["waiting"]:
        time.sleep(0.05)
    assert "drift-profile/beside" in [each.key for each in Alerts(root=str(shared.root)).incidents.state().open]


def test_references_that_cannot_be_are_refused(client: Client) -> None:
    kind = {"Content-Type": "application/vnd.apache.parquet"}

    def register(**body: Any) -> int:
        return client.post("/drift/profiles", json={"name": "a", "rows": [{"x": 1}] * 100, **body}).status_code

    assert register() == 201
    assert register(rows=[{"x": 1}] * 99) == 422
    assert register(rows=[{"x": 1}, {"x": "a"}] * 50) == 422
    assert register(rows=[{"x": [1]}] * 100) == 422
    assert register(rows=[{"x": 10**400}] * 100) == 422
    assert register(rows=[{}] * 100) == 422
    assert register(kinds={"y": "numeric"}) == 422
    assert register(name=MODEL) == register(name="profiles") == 422
    assert client.post("/drift/profiles?name=b", content=b"PAR1 no", headers=kind).status_code == 422
    assert client.post("/drift/profiles", content=parquet(table()), headers=kind).status_code == 422
    filtered = client.post("/drift/profiles?name=b", content=parquet(table().query("age > 40")), headers=kind)
    assert (filtered.status_code, set(filtered.json()["features"])) == (201, {"age", "country"})
    many = pd.DataFrame({"x": np.zeros(1_000_000)})
    assert client.post("/drift/profiles?name=b", content=parquet(many), headers=kind).status_code == 422
    assert client.post("/drift/nobody", json={"rows": [{"x": 1}]}).status_code == 404
    assert client.get("/drift/nobody").status_code == client.get(f"/drift/{MODEL}").status_code == 404


def test_a_models_drift_is_its_latest_report(client: Client, shared: Home) -> None:
    folder = shared.lake / "reports" / "arrival_delay" / "drift" / "window=2013-02-25T0500"
    start, end = datetime(2013, 2, 25, 5, tzinfo=UTC), datetime(2013, 3, 4, 5, tzinfo=UTC)
    sentence = "One of two drifted."
    check = CheckResult("inputs_match_reference", "drift", "2013-02-25", end, passed=False, sentence=sentence)
    parts: Any = {"window": "2013-02-25", "start": start, "end": end, "state": "", "version": 3, "rows": 9}
    write_summary(folder, WindowSummary(**parts, checks=(check,)))
    pd.DataFrame({"feature": ["x"], "psi": [np.nan]}).to_parquet(folder / "features.parquet")
    told = client.get("/drift/arrival_delay").json()
    assert (told["drift"], told["reason"], told["model_version"]) == (True, "One of two drifted.", 3)
    assert told["features"] == [{"feature": "x", "psi": None}]
