"""Reading a topic into files: the loop that `mlops stream` runs.

Here: the broker, batches, how far behind. Not here: the files (`stream_log`), what becomes of them (`stream_landing`).

Offsets are never committed to the broker: where to go on is what the files say (docs/adr/0019).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.core.values.extras import importing
from mlops_assets.steps.land.stream_decoding import NotConfigured, setting
from mlops_assets.steps.land.stream_lag import Lag, write_lag
from mlops_assets.steps.land.stream_landing import StreamLanding
from mlops_assets.steps.land.stream_log import SCHEMA, Segment
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

POLL_SECONDS, POLL_TO_THE_END_SECONDS = 0.5, 0.05
ANSWER_SECONDS = 10.0
"""How long a broker may take to answer."""
LAG_SECONDS = 10.0
"""How often the lag is asked for and written down while nothing else happens."""
READ_AT_ONCE = 10_000


class StreamBroken(RuntimeError):
    """The stream cannot be read on; the message says what to do. What was read is kept."""


@dataclass
class StreamReader:
    """One stream on its way into one home.

    Attributes:
        home: where it lands.
        source: its settings.
        accept_loss: go on where the broker still has messages, if it has deleted some that were not read.
        step: told what has just been done; tests kill the process there.
    """

    home: Home
    source: StreamSettings
    accept_loss: bool = False
    step: Callable[[str], None] = lambda _: None
    _held: dict[int, list[Message]] = field(default_factory=dict)
    _next: dict[int, int] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)
    _sent: dict[int, int] = field(default_factory=dict)

    def run(self, *, until_end: bool = False, stop: Callable[[], bool] = lambda: False) -> None:
        """Read, write and land, until told to stop.

        Args:
            until_end: stop when everything that the topic held is read.
            stop: asked between batches.

        Raises:
            StreamBroken: the topic, a broker or unread messages are gone.
            NotConfigured: the environment says no brokers.
            AlreadyRead: another process reads this stream into this home.
        """
        landing = StreamLanding(self.home, self.source)
        with landing.log.alone(), closing(self._consumer()) as consumer:
            landing.log.sweep()
            self._assign(consumer, landing.log.positions())
            # What a kill has left: by what is known of unread messages, days that go on are not taken for over.
            landing.land(behind=self._behind())
            batch_wait = parse_duration(self.source.stream.batch_wait).total_seconds()
            begun = lag_written = time.monotonic()
            while True:
                self._take(consumer, POLL_TO_THE_END_SECONDS if until_end else POLL_SECONDS)
                at_end = until_end and all(self._next[p] >= end for p, end in self._ends.items())
                now, stopping = time.monotonic(), at_end or stop()
                full = sum(map(len, self._held.values())) >= self.source.stream.batch_rows
                if full or stopping or now - begun >= batch_wait:
                    self._commit(landing)
                    begun = now
                if stopping or now - lag_written >= LAG_SECONDS or full:
                    self._tell_lag(consumer)
                    lag_written = now
                if stopping:
                    return

    def _consumer(self) -> Consumer:
        with importing("stream", "Kafka's client"):
            from confluent_kafka import Consumer
        stream = self.source.stream
        servers = setting(stream.servers_env, f"Kafka, for the topic {stream.topic},")
        own = {
            "bootstrap.servers": servers,
            # Asked for by the client; no group is ever joined and nothing committed to it.
            "group.id": f"mlops-{self.source.name}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest" if self.accept_loss else "error",
            "enable.partition.eof": True,
            # Only what a transaction has committed.
            "isolation.level": "read_committed",
        }
        return Consumer({**own, **_options(stream.options_env)})

    def _assign(self, consumer: Consumer, positions: Mapping[int, int]) -> None:
        """Begin where the files end, with each partition of the topic."""
        from confluent_kafka import KafkaException, TopicPartition

        topic = self.source.stream.topic
        try:
            known = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
        except KafkaException as error:
            raise StreamBroken(
                f"no broker answers ({error}). See {self.source.stream.servers_env}; try again."
            ) from error
        if known.error is not None or not known.partitions:
            raise StreamBroken(f"there is no topic {topic} ({known.error}). Create it, or correct stream.topic.")
        for partition in known.partitions:
            low, high = self._range(consumer, partition)
            at = positions.get(partition, low)
            if at > high:
                raise StreamBroken(_made_anew(topic, partition, at, high))
            if at < low and not self.accept_loss:
                raise StreamBroken(_gone(topic, partition, at, low, self.source.name))
            self._next[partition] = max(at, low)
            self._ends[partition] = high
        consumer.assign([TopicPartition(topic, partition, at) for partition, at in self._next.items()])

    def _range(self, consumer: Consumer, partition: int) -> tuple[int, int]:
        from confluent_kafka import KafkaException, TopicPartition

        try:
            offsets = consumer.get_watermark_offsets(
                TopicPartition(self.source.stream.topic, partition), timeout=ANSWER_SECONDS
            )
        except KafkaException as error:
            raise StreamBroken(
                f"the broker does not say what partition {partition} holds ({error}). Try again."
            ) from error
        if offsets is None:
            raise StreamBroken(f"the broker does not say what partition {partition} holds. Try again.")
        return offsets

    def _take(self, consumer: Consumer, seconds: float) -> None:
        """What has come since."""
        from confluent_kafka import KafkaError

        for message in consumer.consume(READ_AT_ONCE, timeout=seconds):
            error, partition, offset = message.error(), int(message.partition() or 0), int(message.offset() or 0)
            if error is None:
                self._held.setdefault(partition, []).append(message)
                self._next[partition] = offset + 1
                self._sent[partition] = message.timestamp()[1]
            elif error.code() == KafkaError._PARTITION_EOF:
                # Past the markers of transactions, which are offsets too and never come as messages.
                self._next[partition] = max(self._next[partition], offset)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise StreamBroken(
                    f"the broker has deleted messages before they were read ({error.str()}). Start again with "
                    "--accept-loss to go on with those that there are. What was read is kept."
                )
            elif not error.retriable():
                raise StreamBroken(f"{error.str()}. What was read is kept; start again when it is fixed.")

    def _commit(self, landing: StreamLanding) -> None:
        """Each partition's messages become a file; then partitions that are over land."""
        for partition, messages in sorted(self._held.items()):
            self.step("before a file")
            table = _table(messages)
            first, last = table["offset"][0].as_py(), table["offset"][-1].as_py()
            landing.log.write(Segment(partition, first, last + 1), table)
            self.step("after a file")
        self._held.clear()
        landing.land(behind=self._behind(), step=self.step)

    def _behind(self) -> set[int]:
        """Partitions of the topic with unread messages."""
        return {partition for partition, end in self._ends.items() if self._next[partition] < end}

    def _tell_lag(self, consumer: Consumer) -> None:
        from confluent_kafka import TopicPartition

        for partition, end in self._ends.items():
            # As the last answer to a fetch had it: to ask anew would interrupt the reading of each partition.
            known = consumer.get_watermark_offsets(TopicPartition(self.source.stream.topic, partition), cached=True)
            self._ends[partition] = max(end, known[1] if known else 0, self._next[partition])
        unread = {p: max(0, end - self._next[p]) for p, end in self._ends.items()}
        sent = [self._sent[p] for p, count in unread.items() if count and p in self._sent]
        oldest = datetime.fromtimestamp(min(sent) / 1000, UTC) if sent else None
        write_lag(self.home, self.source.name, Lag(datetime.now(UTC), unread, oldest))


