"""An event, lived: from the request through its run to the verdict, with the parameters it brought."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import dagster as dg
import pytest

from mlops_assets.assets.platform.failed_runs import failed_run_sensor
from mlops_assets.steps.decide.retrain_events import TrainingWish, ask, event
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.runs.training_runs import TrainingRuns
from tests.real_slice import World

MODEL = "flight_delay"


@pytest.mark.slow
def test_an_event_starts_a_run_with_its_parameters_and_is_followed_to_the_verdict(drifting: World) -> None:
    now = datetime(2013, 3, 4, tzinfo=UTC)
    asked, is_new = ask(
        drifting.home, MODEL, TrainingWish("ci", "a new tariff", parameters={"seed": 99, "trials": 1}), now=lambda: now
    )
    assert (is_new, asked.state) == (True, "waiting")
    ((request,), _) = drifting.engine.requests(drifting.sensor)
    assert json.loads(request.tags["mlops/parameters"]) == {"seed": 99, "trials": 1}
    assert event(drifting.home, asked.id).state == "decided"  # type: ignore[union-attr]
    drifting.tick()
    judged = event(drifting.home, asked.id)
    assert judged is not None
    assert judged.state in ("promoted", "rejected")
    (run,) = drifting.instance.get_runs()[:1]
    assert (judged.run, judged.decision, judged.version) == (run.run_id, request.run_key, 2)
    assert drifting.platform.record(MODEL, "challenger")["recipe"]
    recipe = json.loads(drifting.platform.record(MODEL, "challenger")["recipe"])
    assert recipe["seed"] == 99
    # The next training is the model's own again.
    assert drifting.model.training.seed != 99


def test_a_run_that_broke_says_so(drifting: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, _ = ask(drifting.home, MODEL, TrainingWish("ci", "a new tariff"), now=lambda: datetime.now(UTC))
    ((request,), _) = drifting.engine.requests(drifting.sensor)
    run = dg.DagsterRun(
        job_name="retrain",
        run_id="3" * 32,
        tags={**request.tags, "mlops/model": MODEL},
        status=dg.DagsterRunStatus.FAILURE,
    )
    drifting.instance.add_run(run)
    broken = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_FAILURE.value, job_name=run.job_name, message="the disk is full"
    )
    context = dg.build_run_status_sensor_context(
        "failed_run_sensor", broken, drifting.instance, run, resources={"alerts": Alerts(root=str(drifting.home.root))}
    ).for_run_failure()
    failed_run_sensor(context)
    known = event(drifting.home, asked.id)
    assert known is not None
    assert (known.state, known.run) == ("broken", run.run_id)
    assert "the disk is full" in known.why
    assert TrainingRuns(drifting.home.root).of(MODEL)[str(request.run_key)].broke == known.why


def test_a_run_that_a_person_canceled_is_over_for_whoever_asked(drifting: World) -> None:
    wish = TrainingWish("ci", "a new tariff")
    asked, _ = ask(drifting.home, MODEL, wish, now=lambda: datetime.now(UTC))
    ((request,), _) = drifting.engine.requests(drifting.sensor)
    run = dg.DagsterRun(job_name="retrain", run_id="4" * 32, tags=request.tags, status=dg.DagsterRunStatus.CANCELED)
    drifting.instance.add_run(run)
    drifting.engine.requests(drifting.sensor)
    known = event(drifting.home, asked.id)
    assert known is not None
    assert (known.state, known.why, known.run) == ("broken", "It ended as CANCELED.", run.run_id)
