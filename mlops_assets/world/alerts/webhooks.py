"""Webhooks: what happens to the models, posted to other systems as signed CloudEvents.

Here: the receivers in the environment, how far each has come, sending in order. Not here: what the events say
(`core.record.outgoing`), when they are looked for (`assets.platform.webhook_sensor`).

`MLOPS_WEBHOOK_URLS` names the receivers, separated by spaces or commas; `MLOPS_WEBHOOK_SECRET` signs as Standard
Webhooks has it; `MLOPS_WEBHOOK_EVENTS` chooses the kinds, all by default. A URL may hold a secret: it is written
nowhere, its receiver is known by a hash and told by its host.

Each receiver is sent every event at least once and in order. How far it has come is written after each: a process that
is killed between the two sends that one again, under the same id. What a receiver does not take waits, and with it what
comes after; nothing is lost, for the events are made of the record.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from mlops_assets.core.record.outgoing import EVENT_KINDS, EventKind, Outgoing
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state

URLS, SECRET, EVENTS = "MLOPS_WEBHOOK_URLS", "MLOPS_WEBHOOK_SECRET", "MLOPS_WEBHOOK_EVENTS"
HOSTS = "MLOPS_WEBHOOK_HOSTS"
"""Hosts that callers of the online service may have posted to: else a key for drift would reach any address that the
service reaches."""
ANSWER_SECONDS = 5.0
"""A receiver that has not answered by then, to the end of its headers, has not taken the event."""
ROUND_SECONDS = 20.0
"""All receivers share it alike, and each is sent one event at least: who hangs or is slow holds up no other."""
_SECRET_BYTES = 24
"""At least; Standard Webhooks has 24 to 64."""


class Reached(msgspec.Struct, frozen=True):
    """How far a receiver has come.

    Attributes:
        entries: model -> entries of its record that were told or passed over.
        windows: model -> end of the newest window whose drift was told or passed over.
        refusing: since when it takes nothing; None while it does.
        files: model -> stamp of its files of which nothing is left to be told.
    """

    entries: dict[str, int] = {}
    windows: dict[str, datetime] = {}
    refusing: datetime | None = None
    files: dict[str, str] = {}

    def past_entry(self, model: str, number: int) -> Reached:
        """One entry further in a model's record."""
        return msgspec.structs.replace(self, entries={**self.entries, model: number})

    def past_window(self, model: str, end: datetime) -> Reached:
        """One window further."""
        return msgspec.structs.replace(self, windows={**self.windows, model: end})

    def past_files(self, model: str, stamp: str) -> Reached:
        """At the end of what a model's files say."""
        return msgspec.structs.replace(self, files={**self.files, model: stamp})


Next = tuple[Outgoing | None, Reached]
"""An event, or nothing to tell, and how far the receiver has come once it is taken."""


@dataclass(frozen=True)
class Sent:
    """What a round did for one receiver.

    Attributes:
        receiver: the hash that it is known by.
        host: what a person knows it by, with its port.
        events: taken in this round.
        refusing: since when it takes nothing; None while it does.
        why: what it answered to the last one that it did not take.
    """

    receiver: str
    host: str
    events: int
    refusing: datetime | None = None
    why: str = ""


