"""How far behind a stream's reader is: written by the reader, read by the asset check and the metrics.

Here: the small file, and what it says against the limit. Not here: asking the broker (`stream_consumer`). Imports
nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict

from mlops_assets.core.record.plain_values import Moment
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.home import Home

SILENT = timedelta(minutes=2)
"""A reader that has not told for longer is not at work."""


@dataclass(frozen=True)
class Lag:
    """What a reader has not read yet.

    Attributes:
        at: when it was asked.
        unread: messages by partition of the topic.
        oldest: when the newest message read was sent, in the partition that is furthest behind; None where all is
            read, or nothing yet.
    """

    at: datetime
    unread: Mapping[int, int]
    oldest: datetime | None = None

    @property
    def messages(self) -> int:
        """Of all partitions."""
        return sum(self.unread.values())

    def seconds(self, now: datetime | None = None) -> float | None:
        """How old what is read next is at least; 0 where all is read, None where nobody knows."""
        if not self.messages:
            return 0.0
        return ((now or self.at) - self.oldest).total_seconds() if self.oldest else None


def lag_file(home: Home, source: str) -> Path:
    """Where the lag of a stream is written down."""
    return home.landing / source / "messages" / "lag.json"


def write_lag(home: Home, source: str, lag: Lag) -> None:
    """Write it down."""
    payload = {
        "at": lag.at.isoformat(),
        "unread": {str(partition): count for partition, count in lag.unread.items()},
        "oldest": lag.oldest.isoformat() if lag.oldest else None,
    }
    write_text(lag_file(home, source), json.dumps(payload))


class _Saved(TypedDict):
    at: Moment
    unread: dict[str, int]
    oldest: Moment | None


def read_lag(home: Home, source: str) -> Lag | None:
    """The lag as it was last written down; None where nothing was ever read."""
    saved = read_state(lag_file(home, source), _Saved, lost="the reader writes it again within a minute")
    return saved and Lag(saved["at"], {int(p): n for p, n in saved["unread"].items()}, saved["oldest"])


@dataclass(frozen=True)
class Pace:
    """Whether a reader keeps up, in a sentence."""

    keeps_up: bool
    sentence: str


def pace(lag: Lag | None, *, max_lag: timedelta, is_wall: bool, now: datetime | None = None) -> Pace:
    """Hold a lag against its limit.

    Args:
        lag: as written down.
        max_lag: the limit.
        is_wall: whether the home lives by the wall clock: with the clock of its data, a reader may rest.
        now: the moment; by default the machine's.
    """
    now = now or datetime.now(UTC)
    if lag is None:
        return Pace(True, "Nothing has been read from the stream yet.")
    if is_wall and now - lag.at > max(SILENT, max_lag):
        return Pace(
            False,
            f"Nobody has read the stream since {lag.at:%Y-%m-%d %H:%M} UTC. Start it: mlops stream run, or mlops up.",
        )
    seconds = lag.seconds()
    unread = f"{lag.messages:,} messages are unread"
    if seconds is None:
        return Pace(True, f"{unread}; nothing was read yet, so nobody knows how old they are.")
    if seconds > max_lag.total_seconds():
        return Pace(
            False,
            f"{unread}, the oldest {seconds / 60:.0f} minutes old, allowed are {max_lag.total_seconds() / 60:.0f}. "
            "Look at the reader's log; a larger stream.batch_rows reads faster.",
        )
    return Pace(True, f"{unread}.")
