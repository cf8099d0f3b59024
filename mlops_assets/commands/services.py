"""Processes that run until they are stopped: started, watched and stopped together.

Here: one `Service`, its port, waiting until all are up, signals. Not here: which services there are (`up`, `readers`).
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    answer = _asked(dagster, HEALTH, seconds=10)
    if answer is None:
        return False
    locations: list[dict[str, Any]] = answer["workspaceOrError"].get("locationEntries", [])
    for location in locations:
        loaded = location["locationOrLoadError"]
        if loaded and loaded["__typename"] == "PythonError":
            raise ServiceDied(
                f"The code location {location['name']} cannot be loaded; fix it and start again "
                f"(`make check` says the same):\n{loaded['message'].strip()}"
            )
    daemons = answer["instance"]["daemonHealth"]["allDaemonStatuses"]
    return (
        bool(locations)
        and all(location["loadStatus"] == "LOADED" for location in locations)
        and all(daemon["healthy"] for daemon in daemons if daemon["required"])
    )


def load_anew(dagster: str) -> bool:
    """Have Dagster load the definitions anew, as its page does by Deployment, Reload; whether it has.

    Runs that are at work go on with what they have loaded.
    """
    answer = _asked(dagster, "mutation { reloadWorkspace { __typename } }", seconds=START_SECONDS)
    return answer is not None and answer["reloadWorkspace"]["__typename"] == "Workspace"


def _asked(dagster: str, query: str, *, seconds: float) -> Any:
    """What Dagster's webserver answers; None where it does not."""
    request = urllib.request.Request(
        f"{dagster}/graphql",
        data=json.dumps({"query": query}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=seconds) as reply:
            return json.load(reply)["data"]
    except (OSError, ValueError, KeyError):
        return None


def stop_all(services: Sequence[Service]) -> None:
    """Stop all at the same time; whatever is left after `STOP_SECONDS` is killed."""
    for service in services:
        service.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    for service in services:
        service.ensure_stopped(deadline)
