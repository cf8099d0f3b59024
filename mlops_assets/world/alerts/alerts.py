"""Telling a person: one alert an incident, with what happened, what the platform did and what to do.

Here: the log of alerts of a home, and handing each to the incidents. Not here: noticing (`assets.platform`), the
state of incidents and sending (`incidents`), where messages go (`channels`).
"""

from __future__ import annotations

import fcntl
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from mlops_assets.core.record.incidents import Report, Severity, ended, reported
from mlops_assets.core.values.display import shown
from mlops_assets.world.alerts.incidents import Incidents
from mlops_assets.world.atomic import json_object
from mlops_assets.world.files.state_files import DamagedFile
from mlops_assets.world.home import Home

logger = logging.getLogger("mlops.alerts")


class Alerts(dg.ConfigurableResource):
    """Alerts of one home, in `$MLOPS_HOME/alerts.jsonl` and in the log; by channels, if any are set (`channels`).

    Attributes:
        root: the home; empty means `$MLOPS_HOME`.
    """

    root: str = ""

    @property
    def file(self) -> Path:
        """Every alert that was sent, one JSON line each."""
        return self.home.root / "alerts.jsonl"

    @property
    def incidents(self) -> Incidents:
        """What is wrong now, and what waits to be sent."""
        return Incidents(self.home.root)

    @property
    def home(self) -> Home:
        """Whose alerts these are."""
        return Home(Path(self.root)) if self.root else Home.from_environment()

    def send(
        self,
        *,
        incident: str,
        happened: str,
        did: str,
        do: str,
        runbook: str,
        key: str = "",
        severity: Severity = "notify",
        run: str | None = None,
    ) -> bool:
        """Send one alert; a second one for the same incident is not sent.

        The log has it at once; channels get it with the alert sensor's next tick.

        Args:
            incident: identity of what was seen, for example the run or the stale source and since when.
            happened: what happened.
            did: what the platform did about it.
            do: what a person can do.
            runbook: anchor in docs/runbook.md.
            key: what it is about. While that lasts, another `incident` of the same key is an update of it and no
                alert of its own. By default the incident itself.
            severity: its route; a `digest` is a line in the next digest.
            run: the run in question.

        Returns:
            Whether it was new.
        """
        happened, did, do = map(self.home.said, (happened, did, do))
        report = Report(incident, happened, did, do, runbook, severity, run)
        self.incidents.change(lambda state: reported(state, key or incident, report, datetime.now(UTC)))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+", encoding="utf-8", errors="surrogateescape") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.seek(0)
            if any(self._incident_of(line) == incident for line in log if line.endswith("\n")):
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

    def _incident_of(self, line: str) -> object:
        try:
            return json_object(line.encode("utf-8", "surrogateescape"))["incident"]
        except (ValueError, KeyError) as error:
            raise DamagedFile(
                f"{self.file} cannot be read ({shown(line)}: {error!r}). Take the line out, or move the file aside: "
                "alerts are told all the same, and a new file begins. Nothing was changed."
            ) from error

    def end(self, key: str, why: str) -> None:
        """Say that an incident is over; nothing happens if it is not open."""
        self.incidents.change(lambda state: ended(state, key, datetime.now(UTC), why))
