"""`mlops up`: what keeps it from starting, what is said when a part dies, and one real start and stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import dagster as dg
import psutil
import pytest
from typer.testing import Result

from mlops_assets.commands import running
from mlops_assets.commands.services import HOST, Service, ServiceDied, require_free, stop_all, wait_until_up
from mlops_assets.steps.keep.left_over_runs import LAUNCHED, bury
from mlops_assets.world.home import Home
from mlops_assets.world.landed.fleet_values import add_values

ROOT = Path(__file__).parents[2]
KINDS = ("Dagster", "Lineage", "MLflow", "Metrics", "Serving")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def service(tmp_path: Path, code: str, *, leader_first: bool = False) -> Service:
    return Service(
        name="Part",
        command=[sys.executable, "-c", code],
        folder=tmp_path,
        address=f"http://{HOST}:{free_port()}",
        log=tmp_path / "logs" / "part.log",
        leader_first=leader_first,
    )


def test_a_taken_port_is_told_with_the_way_out() -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=rf"Port {port} cannot be had.*mlops up --port {port + 1}"):
            require_free(port, option="--port")


def test_traffic_without_a_service_is_told(mlops: Callable[..., Result]) -> None:
    done = mlops("up", "--serve-port", "0", "--traffic", "5")
    assert done.exit_code == 1
    assert "--traffic needs the online service" in done.stderr


def test_one_up_a_home(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert running.of(home) is None
    with running.claimed(home, dagster="http://d", mlflow="http://m"):
        assert running.of(home) == running.Up(os.getpid(), "http://d", "http://m")
        with (
            pytest.raises(
                ValueError,
                match=f"already. Use that one, http://d, or stop it: kill {os.getpid()}",
            ),
            running.claimed(home, dagster="http://e", mlflow="http://n"),
        ):
            pass
    assert running.of(home) is None


def test_what_a_killed_up_left_behind_is_no_up(tmp_path: Path) -> None:
    home = Home(tmp_path)
    script = (
        "import os; from pathlib import Path; from mlops_assets.commands import running;"
        "from mlops_assets.world.home import Home;"
        f"claim = running.claimed(Home(Path({str(tmp_path)!r})), dagster='http://d', mlflow='http://m');"
        "claim.__enter__(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == -9
    assert (tmp_path / "up.json").exists()
    assert running.of(home) is None
    with running.claimed(home, dagster="http://e", mlflow="http://n"):
        assert running.of(home) is not None


def test_a_part_that_dies_is_named_with_its_last_lines(tmp_path: Path) -> None:
    part = service(tmp_path, "import sys; sys.exit('the disk is full')")
    part.start()
    with pytest.raises(ServiceDied, match=r"Part has ended \(exit code 1\).*part\.log:\nthe disk is full"):
        wait_until_up([part], part.address, threading.Event())


def test_a_stop_before_all_is_up_ends_the_waiting(tmp_path: Path) -> None:
    part = service(tmp_path, "import time; time.sleep(600)")
    part.start()
    stop = threading.Event()
    stop.set()
    assert wait_until_up([part], part.address, stop) is False
    stop_all([part])
    assert part.process is not None
    assert part.process.returncode in (-signal.SIGTERM, -signal.SIGKILL)  # killed where it is slow to end


def test_stopping_leaves_no_grandchild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlops_assets.commands.services.STOP_SECONDS", 2.0)
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pid', 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    part = service(tmp_path, code, leader_first=True)
    part.start()
    grandchild = psutil.Process(int(wait_for_text(tmp_path / "pid")))
    stop_all([part])
    _, alive = psutil.wait_procs([grandchild], timeout=10)
    assert alive == []


def wait_for_text(path: Path) -> str:
    while not path.exists() or not path.read_text():
        time.sleep(0.05)
    return path.read_text()


def test_runs_that_stopped_with_the_last_up_are_ended_and_no_others(tmp_path: Path) -> None:
    @dg.asset
    def anything() -> None: ...

    job = dg.Definitions(assets=[anything], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    home = Home(tmp_path / "home").prepare()
    by_daemon = {LAUNCHED: "{}"}
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        started, waiting, in_process, over = (
            instance.create_run_for_job(job, status=status, tags=tags).run_id
            for status, tags in (
                (dg.DagsterRunStatus.STARTED, by_daemon),
                (dg.DagsterRunStatus.NOT_STARTED, by_daemon),
                (dg.DagsterRunStatus.STARTED, {}),
                (dg.DagsterRunStatus.SUCCESS, by_daemon),
            )
        )
        assert bury(instance) == [started]
        ended = instance.get_run_by_id(started)
        assert ended is not None
        assert ended.status == dg.DagsterRunStatus.FAILURE
        assert ended.tags["dagster/will_retry"] == "true", "the daemon runs it again"
        statuses = {run.run_id: run.status.value for run in instance.get_runs()}
        assert [statuses[run] for run in (waiting, in_process, over)] == ["NOT_STARTED", "STARTED", "SUCCESS"]
        assert bury(instance) == []


@pytest.fixture
def up(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A real `mlops up` in a new home on free ports; killed with its children if the test doesn't end it."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME")}
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "up"]
    options = [
        "--home",
        str(tmp_path / "home"),
        "--port",
        str(free_port()),
        "--mlflow-port",
        str(free_port()),
        "--metrics-port",
        str(free_port()),
        "--serve-port",
        str(free_port()),
    ]
    process = subprocess.Popen(
        [*command, *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for member in family:
            member.kill()
        process.wait()


def lines_until(stream: IO[str], wanted: str) -> list[str]:
    lines = []
    for line in stream:
        lines.append(line.strip())
        if wanted in line:
            return lines
    raise AssertionError("mlops up ended:\n" + "\n".join(lines))


def has_assets(dagster: str, model: str) -> bool:
    query = json.dumps({"query": "{ assetNodes { assetKey { path } } }"}).encode()
    request = urllib.request.Request(f"{dagster}/graphql", data=query, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as reply:
        nodes = json.load(reply)["data"]["assetNodes"]
    return any(node["assetKey"]["path"][0] == model for node in nodes)


@pytest.mark.slow
def test_up_answers_and_stops_cleanly_on_ctrl_c(up: subprocess.Popen[str], tmp_path: Path) -> None:
    assert up.stdout is not None
    said = lines_until(up.stdout, "Ctrl-C stops everything")
    addresses = dict(line.split(maxsplit=1) for line in said if line.startswith(KINDS))
    assert set(addresses) == set(KINDS)
    # A new home has no champion, so the service says that it is not ready; that it answers is seen at /livez.
    addresses["Serving"] = addresses["Serving"].replace("readyz", "livez")
    for address in addresses.values():
        with urllib.request.urlopen(address, timeout=30) as reply:
            assert reply.status == 200
    home = Home(tmp_path / "home")
    assert running.of(home) == running.Up(up.pid, addresses["Dagster"], addresses["MLflow"])
    logs = {path.name for path in (home.root / "logs").iterdir()}
    assert logs == {"dagster.log", "mlflow.log", "metrics.log", "serving.log"}
    children = psutil.Process(up.pid).children(recursive=True)
    assert len(children) >= 5  # dagster dev, code server, webserver, daemon, MLflow, metrics

    # What data bring to a fleet has a page without anybody's doing.
    assert not has_assets(addresses["Dagster"], "carrier_delay_ua")
    add_values(home, "carrier_delay", ["UA"], most=5)
    lines_until(up.stdout, "1 new member of fleets loaded: carrier_delay UA.")
    assert has_assets(addresses["Dagster"], "carrier_delay_ua")

    up.send_signal(signal.SIGINT)
    rest = lines_until(up.stdout, "All stopped.")
    assert up.wait(timeout=60) == 0, rest
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert running.of(home) is None
    for address in (addresses["Dagster"], addresses["MLflow"], addresses["Metrics"].removesuffix("/metrics")):
        require_free(int(address.rsplit(":", 1)[1]), option="--port")
