"""The second demo: half a year of card payments out of a stream, with changes on known days.

Here: what is streamed and replayed. Not here: the made-up world (`landing.card_world`), the replay (`replay`).

The broker is librdkafka's own mock cluster in this process: it speaks Kafka's protocol on the loopback device, forgets
everything when the process ends, and needs nothing installed. A stopped demo makes the same messages anew, at the same
offsets, and goes on where the files end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.values.extras import importing
from mlops_assets.landing.card_payments import (
    CONFIRMATIONS,
    DAYS,
    PAYMENTS,
    SCRIPT,
    START,
    STORIES,
    ConfirmationFiles,
    Day,
    demo_world,
    feed,
)
from mlops_assets.simulate.changes import KnownChange
from mlops_assets.simulate.demo import TRIALS, come_to_rest, leave_others_alone, replay_steps, stages_of
from mlops_assets.simulate.replay import Progress, Replayed, replay
from mlops_assets.simulate.replay_settings import ReplaySettings
from mlops_assets.steps.land.stream_consumer import StreamReader
from mlops_assets.steps.land.stream_log import StreamLog
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform

if TYPE_CHECKING:
    from confluent_kafka import Producer

MODEL = "card_fraud"
FROM, TO = date(2013, 3, 25), date(2013, 7, 15)
CUSTOMERS = 1000
BETWEEN_READS = 7
"""Days that are sent before they are read: the mock cluster keeps a few megabytes."""


def demo_fraud(*, home: Home, trials: int | None = None, progress: Progress = lambda *_: None) -> Replayed:
    """Stream half a year, train on seven weeks, replay sixteen week by week.

    Args:
        home: the main home; it gets the data clock, so that it is quiet afterwards.
        trials: Optuna trials of a training.
        progress: told how far it is.

    Raises:
        MissingExtra: Kafka's client is not installed.
    """
    settings = ReplaySettings(model=MODEL, start=FROM, end=TO, every="week", trials=trials or TRIALS)
    home.configure(replace(home.settings, clock="data", trials=settings.trials, trainings=None))
    home.prepare()
    stages = stages_of(progress, (DAYS // BETWEEN_READS, replay_steps(settings, home), 1))
    stream_payments(home, progress=next(stages))
    leave_others_alone(home, MODEL)
    changes = [KnownChange(c.name, STORIES[c.name], c.first, c.last) for c in SCRIPT.changes]
    report = home.root / "reports" / "demo_fraud"
    replayed = replay(settings, home=home, report=report, progress=next(stages), changes=changes)
    come_to_rest(home, next(stages))
    return replayed


def stream_payments(
    home: Home, *, days: int = DAYS, customers: int = CUSTOMERS, progress: Progress = lambda *_: None
) -> None:
    """Send payments through a broker into the landing folder; write the files of confirmations beside them."""
    source = Platform.of(home).sources.settings()[PAYMENTS]
    if not isinstance(source, StreamSettings):
        raise ValueError(f"{PAYMENTS} is declared as another kind of source: restore its defs.yaml.")
    last = START + timedelta(days=days - 2)
    if (home.landing / PAYMENTS / source.files.replace("{partition}", last.isoformat())).exists():
        return
    stored = StreamLog(home.landing / PAYMENTS / "messages").positions()
    files, sent = ConfirmationFiles(home.landing / CONFIRMATIONS), dict[int, int]()
    with mock_broker(source) as producer:
        for number, day in enumerate(feed(demo_world(customers), days), start=1):
            _send(producer, source.stream.topic, day, sent)
            files.add(day)
            is_behind = any(sent.get(partition, 0) < at for partition, at in stored.items())
            if not is_behind and (number % BETWEEN_READS == 0 or number == days):
                progress(f"streaming card payments of {day.day:%B}", number, days)
                StreamReader(home, source).run(until_end=True)


@contextmanager
def mock_broker(source: StreamSettings) -> Iterator[Producer]:
    """A Kafka cluster of one broker on the loopback device, as long as the block lasts; a producer to it.

    Raises:
        MissingExtra: Kafka's client is not installed.
    """
    with importing("stream", "Kafka's client"):
        from confluent_kafka import Producer
    # log_level 3: that the cluster is a mock is no news.
    producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 3})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    variable = source.stream.servers_env
    before = os.environ.get(variable)
    os.environ[variable] = f"{broker.host}:{broker.port}"
    try:
        yield producer
    finally:
        os.environ.pop(variable)
        if before is not None:
            os.environ[variable] = before


def _send(producer: Producer, topic: str, day: Day, sent: dict[int, int]) -> None:
    """Produce a day's messages; `sent` counts what has arrived, by partition."""

    def arrived(error: Any, message: Any) -> None:
        if error is not None:
            raise RuntimeError(f"the mock broker has refused a message: {error}. Start the demo again.")
        sent[message.partition()] = message.offset() + 1

    for key, value, at in zip(day.keys, day.messages, day.sent_ms, strict=True):
        producer.produce(topic, value=value, key=key, timestamp=at, on_delivery=arrived)
        producer.poll(0)
    producer.flush()
