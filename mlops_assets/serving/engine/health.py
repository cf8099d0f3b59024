"""What the service can reach: its parts, since when, and why not.

Here: the state behind `/readyz`, and one incident a part, with its all-clear. Not here: finding out
(`models.alias_watch`, `lookup`, `drain`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from mlops_assets.world.alerts.alerts import Alerts

logger = logging.getLogger("mlops.serving")

OPEN_SECONDS = 5.0
"""So long what is known of open incidents is taken for true; what this process tells is known at once."""
_NEVER = float("-inf")


@dataclass(frozen=True)
class PartHealth:
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
        self._parts: dict[str, PartHealth] = {}
        self._told: set[str] = set()
        self._gone: set[str] = set()
        self._known: frozenset[str] = frozenset()
        self._read_at = _NEVER
        self._lock = Lock()

    def good(self, part: str) -> None:
        """Say that a part works; an incident that is open about it, also by a process before this one, is over."""
        with self._lock:
            if part in self._parts and self._parts[part].ok:
                return
            self._parts[part] = PartHealth(True, datetime.now(UTC))
            self._told.discard(part)
            self._gone.discard(part)
        self._over(part, "it works again.")

    def gone(self, part: str) -> None:
        """Say that a part is no longer asked for; whatever was wrong with it is over."""
        with self._lock:
            if part in self._gone:
                return
            self._gone.add(part)
            self._parts.pop(part, None)
            self._told.discard(part)
        self._over(part, "it is no longer asked for.")

    def bad(self, part: str, why: str, *, did: str, do: str, runbook: str, tell: bool = True) -> None:
        """Say that a part doesn't work; a person is told once an outage and reason, unless not `tell`."""
        with self._lock:
            known = self._parts.get(part)
            if known and not known.ok and known.why == why and (part in self._told or not tell):
                return
            since = known.since if known and not known.ok else datetime.now(UTC)
            self._parts[part] = PartHealth(False, since, why)
            self._gone.discard(part)
            if not tell:
                return
            self._told.add(part)
        self._alerts.send(
            incident=f"serving/{part}/{since.isoformat()}/{why[:60]}",
            happened=f"The online service: {why}",
            did=did,
            do=do,
            runbook=runbook,
            key=_key(part),
        )
        self._read_at = _NEVER

    def _over(self, part: str, why: str) -> None:
        try:
            if _key(part) in self._open():
                self._alerts.end(_key(part), why)
                self._read_at = _NEVER
        except (OSError, ValueError):
            # Nobody's answer waits for an all-clear; the next one of the part closes the incident.
            logger.exception("the all-clear of %s could not be written down", part)

    def _open(self) -> frozenset[str]:
        """The incidents that are open, as of a few seconds ago: a thousand models that work ask at once."""
        if time.monotonic() - self._read_at > OPEN_SECONDS:
            self._known = frozenset(incident.key for incident in self._alerts.incidents.state().open)
            self._read_at = time.monotonic()
        return self._known

    @property
    def parts(self) -> Mapping[str, PartHealth]:
        """All parts that were looked at."""
        with self._lock:
            return dict(sorted(self._parts.items()))


def _key(part: str) -> str:
    return f"serving/{part}"
