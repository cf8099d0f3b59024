"""The online service on this machine, beside `mlflow models serve` and bare XGBoost, in one run.

One row of flight_delay's features over HTTP: throughput of both servers with each one's default (one process), the time
of an answer at half of the service's own maximum with the features in the request and with five views looked up, what a
canary and a shadow cost the caller, and memory under load. The load generator (`load.py`) is a process of its own and
shares the cores; its floor stands beside. Batch scoring of 1,000,000 x 50 stands beside XGBoost's own.

Usage: python benchmarks/serving.py [--quick] [--minutes 10]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from load import apart, closed, nothing, paced, request_of

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.store import artifact_location
from mlops_assets.world.platform import Platform
from tests.checkout import CHECKOUT

MODEL = "flight_delay"
SENT = "feat_flight"
"""The view whose features a caller knows; the other five are looked up."""
CONNECTIONS = 8
TREES = 100
ENTITIES = 200
ROUNDS_SECONDS = 12.0
"""Long enough for a round of the service's log at least."""
TARGET = (
    "20 times the throughput of mlflow models serve; p99 under 3 ms at half of the maximum, under 6 ms with 5 views "
    "looked up; 1,000,000 x 50 within 1.5 times XGBoost; canary and shadow under 1 ms; memory flat"
)


def frame(kinds: dict[str, str], count: int, seed: int = 0) -> pd.DataFrame:
    """Rows of these features."""
    rng = np.random.default_rng(seed)
    texts = ["UA", "DL", "AA", "B6"]
    return pd.DataFrame(
        {n: rng.choice(texts, count) if k == "categorical" else rng.normal(size=count) for n, k in kinds.items()}
    )


def kinds_of(platform: Platform) -> dict[str, str]:
    """The features that the model reads."""
    views = [platform.catalogue.view(name) for name in platform.models()[MODEL].features]
    return {f"{view.name}__{f.name}": f.kind for view in views for f in view.trained_features}


def fitted(kinds: dict[str, str], seed: int) -> Model:
    """A model of these features."""
    rows = frame(kinds, 2_000)
    numbers = rows.select_dtypes("number").to_numpy()
    columns = tuple(FeatureColumn(name, kind) for name, kind in kinds.items())
    recipe = Recipe("xgboost", "binary", {"objective": "binary:logistic", "max_depth": 6}, TREES, columns, seed=seed)
    return fit(recipe, rows, (numbers[:, :3].sum(axis=1) > 0).astype(int))


def prepare(home: Home) -> dict[str, Any]:
    """A home with a champion and a second version; the features of one row."""
    home.prepare()
    platform = Platform.of(home)
    kinds = kinds_of(platform)
    client = platform.registry.client
    place = artifact_location(home, home.mlflow_uri, "bench")
    experiment = client.create_experiment("bench", artifact_location=place)
    for seed in (0, 1):
        run = client.create_run(experiment)
        platform.registry.register(MODEL, fitted(kinds, seed), run_id=run.info.run_id)
    platform.registry.promote(MODEL, 1, decision_id="bench", reason="a benchmark")
    return dict(json.loads(frame(kinds, 1).to_json(orient="records"))[0])


def keys_of(number: int) -> dict[str, str]:
    """One flight's entity keys."""
    return {key: f"{key}{number % ENTITIES}" for key in ("flight_id", "carrier", "origin", "dest", "route", "tailnum")}


def bring_online(home: Home) -> None:
    """Features of some entities in every view, as of now."""
    platform = Platform.of(home)
    store, now = platform.features.store(), pd.Timestamp.now(tz="UTC").floor("s")
    for name in platform.models()[MODEL].features:
        view = store.get_feature_view(name)
        rows: dict[str, Any] = {
            key: [keys_of(n).get(key, f"{key}{n}") for n in range(ENTITIES)] for key in view.join_keys
        }
        for each in view.features:
            kind = str(each.dtype)
            texts = kind.startswith("String")
            rows[each.name] = ["UA" if texts else n if kind.startswith("Int") else n + 0.5 for n in range(ENTITIES)]
        stamped = pd.DataFrame(rows).assign(event_timestamp=now, created_timestamp=now)
        store.write_to_online_store(name, stamped)


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, path: str, log: Path) -> Iterator[psutil.Process]:
    """A server, from when it answers."""
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=sink, stderr=sink, start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(log.read_text()) from None
                time.sleep(0.2)
        yield psutil.Process(process.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@contextmanager
def serving(home: Home) -> Iterator[tuple[int, psutil.Process]]:
    """The service of a home; its port and process."""
    port = free_port()
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "serve", "--port", str(port)]
    with running([*command, "--rate", "1000000"], port, "/v2/health/ready", home.root / "ours.log") as process:
        yield port, process


