"""The readers of streams that `mlops up` keeps running, where the environment names their brokers.

Here: which there are, starting one again. Not here: starting and stopping all services (`up`), reading
(`steps.land.stream_consumer`).
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from mlops_assets.commands.console import say
from mlops_assets.commands.services import Service
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.world.home import Home
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.project import PROJECT
from mlops_assets.world.settings_files import read_settings

REST_SECONDS = 10.0


@dataclass
class Reader(Service):
    """A reader ends when its topic or broker is gone; the rest of the platform goes on, and it tries again."""

    started_at: float = 0.0

    def start(self) -> None:
        """Start it."""
        self.started_at = time.monotonic()
        super().start()

    def require_alive(self) -> None:
        """Start it again if it has ended; at most every `REST_SECONDS`."""
        if self.process and self.process.poll() is not None and time.monotonic() - self.started_at > REST_SECONDS:
            last = self.tail().splitlines()[-1:] or ["it said nothing"]
            say(f"{self.name} has ended and is started again ({last[0]}; {self.log}).")
            self.start()

    def answers(self) -> bool:
        """It has no address: how it is doing is told by `mlops stream list`, a check and a metric."""
        return True


def readers(home: Home) -> list[Service]:
    """A reader for each declared stream whose brokers are known; none in a home that reads another one's files."""
    if home.settings.landing is not None:
        return []
    command = [sys.executable, "-c", "from mlops_assets.cli import app; app()", "stream", "run"]
    return [
        Reader(
            name=f"The reader of {name}",
            command=[*command, name],
            folder=PROJECT.root,
            address="",
            log=home.root / "logs" / f"stream_{name}.log",
            leader_first=True,
        )
        for name, source in read_settings(DEFS, StreamSettings).items()
        if os.environ.get(source.stream.servers_env)
    ]
