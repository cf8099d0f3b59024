"""Run the benchmarks one after the other and keep their table in benchmarks/results.md.

Each script prints one JSON object on its last line; a figure means something only beside the others of its own run.

Usage: python benchmarks/run.py [--quick] [NAME ...]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops_assets.pages.markdown import markdown_table
from mlops_assets.world.atomic import write_text

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
SCRIPTS = (
    "code_location", "point_in_time", "online_materialization", "one_more_day", "training_overhead",
    "probe", "drift", "calibration", "stream", "serving", "aa_gate", "decisions", "demo", "onboarding",
)  # fmt: skip


def run(name: str, *, quick: bool) -> dict[str, Any]:
    """One script's figures, with when and under what load they were taken."""
    command = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if quick else [])]
    load = os.getloadavg()[0]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return {
        **json.loads(done.stdout.strip().splitlines()[-1]),
        "at": datetime.now(UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": round(load, 1),
        "python": platform.python_version(),
        "quick": quick,
    }


def table(results: dict[str, Any]) -> str:
    """The results as Markdown: a section a benchmark."""
    parts = ["# Benchmarks\n", "Written by `make bench`. Machines are noisy: read the ratios, not the seconds.\n"]
    for name in SCRIPTS:
        if name not in results:
            continue
        found = results[name]
        parts.append(f"## {name}\n")
        parts.append(
            f"Target: {found.get('target', 'see the table')}. {found['at']}, {found['cores']} cores, Python "
            f"{found['python']}, load {found['load_before']} before the run{', quick' if found['quick'] else ''}.\n"
        )
        rows = list(_flat({k: v for k, v in found.items() if k not in _SHOWN}))
        parts.append(markdown_table(rows, header=["figure", "value"]) + "\n")
    return "\n".join(parts)


_SHOWN = {"benchmark", "target", "at", "cores", "load_before", "python", "quick"}


def _flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(value, list):
        if len(value) == 1:
            return _flat(value[0], prefix)
        return [row for i, inner in enumerate(value) for row in _flat(inner, f"{prefix}[{i}]")]
    return [(prefix, value)]


def main() -> None:
    """Run what was asked for, keep each result as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repetitions")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(SCRIPTS)}; default: all")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(SCRIPTS))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}: choose from {', '.join(SCRIPTS)}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.names or SCRIPTS:
        print(f"== {name}", flush=True)
        results[name] = run(name, quick=options.quick)
        write_text(RESULTS, json.dumps(results, indent=1) + "\n")
        write_text(HERE / "results.md", table(results))
        print(json.dumps(results[name]))


if __name__ == "__main__":
    main()
