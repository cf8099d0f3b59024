"""A bounded stream of requests: its rate, what it counts, and what it is made of."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from mlops_assets.serving.rehearsal.traffic import Traffic, _plain

ROW = {"entities": {"id": 1}, "features": {}, "event_timestamp": "2013-01-01T00:00:00+00:00"}


@contextmanager
def answering(status: int = 200, version: int = 7) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A service of one answer; its address, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps({"predictions": [{"arm": "champion", "model_version": version}]}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_it_sends_at_its_rate_for_its_time() -> None:
    with answering() as (address, asked):
        began = time.perf_counter()
        load = Traffic(address, "m", [ROW, {**ROW, "entities": {"id": 2}}], rate=50.0).run(threading.Event(), 0.5)
        assert 0.4 < time.perf_counter() - began < 2.0
    assert (load.sent, load.failed, len(asked)) == (25, 0, 25)
    assert load.arms == {("champion", 7): 25}
    assert {body["rows"][0]["entities"]["id"] for body in asked} == {1, 2}
    assert load.p99_ms is not None
    assert load.first_by_version[7] <= load.last_by_version[7]


def test_it_stops_when_told() -> None:
    with answering() as (address, _), Traffic(address, "m", [ROW], rate=20.0).running() as load:
        while load.sent < 3:
            time.sleep(0.01)
    sent = load.sent
    time.sleep(0.2)
    assert load.sent == sent


def test_what_fails_is_counted_with_its_reason() -> None:
    with answering(503) as (address, _):
        load = Traffic(address, "m", [ROW], rate=50.0).run(threading.Event(), 0.1)
    assert (load.sent, load.failures) == (5, {"HTTP 503": 5})
    gone = Traffic(address, "m", [ROW], rate=50.0).run(threading.Event(), 0.1)
    assert gone.failures == {"nobody answered (ConnectionRefusedError)": 5}


@pytest.mark.parametrize("rate", [0.0, -1.0, 1_000.0, float("nan")])
def test_a_rate_is_bounded(rate: float) -> None:
    with pytest.raises(ValueError, match="choose one up to 200"):
        Traffic("http://127.0.0.1:1", "m", [ROW], rate=rate)


@pytest.mark.parametrize(
    ("value", "kind", "sent"),
    [
        (np.float64(1.5), "numeric", 1.5),
        (np.int64(3), "numeric", 3),
        (float("nan"), "numeric", None),
        (float("inf"), "numeric", None),
        (None, "categorical", None),
        (1545.0, "categorical", 1545),
        ("UA", "categorical", "UA"),
        (np.bool_(True), "boolean", True),
        (1.0, "boolean", True),
    ],
)
def test_values_are_sent_as_json_has_them(value: Any, kind: Any, sent: Any) -> None:
    found = _plain(value, kind)
    assert (found, type(found)) == (sent, type(sent))
