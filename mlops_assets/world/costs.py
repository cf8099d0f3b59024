"""What steps cost: duration, CPU and peak memory, measured by the kernel, on record in `$MLOPS_HOME/costs.jsonl`.

Here: measuring one step of this process, and the record of all. Not here: around which steps (`assets.metadata`).

CPU is getrusage's, of the process and of the children that it has waited for. Peak memory is the high-water mark of
the resident set, which is set back when the step begins (Linux: /proc/self/clear_refs, see proc(5)); steps of a run
follow each other in one process. A child's peak counts where it is higher than that of any child before it: the kernel
keeps the highest of all, so a smaller child after a larger one is not seen.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from mlops_assets.world.atomic import json_object
from mlops_assets.world.files.state_files import DamagedFile

_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in a unit of getrusage's ru_maxrss."""


@dataclass(frozen=True)
class Cost:
    """What a step took.

    Attributes:
        seconds: of the clock.
        cpu_seconds: user and system, children included.
        peak_bytes: most resident memory at once, of the process or of its largest child.
        peak_since: `step`, or `process` where the mark cannot be set back: then it may stem from an earlier step.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    peak_since: str


@dataclass(frozen=True)
class Meter:
    """A measurement that has begun."""

    clock: float
    cpu: float
    children_peak: int
    since: str

    @classmethod
    def start(cls) -> Self:
        """Begin; sets the process's memory mark back."""
        return cls(time.perf_counter(), _cpu(), _children_peak(), "step" if _reset_peak() else "process")

    def read(self) -> Cost:
        """The cost up to now."""
        child = _children_peak()
        peak = max(_peak(), child if child > self.children_peak else 0)
        return Cost(time.perf_counter() - self.clock, _cpu() - self.cpu, peak, self.since)


@dataclass(frozen=True)
class Costs:
    """The record of costs of one home: one JSON line a step or retraining.

    Attributes:
        root: the home.
    """

    root: Path

    @property
    def file(self) -> Path:
        """Where it is."""
        return self.root / "costs.jsonl"

    def append(self, kind: str, values: dict[str, Any]) -> None:
        """Put a line on record; what a kill left unfinished before it is cut off."""
        self.root.mkdir(parents=True, exist_ok=True)
        line = {"kind": kind, "at": datetime.now(UTC).isoformat(timespec="seconds"), **values}
        with self.file.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - 4096))
            tail = file.read()
            if tail and not tail.endswith(b"\n"):
                file.truncate(end - len(tail) + tail.rfind(b"\n") + 1)
            file.write((json.dumps(line) + "\n").encode())

    def step(self, cost: Cost, *, run: str, job: str, step: str, assets: list[str], outcome: str) -> None:
        """Put the cost of a step on record."""
        self.append(
            "step", {**asdict(cost), "run": run, "job": job, "step": step, "assets": assets, "outcome": outcome}
        )

    def lines(self) -> list[dict[str, Any]]:
        """All lines, oldest first."""
        if not self.file.exists():
            return []
        with self.file.open("rb") as lines:
            return [self._parsed(line, number) for number, line in enumerate(lines, start=1) if line.endswith(b"\n")]

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            return json_object(line)
        except ValueError as error:
            raise DamagedFile(
                f"{self.file} cannot be read (line {number}: {error}). Take the line out, or delete the file: the "
                "costs of earlier runs are then not shown. Nothing was changed."
            ) from error


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _children_peak() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT


def _reset_peak() -> bool:
    """Set the high-water mark back; False where the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _peak() -> int:
    """The process's high-water mark. Not ru_maxrss where it can be had: that one remembers what was before exec."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
    marks = [line.split()[1] for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")]
    return int(marks[0]) * 1024 if marks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
