"""The online service with one model and with a thousand: its start, a warm and a cold answer, a promotion, its memory.

The project of `fleet.py`: a source of made-up orders, one model that has lived through a replay, and copies of it, each
with a file of its own (the same trees, another seed in the recipe), so that no two share memory. One row over HTTP by
`load.py`, a process of its own on the same cores.

Targets: the start (CPU and wall time to a ready service) and the median of a warm answer with 1,000 models as with
one, a cold model's first answer under 100 ms (p95 of 50), a promotion in service within 2 s with one load and no
request lost.

Usage: python benchmarks/serving_fleet.py [--quick] [--in FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from fleet import CLI, FIRST, ROOT, Place, copies, first_model
from load import apart, closed, paced, request_of
from serving import free_port

from mlops_assets.core.models.families.xgboost import ATTRIBUTE
from mlops_assets.core.models.model import Model
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry

AT = "2024-04-14T12:00:00Z"
SMALL = "16MiB"
"""Memory for some forty of these models, so that the others are cold."""


def own_files(place: Place, names: Sequence[str]) -> None:
    """Give each model's versions files of their own."""
    with closing(sqlite3.connect(place.home / "mlflow" / "mlflow.db")) as connection, connection:
        of_first = connection.execute("select version from model_versions where name = ?", [FIRST]).fetchall()
        for number, name in enumerate(names, 1):
            for (version,) in of_first:
                own_file(place, connection, name, version, seed=10_000 * version + number)


def own_file(place: Place, connection: sqlite3.Connection, name: str, version: int, seed: int) -> None:
    """Give a version a file of its own."""
    at = [name, version]
    (source,) = connection.execute("select source from model_versions where name = ? and version = ?", at).fetchone()
    content = Path(source.removeprefix("file://"), "model.ubj").read_bytes()
    model = other(Model.from_bytes(content), seed)
    folder = place.home / "mlflow" / "artifacts" / name / f"{version}-{seed}"
    folder.mkdir(parents=True)
    (folder / "model.ubj").write_bytes(model.content)
    connection.execute("update model_versions set source = ? where name = ? and version = ?", [folder.as_uri(), *at])
    connection.execute(
        "update model_version_tags set value = ? where key = 'sha256' and name = ? and version = ?",
        [model.sha256, *at],
    )


def other(model: Model, seed: int) -> Model:
    """The same trees under another recipe."""
    booster = model.fitted.native
    booster.set_attr(**{ATTRIBUTE: replace(model.recipe, seed=seed).to_json()})
    return Model.from_bytes(bytes(booster.save_raw("ubj")))


