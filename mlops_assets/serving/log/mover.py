"""The process that moves the log into the lake, beside the one that answers.

Here: what it runs, and the service's hold of it. Not here: the move (`into_lake`), when there is one (`drain`).

In the service's own process a move takes the interpreter and a core from the requests. A process of its own at a
low priority takes what they leave. It lives as long as its standard input is open, so it ends with the service
however that ends, and finishes the move that it is at.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

LOW_PRIORITY = 10
"""Of 0 to 19: at 19 a machine that is busy with other things let it wait for half a minute."""


class NotMoved(RuntimeError):
    """A move failed; what was spooled is there still."""


@dataclass(frozen=True)
class Moved:
    """What a move did.

    Attributes:
        rows: that were new in the lake.
        refused: files that could not be read and were put aside.
    """

    rows: int
    refused: tuple[str, ...] = ()


class Mover:
    """The process of one spool; started when it is first needed, and again if it has ended. For one thread."""

    def __init__(self, spool: Path, predictions: Path, writer: str) -> None:
        """Prepare, without starting; see `moving.move` for what the paths are."""
        self._command = [sys.executable, "-m", __name__, str(spool), str(predictions), writer]
        self._process: subprocess.Popen[str] | None = None

    def move(self) -> Moved:
        """Have everything moved that nobody writes any more.

        Raises:
            NotMoved: the disk is full or gone, or the process was killed.
            OSError: no process can be started.
        """
        if self._process is None or self._process.poll() is not None:
            # In the folder of the package, wherever the service was started: its name must lead there.
            package = Path(__file__).parents[3]
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=package
            )
        asks, answers = _pipes(self._process)
        try:
            asks.write("move\n")
            asks.flush()
            answer = answers.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise NotMoved(
                f"the process that moves them has ended with code {self._process.wait()}; it is started anew"
            )
        outcome = json.loads(answer)
        if "error" in outcome:
            raise NotMoved(outcome["error"])
        return Moved(outcome["rows"], tuple(outcome["refused"]))

    def stop(self) -> None:
        """Let the process end."""
        if self._process is not None:
            asks, answers = _pipes(self._process)
            asks.close()
            self._process.wait()
            answers.close()


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None and process.stdout is not None  # both were asked for
    return process.stdin, process.stdout


def main(spool: Path, predictions: Path, writer: str) -> None:
    """Move as often as a line comes in, and say on one what was done."""
    os.setpriority(os.PRIO_PROCESS, 0, LOW_PRIORITY)
    # Ctrl-C and a stop reach the whole group: the service answers what is under way, and has this do a last move.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    import duckdb
    import pyarrow as pa

    from mlops_assets.serving.log.into_lake import move

    for _ in sys.stdin:
        try:
            rows, refused = move(spool, predictions, writer)
        except (OSError, duckdb.Error, pa.ArrowException) as error:
            outcome: dict[str, object] = {"error": str(error).splitlines()[0]}
        else:
            outcome = {"rows": rows, "refused": [str(path) for path in refused]}
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
