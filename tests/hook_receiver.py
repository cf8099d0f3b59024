"""A real HTTP receiver of signed webhooks: what came, verified, and how it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook

SECRET = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class HookReceiver:
    """What came, verified with the standard's own library; how it answers."""

    port: int = 0
    status: int = 204
    seconds: float = 0.0
    talks_on: bool = False
    drips: bool = False
    taken: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?token=secret-in-the-address"

    @property
    def host(self) -> str:
        """What a person is shown of it."""
        return f"127.0.0.1:{self.port}"

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.taken]


@contextmanager
def receiving_hooks() -> Iterator[HookReceiver]:
    """A receiver on a free port."""
    here = HookReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(here.seconds)
            if here.status < 300:
                assert self.headers["content-type"] == "application/cloudevents+json"
                here.taken.append(Webhook(SECRET).verify(body, dict(self.headers)))
                here.ids.append(self.headers["webhook-id"])
            with suppress(OSError):
                if here.drips:
                    self.wfile.write(b"HTTP/1.1 204 No Content\r\n")
                while here.drips:
                    self.wfile.write(b"x: y\r\n")
                    self.wfile.flush()
                    time.sleep(0.05)
            self.send_response(here.status)
            self.end_headers()
            with suppress(OSError):
                while here.talks_on:
                    self.wfile.write(b".")
                    self.wfile.flush()
                    time.sleep(0.05)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    here.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