class Service:
    """A running service."""

    def __init__(self, place: Place, port: int, process: psutil.Process) -> None:
        self.place, self.port, self.process = place, port, process

    def get(self, path: str) -> Any:
        """What it says."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def cpu(self) -> float:
        """CPU seconds of the process."""
        return float(sum(self.process.cpu_times()[:2]))

    def mib(self) -> int:
        """Its resident memory."""
        return round(self.process.memory_info().rss / 2**20)

    def settled(self) -> dict[str, Any]:
        """What it has in memory, once nothing more is loaded in the background."""
        before: Any = None
        while True:
            memory = self.get("/readyz")["memory"]
            if memory == before:
                return dict(memory)
            before = memory
            time.sleep(3.0)

    def request(self, model: str) -> bytes:
        """One row of a model."""
        features = {f"feat_{FIRST}__f{number}": 0.5 for number in range(8)}
        features |= {f"feat_{FIRST}__event_hour": 12, f"feat_{FIRST}__event_weekday": 7}
        row = {"features": features, "entities": {f"{FIRST}_id": "1"}, "event_timestamp": AT}
        return request_of(f"/predict/{model}", json.dumps({"rows": [row]}).encode())


@contextmanager
def serving(place: Place, *options: str) -> Iterator[tuple[Service, dict[str, Any]]]:
    """The service, from when it is ready, and what its start took."""
    port = free_port()
    env = {**os.environ, **Home(place.home).environment(), "PYTHONPATH": str(ROOT), "MLOPS_PROJECT": str(place.project)}
    command = [sys.executable, "-W", "ignore", "-c", CLI, "serve", "--port", str(port), "--rate", "1000000", *options]
    began = time.perf_counter()
    with (place.home / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=place.project, env=env, stdout=log, stderr=log, start_new_session=True)
    service = Service(place, port, psutil.Process(process.pid))
    try:
        while True:
            try:
                service.get("/readyz")
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - began > 300:
                    raise SystemExit((place.home / "serve.log").read_text()) from None
                time.sleep(0.02)
        start = {"wall_seconds": time.perf_counter() - began, "cpu_seconds": service.cpu(), "mib": service.mib()}
        yield service, start
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def started(place: Place, repetitions: int) -> dict[str, Any]:
    """What a start takes; the median of so many."""
    each = []
    for _ in range(repetitions):
        with serving(place) as (_, start):
            each.append(start)
    return {name: round(statistics.median(start[name] for start in each), 2) for name in each[0]}


def milliseconds(took: np.ndarray) -> dict[str, float]:
    """Percentiles of the seconds of answers."""
    return dict(zip(("p50_ms", "p95_ms", "p99_ms"), (np.percentile(took, [50, 95, 99]) * 1e3).round(3), strict=True))


def warm(one: Service, many: Service, seconds: float) -> dict[str, Any]:
    """Answers of one model over one connection, of both services in turns."""
    services, runs = {"one": one, "many": many}, dict[str, list[dict[str, float]]](one=[], many=[])
    for number in range(8):
        for kind in sorted(services, reverse=bool(number % 2)):
            took = apart(closed, services[kind].port, [one.request(FIRST)], 1, seconds)
            runs[kind].append(milliseconds(took))
    ratios = [b["p50_ms"] / a["p50_ms"] for a, b in zip(runs["one"], runs["many"], strict=True)]
    return {"p50_ratio": round(statistics.median(ratios), 3)} | {
        kind: {name: round(statistics.median(run[name] for run in each), 3) for name in each[0]}
        for kind, each in runs.items()
    }


def cold(service: Service, count: int) -> dict[str, Any]:
    """First answers of models that are not in memory."""
    memory = service.settled()
    names = [each["name"] for each in service.get("/models") if not each["in_memory"]][:count]
    took = []
    for name in names:
        began = time.perf_counter()
        ask(service, name)
        took.append(time.perf_counter() - began)
    after = service.get("/readyz")["memory"]
    return {"models": len(names), "in_memory": memory["models"], "loads": after["loads"] - memory["loads"],
            **milliseconds(np.array(took)), "mib": service.mib()}  # fmt: skip


def ask(service: Service, name: str) -> dict[str, Any]:
    """One answer."""
    head, _, body = service.request(name).partition(b"\r\n\r\n")
    url = f"http://127.0.0.1:{service.port}{head.split()[1].decode()}"
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        (prediction,) = json.load(answer)["predictions"]
        return dict(prediction)


def promoted(service: Service, name: str) -> dict[str, Any]:
    """From a call to promote to the first answer of its version, with traffic on that model and on another."""
    registry = Registry(home=str(service.place.home))
    champion = registry.champion(name)
    assert champion is not None
    seed = time.time_ns()
    version = registry.share(name, champion, tags={"seed": seed})
    with closing(sqlite3.connect(service.place.home / "mlflow" / "mlflow.db")) as connection, connection:
        own_file(service.place, connection, name, version.version, seed % 2**31)
    before, failed, stop = service.get("/readyz")["memory"]["loads"], [], threading.Event()
    load = threading.Thread(target=_traffic, args=(service, (name, FIRST), failed, stop))
    load.start()
    began = time.perf_counter()
    registry.promote(name, version.version, decision_id="bench", reason="a benchmark")
    while ask(service, name)["model_version"] != version.version:
        if time.perf_counter() - began > 30:
            raise SystemExit("The promoted version does not answer after 30 s.")
    took = time.perf_counter() - began
    time.sleep(2.0)
    stop.set()
    load.join()
    return {
        "seconds": round(took, 3),
        "loads": service.get("/readyz")["memory"]["loads"] - before,
        "requests_failed": len(failed),
    }


def _traffic(service: Service, names: Sequence[str], failed: list[str], stop: threading.Event) -> None:
    while not stop.is_set():
        for name in names:
            try:
                ask(service, name)
            except OSError as error:
                failed.append(str(error))


def measure(one: Place, many: Place, names: Sequence[str], *, quick: bool) -> dict[str, Any]:
    """All figures."""
    repetitions, seconds = (1, 1.0) if quick else (5, 5.0)
    figures: dict[str, Any] = {"models": len(names) + 1}
    for name, place in (("one", one), ("many", many)):
        started(place, 1)  # Files into the system's cache.
        figures[f"start_of_{name}"] = started(place, repetitions)
    with serving(one) as (alone, _), serving(many, "--models-memory", "4GiB") as (service, start):
        before = time.perf_counter()
        memory, cpu = service.settled(), service.cpu()
        figures["all_in_memory"] = {
            **memory,
            "mib": service.mib(),
            "mib_of_one_model": alone.mib(),
            "seconds_in_the_background": round(time.perf_counter() - before, 1),
            "cpu_seconds": round(cpu - start["cpu_seconds"], 1),
        }
        figures["warm"] = warm(alone, service, seconds)
        figures["promotions"] = [promoted(service, name) for name in names[: 2 if quick else 5]]
        requests = [service.request(name) for name in names]
        figures["all_asked_in_turn"] = milliseconds(apart(closed, service.port, requests, 1, 6 * seconds))
    with serving(many, "--models-memory", SMALL) as (service, _):
        ask(service, FIRST)
        figures["cold"] = cold(service, 10 if quick else 50)
        apart(closed, service.port, [service.request(name) for name in names], 4, 3 * seconds)
        figures["all_asked_in_turn_in_a_small_memory"] = {**service.get("/readyz")["memory"], "mib": service.mib()}
        rate = apart(paced, service.port, [service.request(FIRST)], 1, seconds, 50.0)
        figures["warm_in_a_small_memory"] = milliseconds(rate)
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 models, fewer repetitions")
    parser.add_argument("--in", dest="folder", type=Path, help="build the homes there, or take those that are there")
    options = parser.parse_args()
    models = 60 if options.quick else 1_000
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        one, many = Place(folder / "one"), Place(folder / f"of_{models}")
        one.home = folder / "one" / "lived"
        if not one.project.exists():
            one = first_model(folder / "one")
        names = [f"m{number:04}" for number in range(1, models)]
        if not many.project.exists():
            many = copies(one, folder / f"of_{models}", models)
            own_files(many, names)
        load = os.getloadavg()[0]
        figures = measure(one, many, names, quick=options.quick)
    print(json.dumps({"benchmark": "serving_fleet", "load_before": round(load, 1), "results": figures}))


if __name__ == "__main__":
    main()
