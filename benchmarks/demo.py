"""The main job as a user runs it: `mlops demo` in an empty home, whole process.

Target: under 360 seconds on 2 cores after set-up.

Usage: python benchmarks/demo.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 trials a training")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        subprocess.run(
            [str(Path(sys.executable).with_name("mlops")), "demo", *(["--trials", "2"] if quick else [])],
            check=True,
            env={**os.environ, "MLOPS_HOME": home},
        )
        spent = time.perf_counter() - began
        summary = json.loads((Path(home) / "reports/demo/replay.json").read_text())["summary"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = {"seconds": round(spent, 1), "cpu_seconds": round(used.ru_utime + used.ru_stime, 1), **summary}
    print(json.dumps({"benchmark": "demo", "target": "seconds < 360", "results": [result]}))


if __name__ == "__main__":
    main()
