"""What stands before every request: key and scope, rate, size, time.

Here: `Guard`, an ASGI middleware, and its numbers. Not here: the keys (`keys`), what a path answers (`app`).

The key is looked at before the body is read, so that nobody without one makes the service hold a body.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mlops_assets.serving.http.keys import ADMIN, DRIFT, PREDICT, RETRAIN, Keys

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refusal = tuple[int, str, dict[str, str]]
"""Status, what to do, and headers."""

OPEN = frozenset(
    ("/livez", "/readyz", "/metrics", "/openapi.json", "/v2", "/v2/", "/v2/health/live", "/v2/health/ready")
)
"""Answered without a key: they say how the service is, and nothing about data."""
OF_INTEREST = frozenset((b"host", b"authorization", b"x-api-key", b"content-length"))
CALLER = "mlops.caller"
"""Where a request's scope keeps whose key it came with."""
OPENS = "mlops.opens"
"""Where it keeps the scopes of that key."""
CALLERS = 10_000
"""Callers whose rate is remembered; the longest silent one is forgotten first."""


@dataclass(frozen=True)
class Limits:
    """What one request, and one caller, may take.

    Attributes:
        body: bytes of a request.
        drift_body: bytes of a request under /drift, which carries batches.
        rows: rows of a prediction request.
        drift_rows: rows of a batch or reference.
        rate: requests a second of one key (of one address where keys are off); twice as many at once.
        seconds: for a request to arrive and to be answered.
    """

    body: int = 2**20
    drift_body: int = 32 * 2**20
    rows: int = 1_000
    drift_rows: int = 200_000
    rate: float = 5_000.0
    seconds: float = 30.0


def scope_of(path: str) -> str | None:
    """The scope that a path wants; None where no key is wanted. What is not known wants `admin`."""
    if path in OPEN:
        return None
    if path.startswith(("/predict/", "/v2/models/")) or path == "/models":
        return PREDICT
    if path.startswith("/drift/"):
        return DRIFT
    if path.startswith("/events/"):
        return RETRAIN
    return ADMIN


def lacking(scope: Scope, wanted: str) -> str:
    """What a caller lacks for what a path does beside its own; empty where nothing, as where keys are off."""
    return f"the {scope[CALLER]} lacks the scope {wanted}" if wanted not in scope.get(OPENS, (wanted,)) else ""


class Rates:
    """A bucket of requests for each caller, filled at the rate."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, caller: str, now: float | None = None) -> bool:
        """Take one request out of a caller's bucket; whether there was one."""
        now = time.monotonic() if now is None else now
        most = max(1.0, 2.0 * self._rate)
        left, at = self._left.pop(caller, (most, now))
        left = min(most, left + (now - at) * self._rate)
        allowed = left >= 1.0
        self._left[caller] = (left - 1.0 if allowed else left, now)
        while len(self._left) > CALLERS:
            self._left.popitem(last=False)
        return allowed


class Guard:
    """Lets a request through to the application, whole, or answers it at once."""

    def __init__(self, app: App, *, keys: Keys, limits: Limits, hosts: frozenset[str] | None = None) -> None:
        """Stand before an application.

        Args:
            app: what is let through to.
            keys: who may call.
            limits: how much.
            hosts: names that this service may be called by; None for any.
        """
        self._app, self._keys, self._limits, self._hosts = app, keys, limits, hosts
        self._rates = Rates(limits.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self._limits.seconds):
                refusal = await self._admit(scope, receive, noting)
        except TimeoutError:
            refusal = (503, f"not answered within {self._limits.seconds:g} s; send fewer rows, or try again", {})
        if refusal is not None and not started:
            await _answer(send, *refusal)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> Refusal | None:
        """Pass a request on with its whole body, or say why not."""
        most = self._limits.drift_body if scope["path"].startswith("/drift/") else self._limits.body
        headers = {name: value for name, value in scope["headers"] if name in OF_INTEREST}
        if refusal := self._stranger(scope, headers) or _length_refused(headers, most):
            return refusal
        body: bytes | None = b""
        if scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
            body = await _body(receive, most)
        if body is None:
            return None
        if len(body) > most:
            return _too_long(most)
        await self._app(scope, _given(body, receive), send)
        return None

    def _stranger(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Refusal | None:
        """Why nobody who asks so is answered: the host, the key, the rate."""
        if self._hosts is not None and _name_of(headers.get(b"host", b"")) not in self._hosts:
            return 400, f"without API keys only {', '.join(sorted(self._hosts))} may be asked for", {}
        wanted = scope_of(scope["path"])
        caller = (scope.get("client") or ("?",))[0]
        if self._keys.keys and wanted is not None:
            key = self._keys.find(_presented(headers))
            if key is None:
                return 401, "send an API key: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
            if wanted not in key.scopes:
                return 403, f"the key {key.name} lacks the scope {wanted}", {}
            caller = f"key {key.name}"
            scope[CALLER], scope[OPENS] = caller, key.scopes
        if not self._rates.allows(caller):
            return 429, f"more than {self._limits.rate:g} requests a second; slow down", {"Retry-After": "1"}
        return None


def _length_refused(headers: Mapping[bytes, bytes], most: int) -> Refusal | None:
    """Why a body is not even read."""
    length = headers.get(b"content-length", b"0").strip()
    if not length.isdigit():
        return 400, "Content-Length must be a number of bytes", {"Connection": "close"}
    return _too_long(most) if up_to(length.decode(), most) is None else None


def _given(body: bytes, receive: Receive) -> Receive:
    """What the app receives: the body, that was read, first."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Message:
        return next(messages, None) or await receive()

    return replay


def up_to(digits: str, most: int) -> int | None:
    """The number that digits say, None beyond `most`; there may be more of them than Python turns into a number."""
    known = digits.lstrip("0") or "0"
    return number if len(known) <= len(str(most)) and (number := int(known)) <= most else None


async def _body(receive: Receive, most: int) -> bytes | None:
    """The whole body, or a part that is too long already; None if the caller has gone."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = bytearray(body)
    while len(parts) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return bytes(parts)


def _too_long(most: int) -> Refusal:
    return 413, f"a body may have {most:,} bytes; split the request", {"Connection": "close"}


@lru_cache(maxsize=64)
def _name_of(host: bytes) -> str:
    """The name in a Host header, without the port."""
    name = host.decode("latin-1").lower()
    return name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]


def _presented(headers: Mapping[bytes, bytes]) -> str:
    kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if kind.lower() == "bearer" else headers.get(b"x-api-key", b"").decode("latin-1")


async def _answer(send: Send, status: int, why: str, headers: dict[str, str]) -> None:
    body = json.dumps({"error": why, "detail": []}).encode()
    fixed = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(k.encode(), v.encode()) for k, v in fixed.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})
