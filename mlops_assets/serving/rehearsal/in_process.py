"""The service in a thread of this process, for rehearsals and tests: real HTTP on a free port of this machine.

Here: starting and stopping it. Not here: the service (`app`); `mlops serve` is what production runs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.serving.http.limits import App

START_SECONDS = 60.0


class DidNotStart(RuntimeError):
    """The service ended, or did not answer, before it was up."""


@contextmanager
def serving(app: App) -> Iterator[str]:
    """Serve as long as the block lasts; its address.

    Raises:
        DidNotStart: it is not up after `START_SECONDS`.
    """
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, name="service", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            server.should_exit = True
            raise DidNotStart("The service did not start in this process; its log says why. Nothing was changed.")
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
