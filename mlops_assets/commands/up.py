"""`mlops up`: Dagster's webserver and daemon, the MLflow UI, the metrics and the online service, stopped together.

Here: which services there are, and the command. Not here: starting, watching and stopping a process (`services`), what
they run (`definitions`), where they keep things (`world.home`).

`dagster dev` is taken because webserver and daemon then share one code server: started apart, each would load
the code location for itself. It stops cleanly on SIGINT, as from a terminal; the groups are killed only when
that took too long.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from mlops_assets.commands import running
from mlops_assets.commands.console import example, say, use_home
from mlops_assets.commands.services import (
    HOST,
    Service,
    load_anew,
    require_free,
    stop_all,
    stop_signals,
    wait_until_up,
)
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.values.display import shown
from mlops_assets.world.alerts.webhooks import URLS, Webhooks
from mlops_assets.world.home import Home
from mlops_assets.world.landed.fleet_values import BroughtValues, brought_values
from mlops_assets.world.project import PROJECT

LOOK_SECONDS = 15.0
"""Between two looks at the members of fleets."""
_NAMED = 5


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
    from mlops_assets.commands.readers import readers

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
        services += readers(place)
        say(f"Starting in {place.root} …")
        _end_left_over_runs(place)
        # Before anything is loaded: what the first runs bring is not.
        members = NewMembers(place, dagster)
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
                        "Webhooks": _webhooks(place),
                    },
                )
                _watch(services, stop, members)
        finally:
            say("Stopping …")
            stop_all(services)
            say("All stopped.")


def _end_left_over_runs(home: Home) -> None:
    """Runs that stopped with the last `mlops up`: they are run again, and nothing waits for them."""
    import dagster as dg

    from mlops_assets.steps.keep.left_over_runs import bury

    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        for run_id in bury(instance):
            say(f"Run {run_id[:8]} stopped with the last mlops up: it is run again.")


def _dagster(home: Home, port: int) -> Service:
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT.workspace)]
    return Service(
        name="Dagster",
        command=[*command, "-h", HOST, "-p", str(port)],
        folder=PROJECT.root,
        address=f"http://{HOST}:{port}/server_info",
        log=home.root / "logs" / "dagster.log",
        leader_first=True,
    )


def _mlflow(home: Home, port: int) -> Service:
    uri = home.mlflow_uri
    # Not left to MLflow: it would make a lost store anew, empty and silent.
    from mlops_assets.world.mlflow.store import prepare_store

    prepare_store(home, uri)
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
        folder=PROJECT.root,
        address=f"http://{HOST}:{port}/health",
        log=home.root / "logs" / "metrics.log",
        leader_first=False,
    )


def _serving(home: Home, port: int) -> Service:
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "serve"]
    return Service(
        name="The online service",
        command=[*command, "--host", HOST, "--port", str(port)],
        folder=PROJECT.root,
        address=f"http://{HOST}:{port}/livez",
        log=home.root / "logs" / "serving.log",
        leader_first=True,
    )


def _traffic(home: Home, port: int, rate: float) -> Service:
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "traffic", "--rate", str(rate)]
    return Service(
        name="The traffic",
        command=[*command, "--url", f"http://{HOST}:{port}"],
        folder=PROJECT.root,
        # It has no address of its own: it is up when the one it talks to is.
        address=f"http://{HOST}:{port}/livez",
        log=home.root / "logs" / "traffic.log",
        leader_first=True,
    )


def _webhooks(home: Home) -> str:
    """Who is told by programs; what is set wrong would else stand in the sensor's ticks alone."""
    try:
        urls = Webhooks.from_environment(home.root).urls
    except ValueError as error:
        return f"{error} Correct it, and start mlops up anew."
    return counted(len(urls), "receiver") if urls else f"none ({URLS})"


def _say_addresses(home: Home, addresses: dict[str, str]) -> None:
    for name, address in addresses.items():
        say(f"{name:<9} {address}")
    say(f"The daemon runs, all sensors are on. Logs: {home.root / 'logs'}. Ctrl-C stops everything.")


@dataclass
class NewMembers:
    """Has Dagster load the definitions anew when data have brought members to a fleet, so that they have pages."""

    home: Home
    dagster: str
    loaded: tuple[BroughtValues, ...] = field(init=False)
    looked_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Members that are there now are loaded already."""
        self.loaded, self.looked_at = brought_values(self.home), time.monotonic()

    def look(self) -> None:
        """Look once in a while; where Dagster does not answer, again the next time."""
        if time.monotonic() - self.looked_at < LOOK_SECONDS:
            return
        self.looked_at = time.monotonic()
        brought = brought_values(self.home)
        if brought != self.loaded and load_anew(self.dagster):
            before = {(each.fleet, value) for each in self.loaded for value in each.values}
            new = [
                (each.fleet, value) for each in brought for value in each.values if (each.fleet, value) not in before
            ]
            names = ", ".join(f"{fleet} {shown(value)}" for fleet, value in new[:_NAMED])
            say(escape(f"{counted(len(new), 'new member')} of fleets loaded: {names}{', ...' * (len(new) > _NAMED)}."))
            self.loaded = brought


def _watch(services: Sequence[Service], stop: threading.Event, members: NewMembers) -> None:
    """Return when asked to stop.

    Raises:
        ServiceDied: one has ended.
    """
    while not stop.wait(0.5):
        for service in services:
            service.require_alive()
        members.look()