@dataclass(frozen=True)
class Webhooks:
    """The receivers of a home.

    Attributes:
        root: the home.
        urls: of the receivers.
        secret: what events are signed with, base64.
        kinds: the events that are sent.
    """

    root: Path
    urls: tuple[str, ...] = ()
    secret: str = field(default="", repr=False)
    kinds: frozenset[EventKind] = frozenset(EVENT_KINDS)

    @classmethod
    def from_environment(cls, root: Path) -> Webhooks:
        """As the environment says now.

        Raises:
            ValueError: there is no secret, it is none, a URL is none, or there is no such kind of event.
        """
        urls = tuple(url for url in re.split(r"[\s,]+", os.environ.get(URLS, "")) if url)
        if not urls:
            return cls(root)
        for number, url in enumerate(urls, start=1):
            if _host_of(url) is None:
                raise ValueError(f"Webhook {number} in {URLS} is no address: write https://HOST/PATH. Nothing is sent.")
        kinds = [kind for kind in re.split(r"[\s,]+", os.environ.get(EVENTS, "")) if kind] or list(EVENT_KINDS)
        if unknown := [kind for kind in kinds if kind not in EVENT_KINDS]:
            known = ", ".join(EVENT_KINDS)
            raise ValueError(f"{EVENTS} has no event {unknown[0]!r}: name some of {known}. Nothing is sent.")
        webhooks = cls(root, urls, os.environ.get(SECRET, ""), frozenset(kinds))  # type: ignore[arg-type]
        webhooks.signature("x", datetime.now(UTC), "")
        return webhooks

    @classmethod
    def for_callers(cls, root: Path) -> Webhooks:
        """To post where callers of the online service say (`check_caller`)."""
        return cls(root, secret=os.environ.get(SECRET, ""))

    def check_caller(self, url: str) -> None:
        """Look at an address that a caller wants to have posted to.

        Raises:
            ValueError: it is none, its host is not agreed on, or nothing can be signed.
        """
        host = _host_of(url)
        if host is None:
            raise ValueError("the webhook is no address: write https://HOST/PATH")
        if host not in re.split(r"[\s,]+", os.environ.get(HOSTS, "").lower()):
            raise ValueError(f"the host {host} is not among those of {HOSTS}: whoever runs the service adds it there")
        self.signature("x", datetime.now(UTC), "")

    def signature(self, id: str, at: datetime, body: str) -> str:
        """The signature of an event.

        Raises:
            ValueError: there is no secret, or it is none.
        """
        from standardwebhooks.webhooks import Webhook

        encoded = self.secret.removeprefix("whsec_")
        try:
            # The library passes over what is not base64 and takes any length: a passphrase would be a short key.
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except ValueError:
            key = b""
        if len(key) < _SECRET_BYTES:
            remedy = f"set it to {_SECRET_BYTES} random bytes or more in base64 (`openssl rand -base64 32`)"
            raise ValueError(f"{SECRET} signs no webhook: {remedy}. Nothing is sent.")
        return str(Webhook(key).sign(id, at, body))

    def deliver(
        self, after: Callable[[Reached, frozenset[EventKind]], Iterator[Next]], start: Callable[[], Reached]
    ) -> list[Sent]:
        """Send what each receiver has not had, until a round's time is over.

        Args:
            after: what comes after a place in the record, in order.
            start: gives where a receiver begins that was never sent anything: it is not told the past.
        """
        share = ROUND_SECONDS / max(len(self.urls), 1)
        return [self._deliver(url, after, start, time.monotonic() + share) for url in self.urls]

    def _deliver(
        self,
        url: str,
        after: Callable[[Reached, frozenset[EventKind]], Iterator[Next]],
        start: Callable[[], Reached],
        until: float,
    ) -> Sent:
        receiver, host = _receiver_of(url), place_of(url)
        before, taken = self.reached(receiver), 0
        if before is None:
            self._write(receiver, start())
            return Sent(receiver, host, 0)
        reached = before
        for event, then in after(reached, self.kinds):
            if taken and time.monotonic() > until:
                break
            why = self.post(url, event) if event else ""
            if why:
                since = reached.refusing or datetime.now(UTC)
                self._write(receiver, msgspec.structs.replace(reached, refusing=since))
                return Sent(receiver, host, taken, since, why)
            if event is None:  # What is passed over is passed over again, should the process be killed.
                reached = msgspec.structs.replace(then, refusing=reached.refusing)
                continue
            reached, taken = msgspec.structs.replace(then, refusing=None), taken + 1
            self._write(receiver, reached)
        # Taken, or no longer there to be told: a model that has gone takes its events with it.
        reached = msgspec.structs.replace(reached, refusing=None)
        if reached != before:
            self._write(receiver, reached)
        return Sent(receiver, host, taken, reached.refusing)

    def post(self, url: str, event: Outgoing) -> str:
        """Post one event; why it was not taken, empty if it was."""
        from cloudevents.core.bindings.http import to_structured_event
        from cloudevents.core.v1.event import CloudEvent

        attributes = {
            "specversion": "1.0",
            "id": event.id,
            "source": f"mlops/{event.model}" if event.about == "model" else f"mlops/drift/{event.model}",
            "type": f"mlops.{event.kind}",
            "time": event.at,
        }
        message = to_structured_event(CloudEvent(attributes=attributes, data={event.about: event.model, **event.data}))
        now = datetime.now(UTC)
        # An id in a header is ASCII; that in the body is as it is.
        id = hashlib.sha256(event.id.encode()).hexdigest()[:32]
        signed = {
            "webhook-id": id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self.signature(id, now, message.body.decode()),
        }
        return asyncio.run(_answer(url, message.body, {**message.headers, **signed})).replace(url, "its address")

    def refusing(self) -> dict[str, datetime]:
        """The receivers that take nothing, by their place, and since when."""
        reached = {place_of(url): self.reached(_receiver_of(url)) for url in self.urls}
        return {place: each.refusing for place, each in reached.items() if each and each.refusing}

    def reached(self, receiver: str) -> Reached | None:
        """How far a receiver has come; None where it was never sent anything."""
        lost = "its receiver is told what happens from now on"
        return read_state(self._file(receiver), Reached, lost=lost)

    def _write(self, receiver: str, reached: Reached) -> None:
        write_text(self._file(receiver), json.dumps(as_plain(reached), indent=1))

    def _file(self, receiver: str) -> Path:
        return self.root / "webhooks" / f"{receiver}.json"


def place_of(url: str) -> str:
    """The host and port of an address: what may be shown of it, and tells receivers on a machine apart."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _receiver_of(url: str) -> str:
    """What a receiver is known by in the home."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def _host_of(url: str) -> str | None:
    """The host of an address that can be posted to; None if it is none."""
    try:
        parts = urlsplit(url)
        return parts.hostname if parts.port != 0 and parts.scheme in ("http", "https") else None
    except ValueError:  # a port or brackets that are none
        return None


async def _answer(url: str, body: bytes, headers: dict[str, str]) -> str:
    """Post; what is wrong with the answer, empty for a success."""
    import httpx

    try:
        # One limit for the whole: httpx's own begin anew with each byte that comes.
        # The status is the answer: a body may go on for ever, and is not read.
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            httpx.AsyncClient(timeout=None) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            return "" if answer.is_success else f"it answered {answer.status_code}"
    except TimeoutError:
        return f"it did not answer within {ANSWER_SECONDS:g} seconds"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        cause: BaseException = error
        # "All connection attempts failed" is all that the outermost says of a refused connection.
        while (inner := cause.__cause__ or cause.__context__) is not None and str(inner):
            cause = inner
        return f"{type(error).__name__}: {cause}"
