"""Telling a person: one alert an incident, with what happened, what the platform did and what to do.

Here: the log of alerts of a home, and handing each to the incidents. Not here: noticing (`assets.platform`), the
state of incidents and sending (`incidents`), where messages go (`channels`).
"""

from __future__ import annotations

import fcntl
import json
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import reduce
from os import SEEK_END
from pathlib import Path
from typing import Unpack

import dagster as dg

from mlops_assets.core.record.incidents import Alert, Report, ended, reported
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

    def send(self, **alert: Unpack[Alert]) -> bool:
        """Send one alert; a second one for the same incident is not sent. See `send_all`.

        Returns:
            Whether it was new.
        """
        return bool(self.send_all([alert]))

    def send_all(self, alerts: Iterable[Alert]) -> list[str]:
        """Send these alerts; of each incident one.

        The log has them at once; channels get them with the alert sensor's next tick. Incidents and log are read and
        written once, however many there are.

        Returns:
            The incidents that are new, in their order.
        """
        reports = [(alert.get("key") or alert["incident"], self._report(alert)) for alert in alerts]
        if not reports:
            return []
        now = datetime.now(UTC)
        self.incidents.change(lambda state: reduce(lambda known, each: reported(known, *each, now), reports, state))
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a+", encoding="utf-8", errors="surrogateescape") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            log.seek(0)
            lines = log.readlines()
            if lines and not lines[-1].endswith("\n"):
                # What a kill left of a line.
                log.truncate(log.seek(0, SEEK_END) - len(lines.pop().encode("utf-8", "surrogateescape")))
            known = {self._incident_of(line) for line in lines}
            new = list[Report]()
            for _, report in reports:
                if report.fact not in known:
                    known.add(report.fact)
                    new.append(report)
            log.writelines(f"{json.dumps(_entry(report, now), ensure_ascii=False)}\n" for report in new)
        for report in new:
            happened, did, do = report.happened, report.did, report.do
            where = _section(report.runbook)
            logger.warning("%s What the platform did: %s What you can do: %s (%s)", happened, did, do, where)
        return [report.fact for report in new]

    def _report(self, alert: Alert) -> Report:
        happened, did, do = map(self.home.said, (alert["happened"], alert["did"], alert["do"]))
        severity = alert.get("severity", "notify")
        return Report(alert["incident"], happened, did, do, alert["runbook"], severity, alert.get("run"))

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
        self.end_all({key: why})

    def end_all(self, over: Mapping[str, str]) -> None:
        """Say that incidents are over, by key with the reason; of those that are not open nothing happens."""
        if over:
            now = datetime.now(UTC)
            self.incidents.change(
                lambda state: reduce(lambda known, each: ended(known, each[0], now, each[1]), over.items(), state)
            )


def _entry(report: Report, now: datetime) -> dict[str, str]:
    """A line of the log."""
    return {
        "incident": report.fact,
        "at": now.isoformat(timespec="seconds"),
        "happened": report.happened,
        "did": report.did,
        "do": report.do,
        "runbook": _section(report.runbook),
    }


def _section(runbook: str) -> str:
    return f"docs/runbook.md#{runbook}"