@contextmanager
def mlflow_serving(home: Home) -> Iterator[tuple[int, psutil.Process]]:
    """MLflow's server of the same model, with its defaults; its port and process."""
    port = free_port()
    # MLflow calls uvicorn by its name.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{MODEL}@champion"]
    command += ["--env-manager", "local", "--port", str(port)]
    with running(command, port, "/ping", home.root / "theirs.log") as process:
        yield port, process


def milliseconds(took: np.ndarray) -> dict[str, float]:
    """Percentiles of the seconds of answers."""
    found = np.percentile(took, [50, 99, 99.9]) * 1000
    return dict(zip(("p50_ms", "p99_ms", "p999_ms"), found.round(3).tolist(), strict=True))


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process and those that it started."""
    every = [process, *process.children(recursive=True)]
    return sum(sum(each.cpu_times()[:2]) for each in every)


def throughput(port: int, process: psutil.Process, request: bytes, seconds: float) -> dict[str, float]:
    """What a server can do over one connection, and over several."""
    apart(closed, port, [request], 1, 1.0)
    one = apart(closed, port, [request], 1, seconds)
    before = cpu(process)
    several = apart(closed, port, [request], CONNECTIONS, seconds)
    return {
        "per_second_one": round(len(one) / seconds, 1),
        f"per_second_{CONNECTIONS}": round(len(several) / seconds, 1),
        "cpu_ms_a_request": round((cpu(process) - before) / len(several) * 1000, 3),
        **milliseconds(one),
    }


def half(port: int, requests: Sequence[bytes], seconds: float) -> dict[str, float]:
    """How long answers take at half of what the service can do with these requests, and what nothing takes then."""
    most = len(apart(closed, port, requests, CONNECTIONS, seconds / 2)) / (seconds / 2)
    took = milliseconds(apart(paced, port, requests, CONNECTIONS, max(seconds, ROUNDS_SECONDS), most / 2))
    with nothing(requests[0]) as nobody:
        floor = milliseconds(apart(paced, nobody, [requests[0]], CONNECTIONS, seconds, most / 2))
    beside = {f"floor_{name}": value for name, value in floor.items()}
    return {"most_per_second": round(most, 1), **took, **beside}


def rollouts(home: Home, port: int, requests: Sequence[bytes], seconds: float) -> dict[str, Any]:
    """What a canary and a shadow cost the caller: median and p99 at a steady rate, each beside none."""
    registry = Platform.of(home).registry
    registry.alias(MODEL, "candidate", 2)
    found: dict[str, list[dict[str, float]]] = {"none": [], "canary": [], "shadow": []}
    tags = {"none": {"rollout_state": "done"}, "shadow": {"rollout_state": "shadow"}}
    tags["canary"] = {"rollout_state": "canary", "rollout_share": "0.25"}
    for name in ("none", "canary", "shadow") * 3:
        registry.tag(MODEL, 2, tags[name])
        time.sleep(1.5)
        found[name].append(milliseconds(apart(paced, port, requests, CONNECTIONS, seconds, 200.0)))
    registry.tag(MODEL, 2, tags["none"])
    middle = {
        name: {key: statistics.median(each[key] for each in runs) for key in ("p50_ms", "p99_ms")}
        for name, runs in found.items()
    }
    costs = {
        f"{name}_costs_{key}": round(middle[name][key] - middle["none"][key], 3)
        for name in ("canary", "shadow")
        for key in ("p50_ms", "p99_ms")
    }
    return {"at": "200 a second", **middle, **costs}


def memory(
    port: int, process: psutil.Process, requests: Sequence[bytes], rate: float, minutes: float
) -> dict[str, Any]:
    """Resident memory of the service and of what moves its log, under load, at the end of each tenth of the time."""
    sizes, movers, took = [], [], []
    for _ in range(10):
        took.append(apart(paced, port, requests, CONNECTIONS, minutes * 6, rate))
        sizes.append(round(process.memory_info().rss / 2**20))
        movers.append(round(sum(child.memory_info().rss for child in process.children()) / 2**20))
    return {
        "minutes": minutes,
        "rate": round(rate, 1),
        "mib": sizes,
        "mover_mib": movers,
        **milliseconds(np.concatenate(took)),
    }


def batch(rows: int, columns: int, repeats: int) -> dict[str, float]:
    """Scoring a frame as the predictions asset does, and XGBoost's own prediction of the same frame."""
    import xgboost

    kinds = {f"v__x{place}": "numeric" for place in range(columns)}
    model = fitted(kinds, 0)
    values = frame(kinds, rows).astype("float32")
    booster = xgboost.Booster(model_file=bytearray(model.content))
    times: dict[str, list[float]] = {"model_seconds": [], "xgboost_seconds": []}
    for _ in range(repeats):
        for name, predict in (
            ("model_seconds", model.predict),
            ("xgboost_seconds", lambda each: booster.inplace_predict(each, validate_features=False)),
        ):
            began = time.perf_counter()
            predict(values)
            times[name].append(time.perf_counter() - began)
    best = {name: round(min(each), 3) for name, each in times.items()}
    return {
        "rows": rows,
        "columns": columns,
        **best,
        "ratio": round(best["model_seconds"] / best["xgboost_seconds"], 2),
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument(
        "--minutes", type=float, help="of load, to see whether memory stays flat; default 10, quick 0.5"
    )
    options = parser.parse_args()
    seconds = 3.0 if options.quick else 10.0
    minutes = options.minutes or (0.5 if options.quick else 10.0)
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch) / "home")
        os.environ.update(home.environment())
        features = prepare(home)
        bring_online(home)
        at = "2013-01-05T12:00:00Z"
        whole = request_of(
            f"/predict/{MODEL}", json.dumps({"rows": [{"features": features, "event_timestamp": at}]}).encode()
        )
        sent = {name: value for name, value in features.items() if name.startswith(SENT)}
        rows = [{"features": sent, "entities": keys_of(n), "event_timestamp": at} for n in range(ENTITIES)]
        looked_up = [request_of(f"/predict/{MODEL}", json.dumps({"rows": [row]}).encode()) for row in rows]
        keyed = [{"features": features, "entities": keys_of(n), "event_timestamp": at} for n in range(ENTITIES)]
        by_entity = [request_of(f"/predict/{MODEL}", json.dumps({"rows": [row]}).encode()) for row in keyed]
        theirs = request_of("/invocations", json.dumps({"dataframe_records": [features]}).encode())
        found: dict[str, Any] = {"load_at_start": os.getloadavg()[0]}
        os.environ["MLFLOW_TRACKING_URI"] = home.mlflow_uri
        with serving(home) as (port, process), mlflow_serving(home) as (their_port, their_process):
            # Twice, in turn: what else the machine does meets both.
            ours_runs, their_runs = [], []
            for _ in range(2):
                ours_runs.append(throughput(port, process, whole, seconds))
                their_runs.append(throughput(their_port, their_process, theirs, seconds))
            found["mlops_serve"], found["mlflow_models_serve"] = ours_runs, their_runs
            with nothing(whole) as nobody:
                answered = apart(closed, nobody, [whole], CONNECTIONS, min(seconds, 3.0))
            found["floor_per_second"] = round(len(answered) / min(seconds, 3.0), 1)
        with serving(home) as (port, process):
            apart(closed, port, looked_up, 1, 1.0)
            found["half_of_the_maximum"] = half(port, [whole], seconds)
            found["five_views_at_half_of_the_maximum"] = half(port, looked_up, seconds)
            found["rollout"] = rollouts(home, port, by_entity, seconds)
            rate = found["half_of_the_maximum"]["most_per_second"] / 2
            found["memory"] = memory(port, process, [whole], rate, minutes)
    found["batch"] = batch(100_000 if options.quick else 1_000_000, 50, 2 if options.quick else 3)
    found["load_at_end"] = os.getloadavg()[0]
    ratios = {
        f"throughput_ratio_{n}": round(
            statistics.mean(run[f"per_second_{n}"] for run in found["mlops_serve"])
            / statistics.mean(run[f"per_second_{n}"] for run in found["mlflow_models_serve"]),
            1,
        )
        for n in ("one", CONNECTIONS)
    }
    print(json.dumps({"target": TARGET, "features": len(features), "trees": TREES, **ratios, **found}))


if __name__ == "__main__":
    main()
