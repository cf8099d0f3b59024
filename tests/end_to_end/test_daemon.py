"""The real daemon, once: a file lands, and by itself it goes all the way to predictions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest

from mlops_assets.landing.nycflights13 import land
from mlops_assets.resources.home import PROJECT_ROOT, Home
from mlops_assets.resources.platform import Platform
from mlops_assets.resources.prediction_steps import VERSION, read_scores
from tests.real_slice import LAST_DAY, copy_home

NEW_DAY = LAST_DAY + timedelta(days=1)
PATIENCE = 300.0
"""Seconds after which a daemon that has done nothing counts as broken; no measure of its speed."""


@pytest.fixture
def home(champion_home: Home, tmp_path: Path) -> Home:
    """A home with a champion, its clock free; the other model is paused, it has no champion to predict with."""
    home = copy_home(champion_home, tmp_path / "home")
    home.configure(replace(home.settings, until=None))
    Platform.of(home).ledger.record.note("arrival_delay", "pause", reason="not in this test", by="ada")
    return home


@pytest.fixture
def daemon(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster-daemon run`, with every sensor on; its family is killed if it does not end."""
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | home.environment()
    command = [str(Path(sys.executable).with_name("dagster-daemon")), "run"]
    with (home.root / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "-w", str(PROJECT_ROOT / "workspace.yaml")],
            cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    yield process
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(family, timeout=10)
    for member in alive:
        member.kill()


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes], home: Home) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError((home.root / "daemon.log").read_text()[-5000:])
        time.sleep(0.5)


@pytest.mark.slow
def test_a_landed_file_becomes_predictions(home: Home, daemon: subprocess.Popen[bytes]) -> None:
    platform = Platform.of(home)
    model = platform.models()["flight_delay"]
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:

        def landings() -> list[dg.DagsterRun]:
            runs = instance.get_runs(filters=dg.RunsFilter(job_name="landing_flights"))
            return [run for run in runs if run.tags.get("mlops/period") == f"{NEW_DAY}..{NEW_DAY}"]

        wait_for(lambda: "SENSOR" in instance.get_daemon_heartbeats(), daemon, home)
        land(home.landing, NEW_DAY, NEW_DAY)
        wait_for(lambda: any(run.is_finished for run in landings()), daemon, home)
        (run,) = landings()
        assert run.status == dg.DagsterRunStatus.SUCCESS
        assert run.tags["dagster/sensor_name"] == "landing_sensor"
        scores = read_scores(platform, model, NEW_DAY, NEW_DAY + timedelta(days=1))
        landed = (home.landing / "flights" / f"flights_{NEW_DAY}.csv").read_text().splitlines()[1:]
        assert (len(scores), set(scores[VERSION])) == (len(landed), {1})
        assert max(platform.lake.partitions("features", "feat_carrier_history")) >= NEW_DAY
        assert instance.get_materialized_partitions(dg.AssetKey(["flight_delay", "predictions"])) == {str(NEW_DAY)}
        assert not (home.root / "alerts.jsonl").exists()
