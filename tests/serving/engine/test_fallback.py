"""A champion that is worse than guessing: what answers in its place, how that is marked, and without a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient

from mlops_assets.core.performance.against_baseline import Fallback
from mlops_assets.serving.app import build
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.serving.models.appointed import Appointed
from mlops_assets.serving.models.kept_champions import kept_versions
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.platform import Platform
from tests.serving.conftest import EVENT, MODEL, features, promote

WHY = "flight_delay has been worse than guessing since 2013-01-01: ROC AUC 0.384, 0.5 by guessing."
GUESS = 0.25
KEYS = {"carrier": "UA", "origin": "EWR", "route": "EWR-IAH", "tailnum": None, "dest": "IAH"}


@pytest.fixture
def registry(home: Home) -> Registry:
    return Registry(home=str(home.root))


@pytest.fixture
def client(home: Home) -> Iterator[TestClient]:
    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits())) as made:
        yield made


def fall_back(registry: Registry, client: TestClient, mode: str | None) -> None:
    registry.fall_back(MODEL, 1, Fallback(mode, WHY, (GUESS,)) if mode else None)  # type: ignore[arg-type]
    assert client.post("/admin/reload").status_code == 200


def rows(count: int, *, whole: bool = True) -> list[dict[str, Any]]:
    """Rows that bring every feature, or leave one to be looked up."""
    left = {} if whole else {"feat_flight__distance_miles"}
    return [
        {
            "entities": {**KEYS, "flight_id": f"f{n}"},
            "features": {name: value for name, value in features(n).items() if name not in left},
            "event_timestamp": EVENT.isoformat(),
        }
        for n in range(count)
    ]


def ask(client: TestClient, count: int = 1, **options: Any) -> list[dict[str, Any]]:
    answer = client.post(f"/predict/{MODEL}", json={"rows": rows(count)}, **options)
    assert answer.status_code == 200, answer.json()
    return answer.json()["predictions"]


@pytest.mark.parametrize("count", [1, 3])
def test_guessing_answers_and_says_so(registry: Registry, client: TestClient, count: int) -> None:
    before = ask(client, count)
    assert all("served_by" not in one for one in before)
    fall_back(registry, client, "baseline")
    for one in ask(client, count):
        assert (one["score"], one["served_by"], one["reason"]) == (GUESS, "baseline", WHY)
        assert (one["model_version"], one["arm"]) == (1, "champion")
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["parts"][f"{MODEL}@fallback"]["why"]) == ("degraded", WHY)
    fall_back(registry, client, None)
    assert [one["score"] for one in ask(client, count)] == [one["score"] for one in before]
    assert client.get("/readyz").json()["status"] == "ready"


def test_no_feature_explains_a_guess(registry: Registry, client: TestClient) -> None:
    assert "contributions" in ask(client, params={"explain": "true"})[0]
    fall_back(registry, client, "baseline")
    assert "contributions" not in ask(client, params={"explain": "true"})[0]


def test_the_open_protocol_marks_it_too(registry: Registry, client: TestClient) -> None:
    fall_back(registry, client, "baseline")
    columns = {"flight_id": ("BYTES", "f0"), "carrier": ("BYTES", "UA")}
    inputs = [{"name": n, "shape": [1], "datatype": kind, "data": [value]} for n, (kind, value) in columns.items()]
    kinds = {str: "BYTES", float: "FP64", int: "FP64", bool: "BOOL"}
    inputs += [
        {"name": n, "shape": [1], "datatype": kinds[type(value)], "data": [value]} for n, value in features().items()
    ]
    answer = client.post(f"/v2/models/{MODEL}/infer", json={"inputs": inputs}).json()
    assert (answer["parameters"]["served_by"], answer["parameters"]["reason"]) == (["baseline"], WHY)
    assert next(each["data"] for each in answer["outputs"] if each["name"] == "score") == [GUESS]


@pytest.mark.parametrize("count", [1, 3])
def test_where_it_is_agreed_nothing_is_answered(registry: Registry, client: TestClient, count: int) -> None:
    fall_back(registry, client, "refuse")
    answer = client.post(f"/predict/{MODEL}", json={"rows": rows(count)})
    assert answer.status_code == 503
    assert answer.json()["error"].startswith(f"{MODEL} answers nothing: {WHY}")
    assert "docs/runbook.md#worse-than-guessing" in answer.json()["error"]
    assert client.post(f"/predict/{MODEL}", json={"rows": rows(1, whole=False)}).status_code == 503


def test_a_new_champion_answers_by_itself_without_a_restart(home: Home, registry: Registry, client: TestClient) -> None:
    registry.fall_back(MODEL, 1, Fallback("refuse", WHY, (GUESS,)))
    _until(lambda: client.post(f"/predict/{MODEL}", json={"rows": rows(1)}).status_code == 503)
    promote(home, 2)
    _until(lambda: client.post(f"/predict/{MODEL}", json={"rows": rows(1)}).status_code == 200)
    assert ask(client)[0]["model_version"] == 2


def test_a_candidate_on_trial_answers_itself(registry: Registry, client: TestClient) -> None:
    registry.tag(MODEL, 2, {"rollout_state": "canary", "rollout_share": "0.5"})
    registry.alias(MODEL, "candidate", 2)
    fall_back(registry, client, "baseline")
    answers = ask(client, 40)
    assert {one["arm"] for one in answers} == {"champion", "canary"}
    assert all(("served_by" in one) == (one["arm"] == "champion") for one in answers)


def test_the_log_has_what_was_answered_and_what_the_champion_said(
    home: Home, registry: Registry, client: TestClient
) -> None:
    before = ask(client, 3)
    fall_back(registry, client, "baseline")
    ask(client, 2)
    client.post("/admin/flush")
    platform = Platform.of(home)
    model = platform.models()[MODEL]
    day = EVENT.astimezone(model.zone).date()
    span = (day, date.fromordinal(day.toordinal() + 1))
    file = platform.lake.file("predictions", MODEL, partition=day, name="online")
    logged = pd.read_parquet(file)
    assert logged["served_by"].value_counts(dropna=False).to_dict() == {None: 3, "baseline": 2}
    own, answered = (
        read_scores(platform, model, *span, answered=answered).set_index("flight_id")["score"]
        for answered in (False, True)
    )
    expected = [one["score"] for one in before]
    assert own[["f0", "f1", "f2"]].tolist() == expected, "monitors read the champion"
    assert answered[["f0", "f1", "f2"]].tolist() == [GUESS, GUESS, expected[2]]


def test_a_start_without_the_registry_keeps_the_fallback(home: Home, registry: Registry, client: TestClient) -> None:
    fall_back(registry, client, "refuse")
    _until(lambda: MODEL in kept_versions(home, [MODEL]))
    appointed = Appointed.of({"champion": kept_versions(home, [MODEL])[MODEL]})
    assert appointed is not None
    assert appointed.fallback == Fallback("refuse", WHY, (GUESS,))


def _until(is_so: Any) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)
