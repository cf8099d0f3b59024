"""Going back in the service: versions ready in memory, who scores in the watch, and a version on trial that fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.serving.app import build
from mlops_assets.serving.engine.arms import Arm, Contract, load_arm
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.steps.predict.answer_counts import answering
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow import named_versions
from mlops_assets.world.mlflow.registry import ModelVersion, Registry
from mlops_assets.world.mlflow.store import MlflowUnavailable
from mlops_assets.world.platform import Platform
from tests.serving.conftest import EVENT, MODEL, features, make_model, promote, register

KEYS = {"flight_id": None, "carrier": "UA", "origin": "EWR", "route": "EWR-IAH", "tailnum": None, "dest": "IAH"}


def ask(client: TestClient, count: int = 1) -> list[dict[str, Any]]:
    rows = [
        {"entities": {**KEYS, "flight_id": f"f{n}"}, "features": features(n), "event_timestamp": EVENT.isoformat()}
        for n in range(count)
    ]
    answer = client.post(f"/predict/{MODEL}", json={"rows": rows})
    assert answer.status_code == 200, answer.json()
    return answer.json()["predictions"]


def until(condition: Callable[[], Any], seconds: float = 120.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.01)


def on_trial(home: Home, state: str, share: float = 0.0) -> None:
    registry = Registry(home=str(home.root))
    registry.tag(MODEL, 2, {"rollout_state": state, "rollout_share": share})
    registry.alias(MODEL, "candidate", 2)


def test_the_last_three_champions_are_ready_and_going_back_loads_nothing(home: Home) -> None:
    for seed in (3, 4):
        register(home, make_model(seed))
    for version in (2, 3, 4):
        promote(home, version)
    loaded: list[int] = []

    def load(registry: Registry, found: ModelVersion, name: str, contract: Contract) -> Arm:
        loaded.append(found.version)
        return load_arm(registry, found, name, contract)

    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits(), load=load)) as client:
        until(lambda: client.get("/readyz").json()["ready_versions"] == {MODEL: [4, 3, 2]})
        assert loaded == [4, 3, 2]
        promote(home, 2)
        until(lambda: ask(client)[0]["model_version"] == 2)
        assert loaded == [4, 3, 2]


def test_in_the_watch_the_version_before_scores_in_shadow(home: Home) -> None:
    promote(home, 2)
    Registry(home=str(home.root)).tag(MODEL, 2, {"rollout_state": "watch"})
    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits())) as client:
        assert client.get("/readyz").json()["models"] == {MODEL: {"champion": 2, "shadow": 1}}
        assert {answer["model_version"] for answer in ask(client, 5)} == {2}
    said = Platform.of(home).lake.read("predictions", MODEL, name="online", columns=["arm", "model_version"])
    assert said.groupby(["arm", "model_version"]).size().to_dict() == {("champion", 2): 5, ("shadow", 1): 5}


def test_a_registry_that_is_gone_in_the_midst_of_a_look_leaves_everybody_in_service(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(home, 2)
    registry = Registry(home=str(home.root))
    registry.tag(MODEL, 2, {"rollout_state": "watch"})

    def gone(*arguments: Any) -> None:
        raise MlflowUnavailable("the server is gone. Start it.")

    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits())) as client:
        monkeypatch.setattr(named_versions, "read_named", gone)
        registry.tag(MODEL, 2, {"rollout_state": "shadow"})
        until(lambda: client.get("/readyz").json()["status"] == "degraded")
        assert client.get("/readyz").json()["models"] == {MODEL: {"champion": 2, "shadow": 1}}
        assert ask(client)[0]["model_version"] == 2


def test_in_a_canary_each_says_what_it_would_have_said_beside_the_other(home: Home) -> None:
    on_trial(home, "canary", 0.5)
    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits())) as client:
        answered = {answer["id"]: answer["model_version"] for answer in ask(client, 20)}
    said = Platform.of(home).lake.read("predictions", MODEL, name="online")
    assert set(answered.values()) == {1, 2}
    assert said.groupby("flight_id")["model_version"].agg(set).tolist() == [{1, 2}] * 20
    beside = said[~said["prediction_id"].isin(list(answered))]
    assert set(beside["arm"]) == {"shadow"}


@dataclass(frozen=True)
class Broken(RowScorer):
    """A model that fails on every row but the two it is warmed by."""

    def predict(self, rows: Any) -> np.ndarray:
        raise MemoryError("it does not fit")


def breaks(registry: Registry, found: ModelVersion, name: str, contract: Contract) -> Arm:
    arm = load_arm(registry, found, name, contract)
    return replace(arm, scorer=Broken(arm.scorer.model)) if found.version == 2 else arm


@pytest.mark.parametrize(("state", "arm"), [("canary", "canary"), ("shadow", "shadow")])
def test_a_version_on_trial_that_fails_keeps_nobody_from_an_answer_and_is_counted(
    home: Home, state: str, arm: str
) -> None:
    on_trial(home, state, 1.0)
    platform = Platform.of(home)
    with TestClient(build(platform, keys=Keys(), limits=Limits(), load=breaks)) as client:
        assert {answer["model_version"] for answer in ask(client, 5)} == {1}
    now = platform.now(platform.models()[MODEL])
    # Its days are not those of UTC: on the first of a month it is still the last one there.
    hour_ago, day = now - timedelta(hours=1), (now - timedelta(days=2)).date()
    failed = answering(platform.lake, MODEL, 2, [arm], since=hour_ago, day=day)
    assert (failed.answers, failed.errors) == (0, 1 if state == "canary" else 5)
    given = answering(platform.lake, MODEL, 1, ["champion"], since=hour_ago, day=day)
    assert (given.answers, given.errors) == (1, 0)
