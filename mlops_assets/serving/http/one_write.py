"""HTTP by uvicorn, with the head of an answer and its body in one write.

Here: the protocol that `mlops serve` runs with. Not here: anything of HTTP, which is uvicorn's; what is answered
(`app`).

Uvicorn writes the two by themselves: one more call of the system, and on a connection of this machine the first wakes a
caller who finds half an answer. One write answers four in a hundred more.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = b"HTTP/1.1 "


class OneWrite(HttpToolsProtocol):
    """Uvicorn's protocol over a transport that joins."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn narrows it too
        """See `asyncio.Protocol`."""
        super().connection_made(cast(asyncio.Transport, Joining(transport, self.loop)))


class Joining:
    """A transport that holds the head of an answer back for what follows, within one turn of the loop."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See `asyncio.WriteTransport`."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        elif data.startswith(HEAD):
            self._held = data
            self._loop.call_soon(self._release)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """See `asyncio.BaseTransport`."""
        self._release()
        self._transport.close()

    def _release(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)
