"""A load generator for HTTP on this machine: keep-alive connections, one thread, as little work a request as can be.

`closed` asks again as soon as it is answered: what a server can do. `paced` asks at set moments, answered or not, and
counts an answer's time from its moment on: what a caller waits. Both run in a process of their own (`apart`);
`nothing` is a server that does nothing, for the floor of both.
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class NotAnswered(RuntimeError):
    """An answer was no HTTP 200."""


def request_of(path: str, body: bytes, headers: Sequence[str] = ()) -> bytes:
    """A POST of JSON."""
    told = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*told, f"Content-Length: {len(body)}", "", ""]).encode() + body


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(function, *arguments).result()


def closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> np.ndarray:
    """Ask over so many connections for so long, each as soon as it was answered; seconds of each answer."""
    with _Connections(port, connections) as open_ones:
        took: list[float] = []
        turn = 0
        for each in open_ones.all:
            turn = each.ask(requests[turn % len(requests)], time.perf_counter()) or turn + 1
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            for each in open_ones.ready(0.1):
                if each.answered():
                    now = time.perf_counter()
                    took.append(now - each.since)
                    each.ask(requests[turn % len(requests)], now)
                    turn += 1
        return np.array(took)


def paced(port: int, requests: Sequence[bytes], connections: int, seconds: float, rate: float) -> np.ndarray:
    """Ask so many times a second; seconds of each answer from the moment at which it was due."""
    with _Connections(port, connections) as open_ones:
        took: list[float] = []
        idle = deque(open_ones.all)
        began = time.perf_counter()
        asked, total = 0, int(seconds * rate)
        while len(took) < total:
            now = time.perf_counter()
            while idle and asked < total and (due := began + asked / rate) <= now:
                idle.popleft().ask(requests[asked % len(requests)], due)
                asked += 1
            pause = max(0.0, began + asked / rate - time.perf_counter()) if idle and asked < total else 0.1
            # The kernel wakes late; the last tenth of a millisecond is waited for awake.
            for each in open_ones.ready(max(0.0, pause - 0.0001)):
                if each.answered():
                    took.append(time.perf_counter() - each.since)
                    idle.append(each)
            if time.perf_counter() - began > 3 * seconds + 10:
                raise NotAnswered(
                    f"{total - len(took):,} of {total:,} requests were not answered in three times the time"
                )
        return np.array(took)


@contextmanager
def nothing(request: bytes) -> Iterator[int]:
    """A server that answers such requests with nothing; its port. What is measured of it is the generator's floor."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    server = context.Process(target=_nothing, args=(theirs, len(request)), daemon=True)
    server.start()
    try:
        yield mine.recv()
    finally:
        server.terminate()
        server.join()


def _nothing(told: Any, length: int) -> None:
    """Answer every so many bytes with the same."""
    import asyncio

    import uvloop

    class Nothing(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.got = transport, 0

        def data_received(self, data: bytes) -> None:
            self.got += len(data)
            while self.got >= length:
                self.got -= length
                self.transport.write(REPLY)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Nothing, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


class _Connection:
    """One connection, with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since = 0.0
        self._got = b""

    def ask(self, request: bytes, since: float) -> None:
        self.since, self._got = since, b""
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Take what has come; whether it is the whole answer."""
        self._got += self.socket.recv(65536)
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 200"):
            raise NotAnswered(self._got.decode(errors="replace")[:500])
        lower = head.lower()
        length = lower[lower.index(b"content-length:") + 15 :].partition(b"\r\n")[0]
        return len(body) >= int(length)


class _Connections:
    """So many connections, and which of them something has come on."""

    def __init__(self, port: int, count: int) -> None:
        self.all = [_Connection(port) for _ in range(count)]
        # Not epoll, which sleeps for whole milliseconds: to wait for less it would keep a core of two awake.
        self._selector = selectors.SelectSelector()
        for each in self.all:
            self._selector.register(each.socket, selectors.EVENT_READ, each)

    def ready(self, seconds: float) -> list[_Connection]:
        return [key.data for key, _ in self._selector.select(seconds)]

    def __enter__(self) -> _Connections:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for each in self.all:
            each.socket.close()
