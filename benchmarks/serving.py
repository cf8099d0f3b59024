"""One row over HTTP with its features in the request: `mlops serve` beside `mlflow models serve`, the same model.

Both run one process, are asked by the same client from a process of its own, one after the other. The model reads all
features of flight_delay. Target: 20 times the throughput, and a 99th percentile under 3 ms.

Usage: python benchmarks/serving.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.matrix import FeatureColumn
from mlops_assets.core.model import Recipe, fit
from mlops_assets.resources.home import PROJECT_ROOT, Home
from mlops_assets.resources.mlflow_store import artifact_location
from mlops_assets.resources.platform import Platform

MODEL = "flight_delay"
CONNECTIONS = 4
ROUNDS = 100


def frame(kinds: dict[str, str], count: int) -> pd.DataFrame:
    """Rows of these features."""
    rng = np.random.default_rng(0)
    texts = ["UA", "DL", "AA", "B6"]
    return pd.DataFrame(
        {n: rng.choice(texts, count) if k == "categorical" else rng.normal(size=count) for n, k in kinds.items()}
    )


def prepare(home: Home) -> dict[str, Any]:
    """A home with a champion; the features of one row."""
    home.prepare()
    platform = Platform.of(home)
    model = platform.models()[MODEL]
    views = [platform.catalogue.view(name) for name in model.features]
    kinds = {f"{view.name}__{f.name}": f.kind for view in views for f in view.trained_features}
    rows = frame(kinds, 2_000)
    numbers = rows.select_dtypes("number").to_numpy()
    columns = tuple(FeatureColumn(name, kind) for name, kind in kinds.items())
    recipe = Recipe("xgboost", "binary", {"objective": "binary:logistic", "max_depth": 6}, ROUNDS, columns)
    made = fit(recipe, rows, (numbers[:, :3].sum(axis=1) > 0).astype(int))
    client = platform.registry.client
    place = artifact_location(home, home.mlflow_uri, "bench")
    run = client.create_run(client.create_experiment("bench", artifact_location=place))
    platform.registry.register(MODEL, made, run_id=run.info.run_id)
    platform.registry.promote(MODEL, 1, decision_id="bench", reason="a benchmark")
    return dict(json.loads(rows.head(1).to_json(orient="records"))[0])


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, path: str, log: Path) -> Iterator[None]:
    """A server, from when it answers."""
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=sink, stderr=sink, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(log.read_text()) from None
                time.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def ask(port: int, path: str, body: bytes, seconds: float) -> list[float]:
    """Ask over one connection for some time; seconds of each answer."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    request = head.encode() + b"\r\n\r\n" + body
    took = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65536)
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            top, _, rest = answer.partition(b"\r\n\r\n")
            if not top.startswith(b"HTTP/1.1 200"):
                raise SystemExit(answer.decode())
            lengths = [int(line.split(b":")[1]) for line in top.lower().split(b"\r\n") if b"content-length" in line]
            while len(rest) < lengths[0]:
                rest += connection.recv(65536)
            took.append(time.perf_counter() - began)
    return took


def measure(port: int, path: str, body: bytes, seconds: float) -> dict[str, float]:
    """Latency over one connection, throughput over several."""
    ask(port, path, body, 1.0)
    took = np.array(ask(port, path, body, seconds)) * 1000
    all_of_them: list[float] = []
    threads = [
        threading.Thread(target=lambda: all_of_them.extend(ask(port, path, body, seconds))) for _ in range(CONNECTIONS)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "p50_ms": round(float(np.percentile(took, 50)), 3),
        "p99_ms": round(float(np.percentile(took, 99)), 3),
        "per_second_one": round(len(took) / seconds, 1),
        f"per_second_{CONNECTIONS}": round(len(all_of_them) / (time.perf_counter() - began), 1),
    }


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    seconds = 3.0 if parser.parse_args().quick else 10.0
    with tempfile.TemporaryDirectory() as scratch:
        home = Home(Path(scratch) / "home")
        os.environ.update(home.environment())
        features = prepare(home)
        ours, theirs = free_port(), free_port()
        command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "serve", "--port", str(ours)]
        with running(command, ours, "/v2/health/ready", home.root / "ours.log"):
            row = {"features": features, "event_timestamp": "2013-01-05T12:00:00Z"}
            body = json.dumps({"rows": [row]}).encode()
            found = {"mlops_serve": measure(ours, f"/predict/{MODEL}", body, seconds)}
        os.environ["MLFLOW_TRACKING_URI"] = home.mlflow_uri
        # MLflow calls uvicorn by its name.
        os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{MODEL}@champion"]
        command += ["--env-manager", "local", "--port", str(theirs), "--workers", "1"]
        with running(command, theirs, "/ping", home.root / "theirs.log"):
            body = json.dumps({"dataframe_records": [features]}).encode()
            found["mlflow_models_serve"] = measure(theirs, "/invocations", body, seconds)
    ratios = {
        f"throughput_ratio_{n}": round(
            found["mlops_serve"][f"per_second_{n}"] / found["mlflow_models_serve"][f"per_second_{n}"], 1
        )
        for n in ("one", CONNECTIONS)
    }
    target = "20 times the throughput of mlflow models serve, p99 under 3 ms"
    print(json.dumps({"target": target, "features": len(features), "trees": ROUNDS, **found, **ratios}))


if __name__ == "__main__":
    main()
