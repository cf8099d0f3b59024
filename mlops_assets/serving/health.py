"""What the service can reach: its parts, since when, and why not.

Here: the state behind `/readyz`, and one alert an outage. Not here: finding out (`watch`, `lookup`, `drain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from mlops_assets.resources.alerts import Alerts


@dataclass(frozen=True)
class Part:
    """One part of the service.

    Attributes:
        ok: whether it works.
        since: since when it does, or doesn't.
        why: what is wrong and what to do; empty if nothing is.
    """

    ok: bool
    since: datetime
    why: str = ""


class Health:
    """Parts by name. Safe between threads."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._parts: dict[str, Part] = {}
        self._told: set[str] = set()
        self._lock = Lock()

    def good(self, part: str) -> None:
        """Say that a part works."""
        with self._lock:
            if part not in self._parts or not self._parts[part].ok:
                self._parts[part] = Part(True, datetime.now(UTC))
                self._told.discard(part)

    def bad(self, part: str, why: str, *, did: str, do: str, runbook: str, tell: bool = True) -> None:
        """Say that a part doesn't work; a person is told once an outage and reason, unless not `tell`."""
        with self._lock:
            known = self._parts.get(part)
            if known and not known.ok and known.why == why and (part in self._told or not tell):
                return
            since = known.since if known and not known.ok else datetime.now(UTC)
            self._parts[part] = Part(False, since, why)
            if not tell:
                return
            self._told.add(part)
        self._alerts.send(
            incident=f"serving/{part}/{since:%Y-%m-%dT%H:%M:%S}/{why[:60]}",
            happened=f"The online service: {why}",
            did=did,
            do=do,
            runbook=runbook,
        )

    @property
    def parts(self) -> Mapping[str, Part]:
        """All parts that were looked at."""
        with self._lock:
            return dict(sorted(self._parts.items()))
