"""The alerts that a home has sent, and what each incident is about.

Here: reading the log of alerts. Not here: sending (`alerts`), whether one is over (`standing`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class SentAlert:
    """One alert as it stands in the log; fields as in `Alerts.send`."""

    incident: str
    at: str
    happened: str
    did: str
    do: str
    runbook: str

    @property
    def sent_at(self) -> datetime:
        """When it was sent, in UTC."""
        return datetime.fromisoformat(self.at)


def sent_alerts(log: Path) -> list[SentAlert]:
    """All alerts in a home's log, oldest first; a last line that a kill left unfinished is not one."""
    if not log.exists():
        return []
    with log.open(encoding="utf-8") as lines:
        return [SentAlert(**json.loads(line)) for line in lines if line.endswith("\n")]
