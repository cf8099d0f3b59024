"""Doing what follows when drift begins or ends: a person is told, a webhook posted to, a training asked for.

Here: one round over what waits. Not here: what waits when (`checks`), keeping it (`profiles`), the thread
(`serving.rounds`).

What is to be done is written down with the check that caused it, and taken off once it is done: a process that is
killed between the two does it again, which a person, a receiver and the record know by its identity. What fails waits
and is tried again for a day; it holds up nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from mlops_assets.core.record.incidents import GIVE_UP
from mlops_assets.core.record.outgoing import of_profile
from mlops_assets.serving.drift.checks import Notice, Reaction
from mlops_assets.serving.drift.profiles import NoProfile, Profiles, Registration
from mlops_assets.steps.decide.retrain_events import TrainingWish, ask
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.webhooks import ROUND_SECONDS, Webhooks
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.files.locks import alone
from mlops_assets.world.platform import Platform

logger = logging.getLogger("mlops.serving")

TOLD_AFTER = timedelta(hours=1)
"""What could not be done for so long is told to a person."""
_PAUSE = 1.0
_AGAIN = 30.0
"""Seconds until what failed is tried again."""
_ORDER: tuple[Reaction, ...] = ("alert", "retrain", "webhook")
"""What is quick comes first."""


class Reactions:
    """What follows from the drift of a home's references."""

    def __init__(self, profiles: Profiles, platform: Platform, alerts: Alerts) -> None:
        self._profiles, self._platform, self._alerts = profiles, platform, alerts
        self._webhooks = Webhooks.for_callers(platform.home.root)
        self._idle: dict[str, tuple[int, int]] = {}
        self._refusing: set[str] = set()
        self._later: dict[tuple[str, Reaction], float] = {}

    def round(self) -> float:
        """Do what waits; the seconds until the next round. Another process that does it is left alone."""
        try:
            with alone(self._profiles.folder / ".reacting.lock", wait=False) as mine:
                if mine:
                    self._round()
        except Exception:
            # The thread must outlive whatever it was; what waits is on disk.
            logger.exception("what follows from drift could not be looked for; it is tried again")
            return _AGAIN
        return _PAUSE

    def _round(self) -> None:
        waiting = {name: self._waiting(name, stamp) for name, stamp in self._profiles.stamps().items()}
        self._refusing.clear()
        until = time.monotonic() + ROUND_SECONDS
        for action in _ORDER:
            for name, notices in waiting.items():
                due = [notice for notice in notices if notice.action == action]
                if due and self._later.get((name, action), 0.0) <= time.monotonic() < until:
                    self._react(name, due)

    def _waiting(self, name: str, stamp: tuple[int, int]) -> tuple[Notice, ...]:
        """What is to be done for a reference; read only where something has changed."""
        if self._idle.get(name) == stamp:
            return ()
        try:
            waiting = self._profiles.checks(name).waiting
        except ValueError:
            logger.exception("what follows from the drift of %s cannot be read", name)
            self._idle[name] = stamp
            return ()
        if not waiting:
            self._profiles.forget(name)
            self._idle[name] = stamp
        return waiting

    def _react(self, name: str, due: Sequence[Notice]) -> None:
        """Do things of one kind in their order, until one has to wait."""
        try:
            for notice in due:
                if not self._done_with(name, notice):
                    break
        except Exception:
            # One reference keeps no other from what follows.
            logger.exception("what follows from the drift of %s could not be done; it is tried again", name)
            self._later[name, due[0].action] = time.monotonic() + _AGAIN

    def _done_with(self, name: str, notice: Notice) -> bool:
        """Try one; whether it waits no longer."""
        why, request = self._try(name, notice)
        key, age = f"drift-reaction/{name}.{notice.action}", datetime.now(UTC) - notice.at
        if not why or age > GIVE_UP:
            self._profiles.change(name, lambda checks: checks.done(notice, request=request))
            if why:
                logger.error("Given up after a day: %s of the drift profile %s (%s)", notice.action, name, why)
            self._alerts.end(key, "it was given up after a day." if why else "it was done.")
            return True
        self._profiles.change(name, lambda checks: checks.refused(notice.action, why))
        self._later[name, notice.action] = time.monotonic() + _AGAIN
        if age > TOLD_AFTER:
            self._alerts.send(
                incident=f"{key}/{notice.at.isoformat()}",
                key=key,
                happened=f"What the drift profile {name} asks for was not done for an hour ({notice.action}): {why}.",
                did="It is tried every half minute, for a day.",
                do="Put right what the message says, or register the reference without it.",
                runbook="drift-profile",
            )
        return False

    def _try(self, name: str, notice: Notice) -> tuple[str, str | None]:
        """Why something could not be done, empty if it was, and the id of the training that was asked for."""
        if notice.action == "alert":
            self._tell(name, notice)
            return "", None
        registration = self._registration(name)
        if registration is None:
            return "", None  # It was removed just now, and with it what was to be done.
        if notice.action == "retrain":
            return self._ask(name, notice, registration.model)
        return (self._post(name, notice, registration.webhook) if registration.webhook else ""), None

    def _post(self, name: str, notice: Notice, url: str) -> str:
        if url in self._refusing:
            return "its receiver takes nothing"  # Whoever hangs is waited for once a round.
        event = of_profile(name, notice.at, began=notice.began, since=notice.since, reason=notice.reason)
        try:
            why = self._webhooks.post(url, event)
        except ValueError as error:
            why = str(error).rstrip(".")
        if why:
            self._refusing.add(url)
        return why

    def _tell(self, name: str, notice: Notice) -> None:
        key = f"drift-profile/{name}"
        if not notice.began:
            self._alerts.end(key, notice.reason)
            return
        registration = self._registration(name)
        follow = [
            *([f"{urlsplit(registration.webhook).hostname} is told."] if registration and registration.webhook else []),
            *([f"A training of {registration.model} is asked for."] if registration and registration.model else []),
        ]
        self._alerts.send(
            incident=f"{key}/{notice.since.isoformat()}",
            key=key,
            happened=f"What is held against the drift profile {name} has drifted: {notice.reason}",
            did=" ".join(["This is told once, until a batch matches the reference again.", *follow]),
            do=f"GET /drift/{name} has each feature. If the data stay like this, register a new reference.",
            runbook="drift-profile",
        )

    def _ask(self, name: str, notice: Notice, wanted: str | None) -> tuple[str, str | None]:
        model = self._platform.models().get(wanted or "")
        if model is None:
            return f"there is no model {wanted} any more", None
        wish = TrainingWish(f"drift profile {name}", f"The data have drifted: {notice.reason}"[:2_000])
        key = f"drift profile {name}|{notice.since.isoformat()}"
        try:
            event, _ = ask(self._platform.home, model.name, wish, now=lambda: self._platform.now(model), key=key)
        except (ValueError, NoDataYet) as error:
            return str(error).rstrip("."), None
        return "", event.id

    def _registration(self, name: str) -> Registration | None:
        try:
            return self._profiles.read(name).registration
        except NoProfile:
            return None