def _table(messages: list[Message]) -> pa.Table:
    sent = [kind_and_time[1] if (kind_and_time := m.timestamp())[0] else None for m in messages]
    columns: list[Any] = [[m.offset() for m in messages], sent, [m.value() for m in messages]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def _options(variable: str) -> dict[str, Any]:
    """Further settings of librdkafka, such as `{"security.protocol": "SASL_SSL"}`."""
    text = os.environ.get(variable, "").strip()
    try:
        options = json.loads(text or "{}")
    except ValueError as error:
        raise NotConfigured(f"{variable} is no JSON ({error}). Write an object of librdkafka's settings.") from error
    if not isinstance(options, dict):
        raise NotConfigured(f"{variable} is no JSON object: write librdkafka's settings as one.")
    return options


def _gone(topic: str, partition: int, at: int, low: int, name: str) -> str:
    return (
        f"partition {partition} of {topic} is to be read from offset {at}, and the broker has nothing before {low}: "
        f"{low - at} messages were deleted before they were read. Restore them, or go on without them: "
        f"mlops stream run {name} --accept-loss. What was read is kept."
    )


def _made_anew(topic: str, partition: int, at: int, high: int) -> str:
    return (
        f"partition {partition} of {topic} is to be read from offset {at}, and ends at {high}: it was made anew, so "
        "its offsets say nothing of what was read. Give the new topic another name (stream.topic) and the source "
        "another name too, or move the source's messages/ folder away. What was read is kept."
    )
