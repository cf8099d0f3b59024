"""The real daemon: a file goes all the way to predictions; a stream goes on after everything was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest

from mlops_assets.core.record.entries import Pause
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.landing.card_payments import PAYMENTS, demo_world, feed
from mlops_assets.landing.nycflights13 import land
from mlops_assets.simulate.engine import Engine
from mlops_assets.simulate.fraud_demo import _send, mock_broker
from mlops_assets.steps.keep.left_over_runs import bury
from mlops_assets.steps.predict.predictions import VERSION, read_scores
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform
from tests.checkout import CHECKOUT
from tests.real_slice import LAST_DAY, copy_home, working_in
from tests.streams.feed import home_of

NEW_DAY = LAST_DAY + timedelta(days=1)
MLOPS = ("-c", "from mlops_assets.cli import app; app()")
WORKSPACE = ("-w", str(CHECKOUT / "workspace.yaml"))
PATIENCE = 300.0
"""Seconds after which a daemon that has done nothing counts as broken; no measure of its speed."""


@pytest.fixture
def home(champion_home: Home, tmp_path: Path) -> Home:
    """A home with a champion, its clock free; the other model is paused, it has no champion to predict with."""
    home = copy_home(champion_home, tmp_path / "home")
    home.configure(replace(home.settings, until=None))
    Platform.of(home).ledger.record.note("arrival_delay", Pause, reason="not in this test", by="ada")
    return home


@pytest.fixture
def daemon(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster-daemon run`, with every sensor on; its family is killed if it does not end."""
    process = started(home, [str(Path(sys.executable).with_name("dagster-daemon")), "run", *WORKSPACE])
    yield process
    ended(process, signal.SIGINT)


def started(home: Home, command: list[str], **variables: str) -> subprocess.Popen[bytes]:
    """A command on a home, in a session of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"} | home.environment() | variables
    with (home.root / "daemon.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=CHECKOUT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def ended(process: subprocess.Popen[bytes], by: signal.Signals) -> None:
    """End a process and all that it has started; what does not end is killed."""
    if process.poll() is not None:
        return
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family if by == signal.SIGKILL else family[-1:]:
        with suppress(psutil.NoSuchProcess):
            member.send_signal(by)
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
        # A tick between the day's files would carry it twice: the daemon stands still while they come.
        os.killpg(daemon.pid, signal.SIGSTOP)
        land(home.landing, NEW_DAY, NEW_DAY)
        os.killpg(daemon.pid, signal.SIGCONT)
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
        steps = {step.step_key for step in instance.get_run_step_stats(run.run_id)}
        assert "dbt_models" in steps
        assert steps & {"look_ahead_guard", "freshness_checks"} == set(), "those are no part of a landing"
        fresh = dg.AssetCheckKey(dg.AssetKey(["raw", "flights"]), "newest_data_is_fresh")
        history = instance.event_log_storage.get_asset_check_execution_history
        wait_for(lambda: bool(history(fresh, limit=1)), daemon, home)
        assert history(fresh, limit=1)[0].run_id == "", "a sensor reports it, without a run"


@pytest.mark.slow
def test_a_stream_goes_on_after_reader_and_daemon_were_killed(tmp_path: Path) -> None:
    from mlops_assets.definitions import build_definitions

    home = home_of(tmp_path / "home")
    platform, running = Platform.of(home), list[subprocess.Popen[bytes]]()
    source = platform.sources.settings()[PAYMENTS]
    assert isinstance(source, StreamSettings)
    days = list(feed(demo_world(20), 6))
    sent, reader = dict[int, int](), [sys.executable, *MLOPS, "stream", "run", PAYMENTS]

    def begin(command: list[str]) -> None:
        running.append(started(home, command))

    def in_lake() -> set[date]:
        return set(platform.lake.partitions("raw", PAYMENTS))

    with (
        mock_broker(source) as producer,
        working_in(home),
        dg.DagsterInstance.from_config(str(home.dagster)) as instance,
    ):
        try:
            for day in days[:3]:
                _send(producer, source.stream.topic, day, sent)
            begin([*reader, "--until-end"])
            running.pop().wait()
            begin(reader)
            begin([str(Path(sys.executable).with_name("dagster-daemon")), "run", *WORKSPACE])
            for day in days[3:]:
                _send(producer, source.stream.topic, day, sent)
            wait_for(lambda: in_lake() >= {day.day for day in days[:2]}, running[-1], home)
            # The reader holds messages that are in no file yet; the run is still on its way to the features.
            for process in running:
                ended(process, signal.SIGKILL)
            assert bury(instance), "as the next `mlops up` does"
            begin([*reader, "--until-end"])
            assert running.pop().wait() == 0
            # The next daemon's ticks, in this process: another start of one takes a minute and would show nothing else.
            engine = Engine(build_definitions(home), instance)
            for request in engine.requests("landing_sensor")[0]:
                engine.execute(request, only=[dg.AssetKey(["raw", PAYMENTS])])
            assert in_lake() >= {day.day for day in days[:5]}
        finally:
            for process in running:
                ended(process, signal.SIGKILL)
    for day in days[:5]:
        landed = platform.lake.read("raw", PAYMENTS, start=day.day, end=day.day + timedelta(days=1))
        told = [json.loads(message)["transaction_id"] for message in day.messages]
        assert sorted(landed["transaction_id"]) == sorted(told), "none lost, none doubled"
