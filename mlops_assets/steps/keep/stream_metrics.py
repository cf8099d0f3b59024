"""The values of the metrics about streams: how far behind their readers are, and poison.

Here: the samples. Not here: names and meanings (`metric_names`), the lag itself (`stream_lag`). A stream that was
never read has none.
"""

from __future__ import annotations

from collections.abc import Iterator

from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.steps.keep.metric_values import Sample
from mlops_assets.steps.land.stream_lag import read_lag
from mlops_assets.steps.land.stream_poison import poison_count
from mlops_assets.world.platform import Platform


def streams(platform: Platform) -> Iterator[Sample]:
    """Lag and poison of each stream that has been read."""
    for name, source in platform.sources.settings().items():
        lag = read_lag(platform.home, name) if isinstance(source, StreamSettings) else None
        if lag is None:
            continue
        for partition, count in sorted(lag.unread.items()):
            yield Sample("stream_unread_messages", (name, str(partition)), count)
        if (seconds := lag.seconds()) is not None:
            yield Sample("stream_lag_seconds", (name,), seconds)
        yield Sample("stream_read_timestamp_seconds", (name,), lag.at.timestamp())
        yield Sample("stream_poison_messages", (name,), poison_count(platform.home, name).messages)
