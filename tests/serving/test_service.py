"""The service as a process: answers, changes of alias under load, kills, a registry that is gone."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.platform import Platform
from tests.serving.conftest import (
    EVENT,
    MODEL,
    ROOT,
    VIEWS,
    Running,
    bring_online,
    features,
    make_model,
    move_store_away,
    promote,
    register,
)

pytestmark = pytest.mark.slow

KEYS = {"flight_id": "a", "carrier": "UA", "origin": "EWR", "route": "EWR-IAH", "tailnum": None, "dest": "IAH"}


def row(number: int = 0) -> dict[str, object]:
    at = EVENT.isoformat()
    return {"entities": {**KEYS, "flight_id": f"f{number}"}, "features": features(), "event_timestamp": at}


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)


def test_answers_equal_the_batch_and_reach_the_lake(serve: Callable[..., Running], home: Home) -> None:
    service = serve()
    status, answer = service.predict(row(1), {"features": features(2)}, query="?explain=true")
    assert status == 200, answer
    model = Registry(home=str(home.root)).load(MODEL, 1)
    expected = model.predict(pd.DataFrame([features(1), features(2)]))
    first, second = answer["predictions"]
    assert [first["score"], second["score"]] == expected.astype(float).tolist()
    assert (first["model_version"], first["arm"], first["feature_times"]) == (1, "champion", {})
    raw = np.log(first["score"] / (1 - first["score"]))
    added = [each["contribution"] for each in first["contributions"]]
    assert np.isclose(sum(added) + first["bias"], raw, atol=1e-5)
    assert [abs(each) for each in added] == sorted((abs(each) for each in added), reverse=True)
    assert {each["feature"]: each["value"] for each in first["contributions"]} == features(1)

    assert service.call("/admin/flush", {})[1]["moved"] in (0, 2)
    wait_for(lambda: service.call("/readyz")[1]["log_bytes_waiting"] == 0)
    platform = Platform.of(home)
    kept = platform.lake.read("predictions", MODEL, name="online", order_by=["is_identified"])
    assert sorted(kept["prediction_id"]) == sorted([first["id"], second["id"]])
    assert kept["score"].tolist() == [second["score"], first["score"]]
    assert (kept["arm"].unique().tolist(), kept["is_identified"].tolist()) == (["champion"], [False, True])


def test_a_change_of_alias_drops_no_request(serve: Callable[..., Running], home: Home) -> None:
    service = serve()
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            status, answer = service.predict(row())
            seen.append((status, answer["predictions"][0]["model_version"] if status == 200 else -1))
            time.sleep(0.005)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(seen) > 20)
    promote(home, 2)
    wait_for(lambda: seen[-1][1] == 2)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {1, 2}


def test_a_damaged_version_leaves_the_old_one_in_service(serve: Callable[..., Running], home: Home) -> None:
    service = serve()
    registry = Registry(home=str(home.root))
    file = next(path for path in home.mlflow.rglob("model.ubj") if registry.version(MODEL, 2).source in path.as_uri())
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:-1] + b"?")
    # By MLflow's own hand: `promote` would have refused it.
    registry.client.set_registered_model_alias(MODEL, "champion", "2")
    wait_for(lambda: service.call("/readyz")[1]["status"] == "degraded")
    assert service.predict(row())[1]["predictions"][0]["model_version"] == 1
    alerts = [json.loads(line) for line in (home.root / "alerts.jsonl").read_text().splitlines()]
    assert [alert["runbook"] for alert in alerts] == ["docs/runbook.md#model-not-loaded"]
    file.write_bytes(content)
    service.call("/admin/reload", {})
    assert service.predict(row())[1]["predictions"][0]["model_version"] == 2
    assert service.call("/readyz")[1]["status"] == "ready"


def test_a_kill_loses_no_answer(serve: Callable[..., Running], home: Home) -> None:
    service = serve()
    answered: list[str] = []

    def ask() -> None:
        # A hundred requests a second: thousands prove no more, and cost the service and the lake what they cost.
        try:
            for number in range(100_000):
                _, answer = service.predict(row(number))
                answered.append(answer["predictions"][0]["id"])
                time.sleep(0.02)
        except (OSError, ValueError):
            return

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    # Some rounds of the drain (one each 0.5 s) are over, and some answers are still on their way into the lake.
    lake = Platform.of(home).lake
    wait_for(lambda: len(lake.partitions("predictions", MODEL, name="online")) > 0)
    before = len(answered)
    wait_for(lambda: len(answered) > before + 20)
    service.kill()
    for thread in threads:
        thread.join()
    service.start()
    wait_for(lambda: service.call("/readyz")[1]["log_bytes_waiting"] == 0)
    kept = lake.read("predictions", MODEL, name="online", columns=["prediction_id"])
    assert kept["prediction_id"].is_unique
    assert set(answered) <= set(kept["prediction_id"])
    # What was written and not yet sent when the kill came: one a thread.
    assert len(kept) <= len(answered) + len(threads)


def test_without_mlflow_it_goes_on_and_starts_again(serve: Callable[..., Running], home: Home) -> None:
    service = serve()
    away = move_store_away(home)
    wait_for(lambda: service.call("/readyz")[1]["status"] == "degraded")
    assert not service.call("/readyz")[1]["parts"]["registry"]["ok"]
    assert service.predict(row())[0] == 200
    service.stop()
    service.start()
    status, ready = service.call("/readyz")
    assert (status, ready["status"], ready["models"]) == (200, "degraded", {MODEL: {"champion": 1}})
    assert service.predict(row())[0] == 200
    incidents = Alerts(root=str(home.root)).incidents
    assert [incident.key for incident in incidents.state().open] == ["serving/registry"]
    shutil.move(away, home.mlflow / "mlflow.db")
    wait_for(lambda: service.call("/readyz")[1]["status"] == "ready")
    wait_for(lambda: not incidents.state().open)
    assert incidents.state().outbox[-1].title == "All clear: serving/registry"


def test_features_come_from_the_online_store(serve: Callable[..., Running], home: Home) -> None:
    service = serve()
    status, answer = service.predict({"entities": {"flight_id": "f0", "carrier": "UA"}})
    assert status == 200, answer
    (first,) = answer["predictions"]
    assert set(first["feature_times"]) == {"feat_flight", "feat_carrier_history"}
    assert all(first["feature_times"].values())
    assert service.predict({"entities": {"carrier": "UA"}})[1]["detail"][0]["msg"].startswith("is missing: send it")

    shutil.move(home.feast / "online.db", home.root / "online.away")
    status, answer = service.predict({"entities": {"flight_id": "f0", "carrier": "UA"}})
    assert (status, "materialize feast/online_store" in answer["error"]) == (503, True)
    assert service.predict(row())[0] == 200
    assert service.call("/readyz")[1]["parts"]["features"]["ok"] is False
    shutil.move(home.root / "online.away", home.feast / "online.db")
    assert service.predict({"entities": {"flight_id": "f0", "carrier": "UA"}})[0] == 200
    assert service.call("/readyz")[1]["status"] == "ready"


def test_the_lines_of_the_readme_are_answered(serve: Callable[..., Running], home: Home) -> None:
    """As they are written, by curl, but for the port."""
    views = (*VIEWS, "feat_origin_weather")
    promote(home, register(home, make_model(3, views)))
    (flight,) = json.loads((ROOT / "docs/examples/flight.json").read_text(encoding="utf-8"))["rows"]
    bring_online(home, flight["entities"]["flight_id"], flight["entities"]["carrier"])
    service = serve()
    lines = re.findall(r"(?m)^curl .*$", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(lines) >= 6
    for line in lines:
        typed = line.replace("localhost:8080", f"localhost:{service.port}").replace(
            "curl ", "curl --fail-with-body ", 1
        )
        done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout), line
        assert "missing_views" not in done.stdout, line
