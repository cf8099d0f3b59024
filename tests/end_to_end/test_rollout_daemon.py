"""The real daemon dies with its code server and its runs (kill -9) on each stage of a rollout, and is started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.steps.keep.left_over_runs import bury
from mlops_assets.steps.predict.predictions import score_days
from tests.checkout import CHECKOUT
from tests.end_to_end.test_rollout_online import START, WHOLE_WAY, bring_in, states, twin
from tests.real_slice import World
from tests.rollout_location import FIELDS

pytestmark = pytest.mark.slow
DAY = timedelta(days=1)
LOCATION = CHECKOUT / "tests" / "rollout_location.py"
PATIENCE = 200.0
"""Seconds after which a daemon that has not come to it counts as broken; no measure of its speed."""
DEATHS = {
    # The move is written down, and nothing says so to the service yet.
    "canary": "mlops_assets.world.mlflow.registry:Registry.tag",
    # The second canary is there; the alias `champion` is about to move.
    "watch": "mlops_assets.world.mlflow.registry:Registry.promote",
    # When the last move is about to be written down.
    "champion": "/models/flight_delay/rollout.json",
}
"""At which moment it dies on the way to each state."""


@contextmanager
def daemon(world: World, dies_at: str | None) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster-daemon run` with all that it starts, in a group of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | world.home.environment()
    words = ["run", "-f", str(LOCATION), "-d", str(CHECKOUT)]
    with (world.home.root / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("dagster-daemon")), *words],
            cwd=CHECKOUT, env=environment | ({"DIES_AT": dies_at} if dies_at else {}),
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(what: Callable[[], bool], world: World) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise AssertionError((world.home.root / "daemon.log").read_text()[-5000:])
        time.sleep(0.2)


def test_killed_on_each_stage_and_started_again_the_outcome_is_the_same(drifting: World) -> None:
    world = drifting.with_settings(**FIELDS)
    bring_in(world, twin)
    world.at(START + 3 * DAY)
    score_days(world.platform, world.model, [START + number * DAY for number in range(3)])
    for state, dies_at in DEATHS.items():
        if state == "champion":
            score_days(world.platform, world.model, [START + 3 * DAY])
            world.at(START + 5 * DAY)
            score_days(world.platform, world.model, [START + 4 * DAY])
        with daemon(world, dies_at) as process:
            wait_for(lambda process=process: process.poll() is not None, world)
            assert process.returncode == -signal.SIGKILL
        assert state not in [entered for entered, _ in states(world)]
        # As the next `mlops up` does.
        assert len(bury(world.instance)) == 1

    def looked() -> list[dg.RunRecord]:
        job = dg.RunsFilter(job_name="roll_out", statuses=[dg.DagsterRunStatus.SUCCESS])
        return list(world.instance.get_run_records(filters=job))

    with daemon(world, None):
        wait_for(lambda: len(looked()) > 0, world)
    assert states(world) == WHOLE_WAY
    assert world.aliases() == {"champion": 2, "previous": 1}
    assert len(world.ledger("promotion")) == 2
    shown = world.instance.get_latest_materialization_event(dg.AssetKey([world.model.name, "rollout"]))
    assert shown is not None
    assert shown.asset_materialization is not None
    assert shown.asset_materialization.metadata["state"].value == "champion"
