"""Small streams for tests: settings, messages, a home, and a reader that dies at a chosen moment.

What lives here: no assertion.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.steps.land.stream_consumer import StreamReader
from mlops_assets.world.home import Home, HomeSettings

SERVERS = "TEST_KAFKA_SERVERS"
FORKING = multiprocessing.get_context("forkserver")


def source(topic: str = "sales", **stream: Any) -> StreamSettings:
    """A stream of sales by day."""
    return StreamSettings.model_validate(
        {
            "name": "sales",
            "description": "One row per sale.",
            "event_time": "sold_at",
            "start": "2024-01-01",
            "stream": {"topic": topic, "servers_env": SERVERS, "batch_wait": "0.1s", **stream},
            "contract": {
                "unique": ["sale_id"],
                "columns": {
                    "sale_id": {"type": "string"},
                    "sold_at": {"type": "timestamp"},
                    "price": {"type": "number", "min": 0},
                    "shop": {"type": "string", "allowed": ["north", "south"]},
                    "coupon": {"type": "string", "required": False, "max_null_share": 1},
                },
            },
        }
    )


def sale(number: int, at: str, **changes: Any) -> dict[str, Any]:
    return {"sale_id": f"s{number:04}", "sold_at": at, "price": 1.5 * number, "shop": "north", **changes}


def sales(days: Sequence[int], a_day: int = 6) -> list[dict[str, Any]]:
    """Sales of some days of January 2024, in order of time, numbered through."""
    return [
        sale(day * 100 + number, f"2024-01-{day:02}T{number + 8:02}:00:00Z") for day in days for number in range(a_day)
    ]


def home_of(folder: Path) -> Home:
    home = Home(folder)
    home.configure(HomeSettings(clock="data"))
    return home.prepare()


class Topic:
    """A topic of the mock cluster."""

    def __init__(self, producer: Any, name: str):
        self.producer = producer
        self.name = name

    def send(self, messages: Sequence[dict[str, Any] | bytes | None], *, partition: int | None = None) -> None:
        """Produce, in turns to two partitions unless one is given."""
        for number, message in enumerate(messages):
            value = json.dumps(message).encode() if isinstance(message, dict) else message
            self.producer.produce(self.name, value=value, partition=number % 2 if partition is None else partition)
        self.producer.flush()


def read(home: Home, settings: StreamSettings, **options: Any) -> None:
    StreamReader(home, settings, **options).run(until_end=True)


def landed(home: Home) -> dict[str, list[str]]:
    """The sales in each landed file."""
    files = sorted((home.landing / "sales").glob("*.parquet"))
    return {file.name: sorted(pq.read_table(file)["sale_id"].to_pylist()) for file in files}


def files(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (home.landing / "sales").glob("*.parquet")}


def read_until(root: Path, topic: str, servers: str, calls: int) -> None:
    """Read, in a process of its own, and die just before the n-th call that changes the disk."""
    os.environ[SERVERS] = servers
    seen = 0

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapper

    for name in ("replace", "fsync", "unlink"):
        setattr(os, name, dying(getattr(os, name)))
    read(Home(root), source(topic))


def killed(root: Path, topic: str, servers: str, calls: int) -> bool:
    """Whether a reader died at that moment; False: it came to its end before."""
    process = FORKING.Process(target=read_until, args=(root, topic, servers, calls))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0
