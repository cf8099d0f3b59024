"""Telling a person: one alert an incident, with what happened, what the platform did and what to do.

Here: the log of alerts of a home. Not here: noticing (`defs.sensors`), other channels than the log.
"""

from __future__ import annotations

import fcntl
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from mlops_assets.resources.home import Home

logger = logging.getLogger("mlops.alerts")


class Alerts(dg.ConfigurableResource):
    """Alerts of one home, in `$MLOPS_HOME/alerts.jsonl` and in the log.

    Attributes:
        root: the home; empty means `$MLOPS_HOME`.
    """

    root: str = ""

    @property
    def file(self) -> Path:
        """Every alert that was sent, one JSON line each."""
        return (Home(Path(self.root)) if self.root else Home.from_environment()).root / "alerts.jsonl"

    def send(self, *, incident: str, happened: str, did: str, do: str, runbook: str) -> bool:
        """Send one alert; a second one for the same incident is not sent.

        Args:
            incident: identity of the incident, for example the run or the stale source and since when.
            happened: what happened.
            did: what the platform did about it.
            do: what a person can do.
            runbook: anchor in docs/runbook.md.

        Returns:
            Whether it was sent.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+", encoding="utf-8") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.seek(0)
            if any(json.loads(line)["incident"] == incident for line in log if line.endswith("\n")):
                return False
            entry = {
                "incident": incident,
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "happened": happened,
                "did": did,
                "do": do,
                "runbook": f"docs/runbook.md#{runbook}",
            }
            log.write(json.dumps(entry, ensure_ascii=False) + "\n")
        logger.warning("%s What the platform did: %s What you can do: %s (%s)", happened, did, do, entry["runbook"])
        return True
