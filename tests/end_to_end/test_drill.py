"""`mlops drill rollback` and `mlops traffic` on real flights: it goes back, nobody notices, production is as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops_assets.serving.app import build
from mlops_assets.serving.in_process import serving
from mlops_assets.serving.keys import Keys
from mlops_assets.serving.limits import Limits
from tests.real_slice import World


@pytest.mark.slow
def test_a_rehearsal_prints_its_seconds_and_leaves_nothing_behind(drifting: World, mlops: Any) -> None:
    def content() -> dict[str, float]:
        kept = ("lake", "mlflow", "ledger")
        files = [path for name in kept for path in (drifting.home.root / name).rglob("*") if path.is_file()]
        return {str(path): path.stat().st_mtime for path in files if path.suffix != ".lock"}

    before = content()
    done = mlops("drill", "rollback", drifting.model.name, "--kind", "bad-data", "--json")
    assert done.exit_code == 0, done.output
    (rehearsal,) = json.loads(done.stdout)
    assert (rehearsal["stage"], rehearsal["guardrails"], rehearsal["failed"]) == ("watch", ["scores"], 0)
    assert rehearsal["requests"] > 10
    assert 0.0 < rehearsal["alias_seconds"] < rehearsal["look_seconds"]
    assert content() == before
    assert list((drifting.home.root / "drills").iterdir()) == []
    assert drifting.aliases() == {"champion": 1}


@pytest.mark.slow
def test_traffic_is_made_of_landed_events_and_reaches_the_lake(drifting: World, mlops: Any) -> None:
    app = build(drifting.platform, keys=Keys(), limits=Limits())
    with serving(app) as address:
        done = mlops("traffic", "--rate", "20", "--seconds", "1", "--url", address)
    assert done.exit_code == 0, done.output
    assert "In all, flight_delay: 20 requests, 0 failed, 99 % within" in done.stdout
    assert "answered by champion v1 20" in done.stdout
    platform, model = drifting.platform, drifting.model
    logged = platform.lake.read("predictions", model.name, name="online")
    events = platform.lake.read("labels", model.label.model)
    identity = [*platform.data(model).keys, "event_timestamp"]
    assert len(logged.merge(events[identity], on=identity)) == len(logged) == 20
    # Features come with the request as they were known then, so the answer is the batch's.
    batch = platform.lake.read("predictions", model.name, name="batch")
    both = logged.merge(batch, on=identity, suffixes=("", "|batch"))
    assert both["score"].tolist() == both["score|batch"].tolist()
    assert len(both) == 20
    gone = mlops("traffic", "--seconds", "0.1", "--url", address)
    assert gone.exit_code == 1
    assert "is in service at" in gone.stderr
