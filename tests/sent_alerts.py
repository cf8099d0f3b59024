"""The alerts that a home has sent, and what each incident is about.

Here: reading the log of alerts. Not here: sending (`alerts`), whether one is over (`standing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mlops_assets.world.atomic import json_object


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
    """All alerts in a home's log, oldest first; a last line that a kill left unfinished is not one.

    Raises:
        ValueError: another line is none: the file was edited, or is damaged.
    """
    if not log.exists():
        return []
    found = []
    for number, line in enumerate(log.read_bytes().split(b"\n")[:-1], start=1):
        try:
            found.append(SentAlert(**json_object(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{log}, line {number} is no alert ({error}). Remove the line, or restore the file from a backup; "
                "nothing else reads it."
            ) from error
    return found
