"""Processes of Python that begin with their libraries loaded: each is forked from one that loaded them once.

What lives here: that one process, which all workers of a session share, and starting others from it. What does not:
what they do.

Dagster, dbt, Feast and MLflow take a process 4 s of CPU to load. Of this package nothing is loaded before the fork:
each process loads the one that its own PYTHONPATH names, with its own environment, as a process of its own does.
"""

from __future__ import annotations

import ast
import atexit
import fcntl
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

CHECKOUT = Path(__file__).parents[1]
NOT_LOADED = {"evidently", "river", "mlops_assets", "s3fs", "fsspec"}
"""What few commands need, and ourselves."""
BESIDES = (
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dbt.adapters.duckdb.impl",
    "dbt.task.build",
    "feast.infra.passthrough_provider",
    "feast.repo_operations",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)
"""What libraries load when they are used."""
HOLD = b"{}\n"


@dataclass
class Forked:
    """A process, with the methods of `subprocess.Popen` that tests use; its group is its own."""

    pid: int
    _ends: socket.socket
    returncode: int | None = field(default=None)

    def wait(self, timeout: float | None = None) -> int:
        """How it ended, as Popen says it: a signal is below 0."""
        if self.returncode is None:
            self._ends.settimeout(timeout)
            try:
                said = self._ends.recv(64)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0) from None
            assert said, "the process that the others are forked from has ended"
            self.returncode = os.waitstatus_to_exitcode(int(said))
            self._ends.close()
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def send_signal(self, which: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, which)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(
    code: str,
    *words: str,
    place: Path,
    environment: Mapping[str, str],
    out: IO[Any],
    error: IO[Any],
) -> Forked:
    """What `python -c code words` does, in a folder, with an environment, writing to these files."""
    asked = json.dumps([code, list(words), str(place), dict(environment)]).encode() + b"\n"
    ends = socket.socket(socket.AF_UNIX)
    ends.connect(_address())
    socket.send_fds(ends, [asked[:1]], [out.fileno(), error.fileno()])
    ends.sendall(asked[1:])
    return Forked(int(_line(ends)), ends)


def run(code: str, *words: str, place: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The same to its end, as `subprocess.run` with what it has written."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as error:
        ended = start(code, *words, place=place, environment=environment, out=out, error=error).wait()
        for file in (out, error):
            file.seek(0)
        return subprocess.CompletedProcess([sys.executable, "-c", code, *words], ended, out.read(), error.read())


@cache
def _address() -> str:
    """Where the process listens that others are forked from: all workers of a session share one."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = Path(tempfile.gettempdir()) / f"forked-{os.getuid()}-{session[:12]}"
    address = str(folder / "asks")
    with _locked(folder):
        if (held := _held(address)) is None:
            with (folder / "log").open("wb") as log:
                subprocess.Popen(
                    [sys.executable, __file__, address],
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            deadline = time.monotonic() + 120
            while (held := _held(address)) is None:
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.05)
    _HELD.append(held)
    return address


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Alone in the folder, which the process removes when it ends."""
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        with suppress(FileNotFoundError), (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:
                yield
                return


_HELD: list[socket.socket] = []
"""As long as a worker holds one of these open, the process stays."""


def _held(address: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
        connection.sendall(HOLD)
    except OSError:
        connection.close()
        return None
    return connection


def _line(connection: socket.socket) -> bytes:
    """A line, and no byte after it."""
    read = b""
    while not read.endswith(b"\n"):
        read += connection.recv(1)
    return read


def _libraries() -> set[str]:
    """All modules that the package imports anywhere, but its own."""
    names = set(BESIDES)
    for path in (CHECKOUT / "mlops_assets").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {name for name in names if name.partition(".")[0] not in NOT_LOADED}


def _load() -> None:
    import typeguard

    checked = typeguard.typechecked
    typeguard.typechecked = lambda target=None, **_: target or (lambda decorated: decorated)  # type: ignore[assignment]
    for name in sorted(_libraries()):
        # What an extra brings may not be installed here.
        with suppress(ImportError):
            importlib.import_module(name)
    typeguard.typechecked = checked
    assert not [name for name in sys.modules if name.partition(".")[0] in ("mlops_assets", "tests")]
    # Else each collection in a forked process writes into what it shares with the others, which copies it.
    gc.collect()
    gc.freeze()


def _serve(address: str) -> tuple[str, list[str], str, dict[str, str]]:
    """Fork a process for each that is asked for, until nobody is left; returns in each of them what it has to do."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(64)
    ended, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno())
    holding: set[socket.socket] = set()
    running: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as waiting:
        for each in (listening, ended):
            waiting.register(each, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is ended:
                    ended.recv(4096)
                    _say_ends(running)
                elif key.fileobj is not listening:
                    waiting.unregister(key.fileobj)
                    holding.remove(key.fileobj)  # type: ignore[arg-type]
                else:
                    connection, _ = listening.accept()
                    first, given, *_ = socket.recv_fds(connection, 1, 2)
                    if (asked := first + _line(connection)) == HOLD:
                        holding.add(connection)
                        waiting.register(connection, selectors.EVENT_READ)
                    elif pid := os.fork():
                        for descriptor in given:
                            os.close(descriptor)
                        connection.sendall(b"%d\n" % pid)
                        running[pid] = connection
                    else:
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        for mine in (listening, ended, wakes, connection, *holding, *running.values()):
                            mine.close()
                        for number, descriptor in enumerate(given, start=1):
                            os.dup2(descriptor, number)
                            os.close(descriptor)
                        return tuple(json.loads(asked))  # type: ignore[return-value]
            if not (holding or running):
                with _locked(Path(address).parent):
                    # Who comes for the first time does so alone in the folder.
                    if not waiting.select(0):
                        shutil.rmtree(Path(address).parent)
                        raise SystemExit


def _say_ends(running: dict[int, socket.socket]) -> None:
    """To whoever asked for a process, how it ended."""
    for pid in list(running):
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            with suppress(OSError):
                running[pid].sendall(b"%d\n" % status)
            running.pop(pid).close()


def _become(code: str, words: list[str], place: str, environment: dict[str, str]) -> None:
    """Be the process that was asked for."""
    os.setsid()
    os.chdir(place)
    ours = {str(Path(path).absolute()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:] = [
        "",
        *(path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path),
        *(path for path in sys.path if path not in ours),
    ]
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()
    sys.argv[:] = ["-c", *words]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    _end(_outcome(lambda: exec(compile(code, "<string>", "exec"), main.__dict__)))


def _outcome(work: Callable[[], None]) -> int:
    """The code that Python ends with."""
    try:
        work()
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            sys.stderr.write(f"{stopped.code}\n")
            return 1
        return stopped.code or 0
    except BaseException:  # noqa: BLE001 whatever it is, Python prints it
        traceback.print_exc()
        return 1
    return 0


def _end(outcome: int) -> None:
    """As Python ends, but for taking 6,000 modules apart."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(outcome)


if __name__ == "__main__":
    # The folder of this file has modules of the tests.
    del sys.path[0]
    _load()
    _become(*_serve(sys.argv[1]))
