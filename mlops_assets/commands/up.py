"""`mlops up`: Dagster's webserver and daemon, the MLflow UI, the metrics and the online service, stopped together.

Here: starting, watching and stopping the processes. Not here: what they run (`definitions`), where they keep
things (`resources.home`).

`dagster dev` is taken because webserver and daemon then share one code server: started apart, each would load
the code location for itself. It stops cleanly on SIGINT, as from a terminal; the groups are killed only when
that took too long.
"""

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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_assets.commands import running
from mlops_assets.commands.console import example, say, use_home
from mlops_assets.resources.home import PROJECT_ROOT, Home

HOST = "127.0.0.1"
START_SECONDS = 300.0
"""A cold start on a busy machine takes a minute: the code location, dbt's parse, MLflow's imports."""
STOP_SECONDS = 60.0
"""Dagster gives its own children as long before it kills them."""
TAIL_LINES = 20

HEALTH = """{
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  workspaceOrError { ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename ... on PythonError { message } }
  } } }
}"""


class ServiceDied(RuntimeError):
    """A process that should run has ended; the message has its last lines."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("mlops up", "mlops up --home .mlops/replays/20130401-month --port 3100"))(up)


def up(
    home: Annotated[Path | None, typer.Option(file_okay=False, help="The home to show, as the global option.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of Dagster's UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of MLflow's UI.")] = 5000,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the metrics; 0 for none.")] = 9100,
    serve_port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the online service; 0 for none.")] = 8080,
    traffic: Annotated[
        float, typer.Option(min=0.0, max=200.0, help="Requests a second to each model in service, as `mlops traffic`.")
    ] = 0.0,
) -> None:
    """Start Dagster's webserver and daemon (with all sensors on), the MLflow UI, the metrics and the online service.

    Ctrl-C stops them.

    What they say goes to logs/ in the home.
    """
    if traffic and not serve_port:
        raise ValueError("--traffic needs the online service: leave --serve-port 0 out. Nothing was started.")
    place = use_home(home)
    dagster, mlflow = f"http://{HOST}:{port}", f"http://{HOST}:{mlflow_port}"
    outside = os.environ.get("MLFLOW_TRACKING_URI", "")
    if outside.startswith(("http://", "https://")):
        mlflow = outside
    # Materializations link to the MLflow UI that was started with them.
    os.environ["MLFLOW_UI_URL"] = mlflow
    # Alerts link to the run.
    os.environ.setdefault("MLOPS_DAGSTER_URL", dagster)
    with stop_signals() as stop, running.claimed(place, dagster=dagster, mlflow=mlflow):
        place.prepare()
        require_free(port, option="--port")
        services = [_dagster(place, port)]
        if mlflow != outside:
            require_free(mlflow_port, option="--mlflow-port")
            services.append(_mlflow(place, mlflow_port))
        if metrics_port:
            require_free(metrics_port, option="--metrics-port")
            services.append(_metrics(place, metrics_port))
        if serve_port:
            require_free(serve_port, option="--serve-port")
            services.append(_serving(place, serve_port))
        if traffic:
            services.append(_traffic(place, serve_port, traffic))
        services += _readers(place)
        say(f"Starting in {place.root} …")
        _end_left_over_runs(place)
        try:
            for service in services:
                service.start()
            if wait_until_up(services, dagster, stop):
                _say_addresses(
                    place,
                    {
                        "Dagster": dagster,
                        "Lineage": f"{dagster}/asset-groups",
                        "MLflow": mlflow,
                        "Metrics": f"http://{HOST}:{metrics_port}/metrics" if metrics_port else "none",
                        "Serving": f"http://{HOST}:{serve_port}/readyz" if serve_port else "none",
                        "Traffic": f"{traffic:g} requests a second to each model" if traffic else "none (--traffic 5)",
                    },
                )
                _watch(services, stop)
        finally:
            say("Stopping …")
            stop_all(services)
            say("All stopped.")


def _readers(home: Home) -> Sequence[Service]:
    # They are services, too.
    from mlops_assets.commands.readers import readers

    return readers(home)


def _end_left_over_runs(home: Home) -> None:
    """Runs that stopped with the last `mlops up`: they are run again, and nothing waits for them."""
    import dagster as dg

    from mlops_assets.resources.left_over import bury

    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        for run_id in bury(instance):
            say(f"Run {run_id[:8]} stopped with the last mlops up: it is run again.")


@dataclass
class Service:
    """One process of its own group, its log, and the address at which it answers.

    Attributes:
        name: what a person calls it.
        command: how it is started.
        folder: where it works.
        address: answers with HTTP 200 once it is up.
        log: its standard output and error.
        leader_first: whether its leader stops its own children, when it gets SIGINT alone.
    """

    name: str
    command: Sequence[str]
    folder: Path
    address: str
    log: Path
    leader_first: bool
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a group of its own: Ctrl-C in a terminal reaches `mlops up` alone, which stops it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def require_alive(self) -> None:
        """Do nothing while it runs.

        Raises:
            ServiceDied: it has ended.
        """
        code = self.process.poll() if self.process else None
        if code is not None:
            raise ServiceDied(
                f"{self.name} has ended (exit code {code}). Its last lines, of {self.log}:\n{self.tail()}"
            )

    def tail(self) -> str:
        """The last lines it said."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:])

    def answers(self) -> bool:
        """Whether it answers at its address."""
        try:
            with urllib.request.urlopen(self.address, timeout=5) as reply:
                return bool(reply.status == 200)
        except OSError:
            return False

    def ask_to_stop(self) -> None:
        """Ask it to end; returns at once."""
        if self.process is None or self.process.poll() is not None:
            return
        if self.leader_first:
            self.process.send_signal(signal.SIGINT)
        else:
            os.killpg(self.process.pid, signal.SIGTERM)

    def ensure_stopped(self, deadline: float) -> None:
        """Wait for its end until then, and leave nothing of its group behind."""
        if self.process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=max(0.1, deadline - time.monotonic()))
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _dagster(home: Home, port: int) -> Service:
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT_ROOT / "workspace.yaml")]
    return Service(
        name="Dagster",
        command=[*command, "-h", HOST, "-p", str(port)],
        folder=PROJECT_ROOT,
        address=f"http://{HOST}:{port}/server_info",
        log=home.root / "logs" / "dagster.log",
        leader_first=True,
    )


