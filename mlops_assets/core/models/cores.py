"""How many fits this process may run side by side.

Here: the one count of cores. Not here: who runs what at a time (`tuning`, `steps.decide.probe`).
"""

from __future__ import annotations

import os


def cores() -> int:
    """CPU cores that this process may use: those it is bound to, where the system tells them (Linux), else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
