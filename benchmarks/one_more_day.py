"""What one more day costs with 30 days of history and with 360: `dbt run` of the last day, whole process.

Target: the second at most 1.2 times the first. A history is landed and built once in each of two homes; then the next
day is built again and again, in turns, and the medians are compared.

Usage: python benchmarks/one_more_day.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def dbt(home: Path, start: date, end: date) -> tuple[float, float]:
    """Wall and CPU seconds of `dbt run` over [start, end)."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "--quiet", "run",
            "--project-dir", str(ROOT / "dbt_project"), "--profiles-dir", str(ROOT / "dbt_project"),
            "--target-path", str(home / "target"), "--log-path", str(home / "logs"),
            "--vars", json.dumps({"start": start.isoformat(), "end": end.isoformat()}),
        ],
        check=True, env={**os.environ, "MLOPS_HOME": str(home), "DO_NOT_TRACK": "1"},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, cpu


def prepare(home: Path, first: date, last: date) -> None:
    """Land and build everything before the last day, and land that day."""
    from tests.support import land_raw

    land_raw(home, through=last, start=first)
    dbt(home, first, last)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one repetition")
    repetitions = 1 if parser.parse_args().quick else 5
    last = date(2013, 12, 27)
    with tempfile.TemporaryDirectory() as folder:
        homes = {days: Path(folder) / str(days) for days in (30, 360)}
        for days, home in homes.items():
            prepare(home, last - timedelta(days=days), last)
        spent: dict[int, list[tuple[float, float]]] = {days: [] for days in homes}
        for _ in range(repetitions):
            for days, home in homes.items():
                spent[days].append(dbt(home, last, last + timedelta(days=1)))
    wall, cpu = ({d: statistics.median(t[i] for t in times) for d, times in spent.items()} for i in (0, 1))
    result = {
        "wall_30": wall[30], "wall_360": wall[360], "ratio_wall": wall[360] / wall[30],
        "cpu_30": cpu[30], "cpu_360": cpu[360], "ratio_cpu": cpu[360] / cpu[30],
    }  # fmt: skip
    rounded = {name: round(value, 3) for name, value in result.items()}
    print(json.dumps({"benchmark": "one_more_day", "target": "ratio <= 1.2", "results": [rounded]}))


if __name__ == "__main__":
    main()