def _mlflow(home: Home, port: int) -> Service:
    uri = home.mlflow_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        # Not left to MLflow: it would make a lost store anew, empty and silent.
        from mlops_assets.resources.mlflow_store import open_client

        open_client(home)
    # MLflow's job runners serve features for language models; they cost four more processes.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    artifacts = (home.mlflow / "artifacts").as_uri()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--workers", "1"]
    return Service(
        name="MLflow",
        command=[*command, "--default-artifact-root", artifacts, "--host", HOST, "--port", str(port)],
        folder=home.mlflow,
        address=f"http://{HOST}:{port}/health",
        log=home.root / "logs" / "mlflow.log",
        leader_first=False,
    )


def _metrics(home: Home, port: int) -> Service:
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "metrics", "--port", str(port)]
    return Service(
        name="The exporter of metrics",
        command=command,
        folder=PROJECT_ROOT,
        address=f"http://{HOST}:{port}/health",
        log=home.root / "logs" / "metrics.log",
        leader_first=False,
    )


def _serving(home: Home, port: int) -> Service:
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "serve"]
    return Service(
        name="The online service",
        command=[*command, "--host", HOST, "--port", str(port)],
        folder=PROJECT_ROOT,
        address=f"http://{HOST}:{port}/livez",
        log=home.root / "logs" / "serving.log",
        leader_first=True,
    )


def _traffic(home: Home, port: int, rate: float) -> Service:
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "traffic", "--rate", str(rate)]
    return Service(
        name="The traffic",
        command=[*command, "--url", f"http://{HOST}:{port}"],
        folder=PROJECT_ROOT,
        # It has no address of its own: it is up when the one it talks to is.
        address=f"http://{HOST}:{port}/livez",
        log=home.root / "logs" / "traffic.log",
        leader_first=True,
    )


def require_free(port: int, *, option: str) -> None:
    """Do nothing if a port can be had.

    Raises:
        ValueError: another program has it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ValueError(
                f"Port {port} cannot be had ({error.strerror}). Stop the program that has it, or choose "
                f"another: mlops up {option} {port + 1}. Nothing was started."
            ) from error


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, SIGTERM and a closed terminal set, instead of ending this process."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_until_up(services: Sequence[Service], dagster: str, stop: threading.Event) -> bool:
    """Wait until all answer, the code location is loaded and the daemon runs; False if stopped before that.

    Raises:
        ServiceDied: one has ended, or it took longer than `START_SECONDS`.
    """
    deadline = time.monotonic() + START_SECONDS
    while not stop.is_set():
        for service in services:
            service.require_alive()
        if all(service.answers() for service in services) and _is_healthy(dagster):
            return True
        if time.monotonic() > deadline:
            silent = next((service for service in services if not service.answers()), services[0])
            raise ServiceDied(
                f"{silent.name} is not up after {START_SECONDS:.0f} s. "
                f"Its last lines, of {silent.log}:\n{silent.tail()}"
            )
        stop.wait(0.5)
    return False


def _is_healthy(dagster: str) -> bool:
    """Whether every required daemon runs and every code location is loaded.

    Raises:
        ServiceDied: a code location cannot be loaded; there is nothing to show and no sensor to run.
    """
    request = urllib.request.Request(
        f"{dagster}/graphql",
        data=json.dumps({"query": HEALTH}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer = json.load(reply)["data"]
    except (OSError, ValueError, KeyError):
        return False
    locations: list[dict[str, Any]] = answer["workspaceOrError"].get("locationEntries", [])
    for location in locations:
        loaded = location["locationOrLoadError"]
        if loaded and loaded["__typename"] == "PythonError":
            raise ServiceDied(
                f"The code location {location['name']} cannot be loaded; mend it and start again "
                f"(`make check` says the same):\n{loaded['message'].strip()}"
            )
    daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    return (
        bool(locations)
        and all(location["loadStatus"] == "LOADED" for location in locations)
        and all(daemon["healthy"] for daemon in daemons if daemon["required"])
    )


def _say_addresses(home: Home, addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        say(f"{name:<9} {address}")
    say(f"The daemon runs, all sensors are on. Logs: {home.root / 'logs'}. Ctrl-C stops everything.")


def _watch(services: Sequence[Service], stop: threading.Event) -> None:
    """Return when asked to stop.

    Raises:
        ServiceDied: one has ended.
    """
    while not stop.wait(0.5):
        for service in services:
            service.require_alive()


def stop_all(services: Sequence[Service]) -> None:
    """Stop all at the same time; whatever is left after `STOP_SECONDS` is killed."""
    for service in services:
        service.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    for service in services:
        service.ensure_stopped(deadline)
