"""How long the code location takes to load, beside `import dagster, dagster_dbt` alone: whole processes, in turns.

Target: under twice that import.

Usage: python benchmarks/code_location.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT = "import dagster, dagster_dbt"
LOAD = (
    "from mlops_assets.definitions import defs; defs().get_repository_def(); "
    "import sys; heavy = {'dagster_mlflow', 'pandera', 'mlflow', 'feast', 'xgboost', 'evidently', 'optuna'}; "
    "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
)


def seconds(code: str, home: str, *, root: Path = ROOT) -> float:
    """Wall seconds of a fresh interpreter that runs the code."""
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        cwd=root,
        env={**os.environ, "MLOPS_HOME": home, "PYTHONPATH": str(root)},
    )
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one repetition")
    repetitions = 1 if parser.parse_args().quick else 7
    with tempfile.TemporaryDirectory() as home:
        seconds(LOAD, home)
        pairs = [(seconds(IMPORT, home), seconds(LOAD, home)) for _ in range(repetitions)]
    imported, loaded = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    ratio = statistics.median(load / base for base, load in pairs)
    result = {"import_seconds": round(imported, 2), "load_seconds": round(loaded, 2), "ratio": round(ratio, 2)}
    print(json.dumps({"benchmark": "code_location", "target": "ratio < 2", "results": [result]}))


if __name__ == "__main__":
    main()
