"""The incidents of a home in one file, `$MLOPS_HOME/incidents.json`, and sending what waits in it.

Here: reading and changing the file under a lock, atomically, and the order of sending and writing. Not here: what a
report changes (`core.record.incidents`), the channels themselves (`channels`).

What is about to be sent is written before it is sent, and that it was sent is written after. A process that is killed
between the two leaves a message of which nobody knows whether it arrived: it is sent once more, and says so. So a kill
costs at most one duplicate and never an alert.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlops_assets.core.record.incidents import GIVE_UP, Message, State, marked, removed
from mlops_assets.world.alerts.channels import Channels
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.locks import alone
from mlops_assets.world.files.state_files import read_state_by

logger = logging.getLogger("mlops.alerts")

MOST_SECONDS = 20.0
"""After which no other message is sent in the same call: Dagster gives up a tick of 60 s."""
REPEATED = "This may be a repetition: the process was killed while it was sending this.\n\n"


@dataclass(frozen=True)
class Incidents:
    """The incidents of one home.

    Attributes:
        root: the home.
    """

    root: Path

    @property
    def file(self) -> Path:
        """Where the state is."""
        return self.root / "incidents.json"

    def state(self) -> State:
        """As it stands now.

        Raises:
            DamagedFile: the file was edited, or cannot be read.
        """
        lost = "what lasts is opened and told again; what was told stands in alerts.jsonl"
        return read_state_by(self.file, State.from_dict, lost=lost) or State()

    def change(self, how: Callable[[State], State]) -> State:
        """Change the state, alone; written only if something is new."""
        with alone(self.root / ".incidents.lock"):
            before = self.state()
            after = how(before)
            if after != before:
                write_text(self.file, json.dumps(after.to_dict(), indent=1, ensure_ascii=False) + "\n")
            return after

    def deliver(self, channels: Channels) -> int:
        """Send what waits, oldest first; how many messages have gone to all of their channels.

        One process sends at a time; another one's call returns at once. What a channel refuses is tried again with the
        next call, for a day. After `MOST_SECONDS` the next call goes on.
        """
        sent, until = 0, time.monotonic() + MOST_SECONDS
        with alone(self.root / ".incidents.sending.lock", wait=False) as mine:
            for message in self.state().outbox if mine else ():
                sent += self._deliver(message, channels)
                if time.monotonic() > until:
                    break
        return sent

    def _deliver(self, message: Message, channels: Channels) -> bool:
        routes = channels.routes(message.severity)
        # What a kill interrupted goes first: it is the one that may be a repetition.
        for name in sorted(set(routes) - set(message.delivered), key=lambda each: (each != message.sending, each)):
            note = REPEATED if message.sending == name else ""
            message = replace(message, sending=name)
            self._mark(message)
            taken = channels.send(message, routes[name], note=note)
            message = replace(message, sending=None, delivered=(*message.delivered, *([name] if taken else [])))
            self._mark(message)
        if set(routes) <= set(message.delivered):
            self.change(lambda state: removed(state, message.number))
            return bool(routes)
        if datetime.now(UTC) - message.at > GIVE_UP:
            logger.error("Given up after a day, no channel took it: %s. Try `mlops alerts test`.", message.title)
            self.change(lambda state: removed(state, message.number, undelivered=True))
        return False

    def _mark(self, message: Message) -> None:
        self.change(lambda state: marked(state, message))
