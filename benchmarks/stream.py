"""Messages of a topic into landed files, beside only fetching them.

What lives here: 80,000 card payments on a mock cluster (librdkafka's, which keeps no more), once fetched and thrown
away, once fetched and decoded, once read by a `StreamReader` into landed files, on the same messages in this process.

    python benchmarks/stream.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = 10_000.0
"""Messages a second that a topic of a busy shop has, with one core to spare."""


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def fetch(servers: str, topic: str, messages: int, decode: Callable[[bytes], Any]) -> None:
    """Fetch that many messages and decode each."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": "bench", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    seen = 0
    while seen < messages:
        for message in consumer.consume(10_000, timeout=0.05):
            decode(message.value())
            seen += 1
    consumer.close()


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick

    import pandera.pandas  # noqa: F401 - loaded before the clock starts

    from mlops_assets.landing.card_payments import PAYMENTS, demo_world, feed
    from mlops_assets.simulate.fraud_demo import mock_broker
    from mlops_assets.steps.land.stream_consumer import StreamReader
    from mlops_assets.steps.land.stream_decoding import decode_json
    from mlops_assets.world.home import Home, HomeSettings
    from mlops_assets.world.platform import Platform

    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.configure(HomeSettings(clock="data"))
        home.prepare()
        source: Any = Platform.of(home).sources.settings()[PAYMENTS]
        with mock_broker(source) as producer:
            topic, sent = source.stream.topic, 0
            for day in feed(demo_world(4000), 5 if quick else 10):
                for key, value in zip(day.keys, day.messages, strict=True):
                    producer.produce(topic, value=value, key=key)
                    producer.poll(0)
                producer.flush()
                sent += len(day.messages)
            servers = os.environ[source.stream.servers_env]
            found = {
                "fetching alone": timed(lambda: fetch(servers, topic, sent, lambda _: None)),
                "fetching and decoding": timed(lambda: fetch(servers, topic, sent, decode_json)),
                "StreamReader, to landed files": timed(lambda: StreamReader(home, source).run(until_end=True)),
            }
    ours, floor = found["StreamReader, to landed files"], found["fetching and decoding"]
    told = {
        "benchmark": "stream",
        "target": f"at least {TARGET:,.0f} messages a second and core",
        "messages": sent,
        **{name: {key: round(value, 3) for key, value in times.items()} for name, times in found.items()},
        "messages a second of CPU": round(sent / ours["cpu_seconds"]),
        "CPU beside fetching and decoding": round(ours["cpu_seconds"] / floor["cpu_seconds"], 1),
        "met": sent / ours["cpu_seconds"] >= TARGET,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
