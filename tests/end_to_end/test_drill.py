"""`mlops drill rollback` and `mlops traffic` on real flights: it goes back, nobody notices, production is as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlops_assets.serving.app import build
from mlops_assets.serving.engine.request_counts import Tally
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.serving.log.drain import Drain
from mlops_assets.serving.rehearsal.in_process import serving
from tests.real_slice import World

pytestmark = pytest.mark.usefixtures("app_in_this_process")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "stage", "guardrail"),
    [("worse-model", "watch", "metric"), ("slow-model", "canary", "p99"), ("bad-data", "watch", "scores")],
)
def test_a_rehearsal_goes_back_and_leaves_nothing_behind(
    drifting: World, mlops: Any, kind: str, stage: str, guardrail: str
) -> None:
    def content() -> dict[str, float]:
        kept = ("lake", "mlflow", "ledger")
        files = [path for name in kept for path in (drifting.home.root / name).rglob("*") if path.is_file()]
        return {str(path): path.stat().st_mtime for path in files if path.suffix != ".lock"}

    before = content()
    done = mlops("drill", "rollback", drifting.model.name, "--kind", kind, "--json")
    assert done.exit_code == 0, done.output
    (rehearsal,) = json.loads(done.stdout)
    assert (rehearsal["kind"], rehearsal["stage"], rehearsal["failed"]) == (kind, stage, 0)
    assert guardrail in rehearsal["guardrails"]
    assert rehearsal["requests"] > 10
    assert 0.0 < rehearsal["alias_seconds"] < rehearsal["look_seconds"]
    assert content() == before
    assert list((drifting.home.root / "drills").iterdir()) == []
    assert drifting.aliases() == {"champion": 1}


@pytest.mark.slow
def test_a_slow_candidate_is_stopped_though_the_log_never_reaches_the_lake(
    drifting: World, mlops: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the log waits for minutes; guardrails see the answers all the same."""
    monkeypatch.setattr(Drain, "round", lambda self: 0)
    monkeypatch.setattr(Tally, "write", lambda self, lake, **most: self.publish(lake))
    done = mlops("drill", "rollback", drifting.model.name, "--kind", "slow-model", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["guardrails"] == ["p99"]


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
