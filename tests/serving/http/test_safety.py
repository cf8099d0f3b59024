"""What the service must never do: run what it is sent, tell a secret, wait for ever, leave its folders."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.serving.app import build
from mlops_assets.serving.http.drift_api import BatchRequest, ProfileRequest
from mlops_assets.serving.http.events_api import RetrainRequest
from mlops_assets.serving.http.keys import Keys, new_key
from mlops_assets.serving.http.limits import Guard, Limits, Message, Receive, Scope, Send
from mlops_assets.serving.http.oip_api import InferRequest
from mlops_assets.serving.http.predict_api import PredictRequest
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake
from mlops_assets.world.mlflow import registry as registry_module
from mlops_assets.world.platform import Platform
from tests.serving.conftest import MODEL, features

_watched: list[str] | None = None


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and _watched is not None:
        _watched.append(".".join(map(str, arguments)))


# There is no way to take one away; it does nothing while nobody watches.
sys.addaudithook(_hook)


@contextmanager
def unpickled() -> Iterator[list[str]]:
    """What is unpickled meanwhile, by any library."""
    global _watched
    _watched = found = []
    try:
        yield found
    finally:
        _watched = None


def test_nothing_is_unpickled(home: Home) -> None:
    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits())) as client, unpickled() as found:
        registry_module._cache.clear()
        assert client.post("/admin/reload").status_code == 200
        assert (
            client.post(f"/predict/{MODEL}?explain=true", json={"rows": [{"features": features()}]}).status_code == 200
        )
        assert client.post(f"/predict/{MODEL}", content=b"\x80\x04cos\nsystem\n.").status_code == 415
        parquet = {"Content-Type": "application/vnd.apache.parquet"}
        for body in (b"\x80\x04cos\nsystem\n.", b"PAR1cos\nsystem\n.PAR1"):
            assert client.post("/drift/profiles?name=a", content=body, headers=parquet).status_code == 422
    assert found == []


def test_no_key_and_no_value_is_told_to_a_log(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key, text = new_key("shop", ["predict"])
    secret = "a-value-that-is-nobodys-business"
    row = {"rows": [{"features": {**features(), "feat_flight__flight_carrier": secret, "nobody": secret}}]}
    with TestClient(build(Platform.of(home), keys=Keys.read({"MLOPS_API_KEYS": text}), limits=Limits())) as client:
        for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}, {"X-API-Key": key + "x"}):
            answer = client.post(f"/predict/{MODEL}", json=row, headers=headers)
            assert answer.status_code in (401, 422)
            assert key not in answer.text
            assert secret not in answer.text
        assert key not in client.get("/readyz").text + client.get("/metrics").text + client.get("/openapi.json").text
    assert key not in caplog.text
    assert secret not in caplog.text
    assert [path for path in home.root.rglob("*") if path.is_file() and key.encode() in path.read_bytes()] == []


def test_a_key_is_compared_with_all_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [new_key(f"k{n}", ["predict"]) for n in range(4)]
    keys = Keys.read({"MLOPS_API_KEYS": ";".join(text for _, text in made)})
    compared: list[bytes] = []
    constant = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or constant(a, b))
    for key in (made[0][0], made[-1][0], "nobody's"):
        compared.clear()
        assert (keys.find(key) is None) == (key == "nobody's")
        assert len(compared) == len(made)


def ask(guard: Guard, messages: list[Message], pause: float = 0.0) -> tuple[int, dict[str, Any]]:
    """One request through a guard, piece by piece; status and body."""
    scope: Scope = {"type": "http", "method": "POST", "path": "/predict/a", "headers": [], "client": ("127.0.0.1", 1)}
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(pause)
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], json.loads(sent[1]["body"])


def test_a_request_that_takes_too_long_is_let_go() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(60)

    guard = Guard(slow, keys=Keys(), limits=Limits(seconds=0.1))
    whole: Message = {"type": "http.request", "body": b"{}", "more_body": False}
    assert ask(guard, [whole]) == (
        503,
        {"error": "not answered within 0.1 s; send fewer rows, or try again", "detail": []},
    )
    # A body that never ends to arrive is one too.
    pieces: list[Message] = [{"type": "http.request", "body": b" ", "more_body": True} for _ in range(100)]
    assert ask(guard, pieces, pause=0.02)[0] == 503
    assert len(pieces) > 80


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", "a b", 'a"; drop table x; --', "A", "", "a.b", "a\n"])
def test_names_in_yaml_cannot_leave_their_folders(name: str) -> None:
    contract = {"columns": {"x": {"type": "integer"}}}
    with pytest.raises(ValidationError, match="name"):
        SourceSettings(name=name, description="One row.", files="x.csv", grain="none", contract=contract)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="name"):
        ModelSettings(
            name=name, description="It.", task="binary", label={"model": "l", "column": "y"}, features=["f"],
            metric="roc_auc", start="2013-01-01",
        )  # type: ignore[arg-type]  # fmt: skip


def test_a_file_pattern_names_files_of_the_landing_folder_alone(home: Home) -> None:
    outside = home.root / "secret.csv"
    outside.write_text("x\n1\n")
    (home.landing / "s").mkdir(parents=True)
    for files in ("../../secret.csv", str(outside), "..*", "*"):
        source = SourceSettings(
            name="s",
            description="One row.",
            files=files,
            grain="none",
            contract={"columns": {"x": {"type": "integer"}}},
        )  # type: ignore[arg-type]
        assert not Intake(lake=Lake(root=str(home.root)), source=source).landed_files()


def test_the_examples_of_the_openapi_document_are_requests(home: Home) -> None:
    models = {
        each.__name__: each for each in (PredictRequest, InferRequest, ProfileRequest, BatchRequest, RetrainRequest)
    }
    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits())) as client:
        paths = client.get("/openapi.json").json()["paths"]
    seen = 0
    for operation in (operation for operations in paths.values() for operation in operations.values()):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for example in content.get("examples", {}).values():
                models[content["schema"]["$ref"].rpartition("/")[2]].model_validate_json(json.dumps(example["value"]))
                seen += 1
    assert seen >= 6
