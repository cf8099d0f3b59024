"""A Kafka cluster of one broker on the loopback device: librdkafka's own mock, which speaks the real protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.streams.feed import FORKING, SERVERS, Topic

NUMBERS = count()


@pytest.fixture(scope="session")
def cluster() -> tuple[Any, str]:
    """The producer that the cluster lives in, and its address."""
    producer = Producer(
        {"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 3, "allow.auto.create.topics": True}
    )
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    return producer, f"{broker.host}:{broker.port}"


@pytest.fixture
def servers(cluster: tuple[Any, str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(SERVERS, cluster[1])
    return cluster[1]


@pytest.fixture
def topic(cluster: tuple[Any, str], servers: str) -> Callable[[], Topic]:
    """A maker of topics that nobody else uses."""
    return lambda: Topic(cluster[0], f"sales-{next(NUMBERS)}")


@pytest.fixture(scope="module")
def forking() -> Iterator[None]:
    """The process that readers are forked from: it has loaded everything, and no thread of Kafka's."""
    from multiprocessing import forkserver

    forkserver._forkserver._stop()
    FORKING.set_forkserver_preload(["tests.streams.feed", "mlops_assets.steps.land.stream_landing", "pandera.pandas"])
    try:
        yield
    finally:
        forkserver._forkserver._stop()
        FORKING.set_forkserver_preload([])
