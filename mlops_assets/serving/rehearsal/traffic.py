"""A small, bounded stream of requests to a running service, made of events that have landed.

Here: events as requests, sending them at a steady rate, and what came back. Not here: the service, benchmarks (a load
generator that measures must do less than this one does).
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from mlops_assets.core.models.matrix import ColumnKind
from mlops_assets.core.rollout.answer_counts import Answering, bucket_of
from mlops_assets.core.settings import ModelSettings
from mlops_assets.serving.engine.arms import Contract
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform

_MOST = 200.0
"""Requests a second; more is a benchmark's work."""
EVENTS = 2_000
"""Events that a stream is made of at most; it begins again after the last."""
WORKERS = 4
SECONDS = 10.0
"""For an answer; after that the request has failed."""

Body = dict[str, Any]


def newest_events(
    platform: Platform, model: ModelSettings, *, days: int = 1, most: int = EVENTS, until: date | None = None
) -> list[Body]:
    """Events of the newest days that have any, each as a row of a request with its features as known at its time.

    Args:
        platform: the home whose lake is read.
        model: the monitored model.
        days: how many, up to the model's clock.
        most: events; of more, the newest.
        until: the first day that is not read; by default all are, up to the clock.

    Raises:
        FileNotFoundError: no event has landed.
    """
    data = platform.data(model)
    known = [d for d in platform.lake.partitions("labels", model.label.model) if until is None or d < until]
    now = platform.now(model)
    last = data.day(now - timedelta(microseconds=1))  # at midnight the day that begins has no event yet
    known = [day for day in known if day <= last][-days:]
    events = data.events(known[0], known[-1] + timedelta(days=1), as_of=now) if known else pd.DataFrame()
    if events.empty:
        raise FileNotFoundError(f"No event of {model.name} has landed in {platform.home.root}. Land its sources first.")
    rows = data.with_features(events.tail(most).drop(columns=[LABEL, AVAILABLE_AT]).reset_index(drop=True))
    kinds = Contract.of(model, platform.catalogue).kinds
    features = {name: kinds[name] for name in data.feature_columns}
    return [
        _body(dict(zip(rows.columns, row, strict=True)), data.keys, features)
        for row in rows.itertuples(index=False, name=None)
    ]


def _body(row: Mapping[str, Any], keys: Sequence[str], features: Mapping[str, ColumnKind]) -> Body:
    return {
        "entities": {key: _plain(row[key]) for key in keys},
        "features": {name: _plain(row[name], kind) for name, kind in features.items()},
        "event_timestamp": row[EVENT_TIME].isoformat(),
    }


def _plain(value: Any, kind: ColumnKind | None = None) -> Any:
    """A value as JSON has it; what is missing, or no number, is null."""
    if pd.isna(value) or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if kind == "boolean":
        return bool(value)
    if kind == "categorical" and isinstance(value, float) and value.is_integer():
        return int(value)  # whole numbers beside missing ones are floats in a frame
    return value.item() if isinstance(value, np.generic) else value


@dataclass
class Load:
    """What came back so far. Read it at any time.

    Attributes:
        sent: requests.
        failures: why requests failed, with their number: the status, or that nobody answered.
        arms: answers by arm and version.
        times: answers by bucket of time (`core.rollout.answer_counts`), as the caller sees it.
        first_by_version, second_by_version, last_by_version: when each version gave its first, second and newest answer
            (`time.perf_counter`).
    """

    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    arms: Counter[tuple[str, int]] = field(default_factory=Counter)
    times: Counter[int] = field(default_factory=Counter)
    first_by_version: dict[int, float] = field(default_factory=dict)
    second_by_version: dict[int, float] = field(default_factory=dict)
    last_by_version: dict[int, float] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Requests without an answer."""
        return sum(self.failures.values())

    @property
    def p99_ms(self) -> float | None:
        """Of the answering times."""
        return Answering(self.times).percentile_ms()


class Traffic:
    """Sends rows of one model to a service, one a request, at a steady rate.

    Attributes:
        rows: what is sent, over and over; may be replaced meanwhile.
        load: what came back so far.
    """

    def __init__(self, address: str, model: str, rows: Sequence[Body], *, rate: float, key: str | None = None) -> None:
        if not 0.0 < rate <= _MOST:
            raise ValueError(f"the rate is {rate:g} requests a second: choose one up to {_MOST:g}")
        split = urlsplit(address)
        self._host, self._port, self._is_tls = split.hostname or "127.0.0.1", split.port, split.scheme == "https"
        self._path, self._rate = f"/predict/{model}", rate
        self.rows = rows
        self._headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self.load = Load()
        self._lock = threading.Lock()

    @contextmanager
    def running(self) -> Iterator[Load]:
        """Send as long as the block lasts."""
        stop = threading.Event()
        thread = threading.Thread(target=self.run, args=(stop,), name="traffic", daemon=True)
        thread.start()
        try:
            yield self.load
        finally:
            stop.set()
            thread.join()

    def run(self, stop: threading.Event, seconds: float | None = None) -> Load:
        """Send until told to stop, or for some seconds."""
        began, numbers = time.perf_counter(), itertools.count()

        def work() -> None:
            connection: http.client.HTTPConnection | None = None
            while True:
                with self._lock:
                    number = next(numbers)
                due = number / self._rate
                if (seconds is not None and due >= seconds) or stop.wait(max(0.0, began + due - time.perf_counter())):
                    break
                rows = self.rows
                connection = self._send(connection, rows[number % len(rows)])
            if connection is not None:
                connection.close()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return self.load

    def _send(self, connection: http.client.HTTPConnection | None, row: Body) -> http.client.HTTPConnection | None:
        """One request; gives the connection for the next one, none where it broke."""
        kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        connection = connection or kind(self._host, self._port, timeout=SECONDS)
        began = time.perf_counter()
        try:
            connection.request("POST", self._path, json.dumps({"rows": [row]}), self._headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self._failed(f"nobody answered ({type(error).__name__})")
            return None
        if answer.status != http.client.OK:
            self._failed(f"HTTP {answer.status}")
            return connection
        (given,) = json.loads(content)["predictions"]
        done = time.perf_counter()
        with self._lock:
            self.load.sent += 1
            self.load.arms[given["arm"], given["model_version"]] += 1
            self.load.times[bucket_of(done - began)] += 1
            version = given["model_version"]
            if version in self.load.first_by_version:
                self.load.second_by_version.setdefault(version, done)
            self.load.first_by_version.setdefault(version, done)
            self.load.last_by_version[version] = done
        return connection

    def _failed(self, why: str) -> None:
        with self._lock:
            self.load.sent += 1
            self.load.failures[why] += 1
