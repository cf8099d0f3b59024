"""From a file to a finished replay through `mlops new-model`, for tables of different shapes; what many models cost.

Targets: a CSV of 100,000 rows to the first champion under 120 s on two cores; a replay of 24 monthly periods under
240 s; with ten models the code location loads in under 1.5 times the time of one; at most 60 lines of YAML and SQL.

Usage: python benchmarks/onboarding.py [--quick] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.code_location import LOAD, seconds  # noqa: E402
from tests.onboarding.shapes import SHAPES, Shape  # noqa: E402
from tests.onboarding.tables import Project, churn  # noqa: E402

MODELS = 10
REPETITIONS = 5


def onboarded(shape: Shape, folder: Path, *options: str) -> dict[str, Any]:
    """One table from its file to the report."""
    project = Project.at(folder / "checkout")
    file = shape.write(folder)
    used, began = _cpu(), time.perf_counter()
    said = project.mlops("new-model", shape.name, "--from", str(file), *shape.asked).stdout
    made = time.perf_counter()
    project.mlops("replay", shape.name, *options)
    ended = time.perf_counter()
    told = json.loads((project.home / "reports" / shape.name / "replay.json").read_text(encoding="utf-8"))
    return {
        "shape": shape.what,
        "rows": len(shape.make()),
        "lines": int(said.partition("Written, ")[2].partition(" ")[0]),
        "new_model_seconds": round(made - began, 1),
        "first_champion_seconds": round(_first_champion(project.home, shape.name) + made - began, 1),
        "replay_seconds": round(ended - made, 1),
        "cpu_seconds": round(_cpu() - used, 1),
        "periods": len(told["periods"]),
        "metric": told["metric"],
        **{life: told["summary"][life] for life in ("static", "auto", "always")},
        "retrains": told["summary"]["retrains"],
    }


def _cpu() -> float:
    """Seconds of CPU that children have used: what a loaded machine cannot stretch."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def proposed(rows: int, folder: Path) -> dict[str, Any]:
    """`mlops new-model` alone, on many rows as Parquet over ten years."""
    project = Project.at(folder / "checkout")
    churn(rows, days=3_650).to_parquet(folder / "many.parquet", index=False)
    used, began = _cpu(), time.perf_counter()
    project.mlops("new-model", "many", "--from", str(folder / "many.parquet"))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    spent = time.perf_counter() - began
    return {
        "rows": rows,
        "seconds": round(spent, 1),
        "cpu_seconds": round(_cpu() - used, 1),
        "peak_gib": round(peak, 2),
    }


def _first_champion(home: Path, model: str) -> float:
    """Seconds from the beginning of the replay to the first champion."""
    (replay,) = sorted((home / "replays").glob(f"{model}-*"))
    steps = map(json.loads, (replay / "costs.jsonl").read_text(encoding="utf-8").splitlines())
    promoted = next(step["at"] for step in steps if step.get("assets") == [f"{model}/champion"])
    return datetime.fromisoformat(promoted).timestamp() - (replay / "replay_settings.json").stat().st_mtime


def loading(folder: Path) -> dict[str, float]:
    """The code location with the demo's models and one more, and with ten more."""
    project = Project.at(folder / "many")
    file = folder / "table.csv"
    churn(2_000).to_csv(file, index=False)
    spent = {}
    for number in range(MODELS):
        project.mlops("new-model", f"table_{number}", "--from", str(file))
        if number in (0, MODELS - 1):
            spent[number + 1] = min(seconds(LOAD, str(project.home), root=project.root) for _ in range(REPETITIONS))
    return {"one": round(spent[1], 2), "ten": round(spent[MODELS], 2), "ratio": round(spent[MODELS] / spent[1], 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two shapes, no loading of many models")
    parser.add_argument("--only", nargs="*", default=None, help="these shapes")
    asked = parser.parse_args()
    big = Shape("big", "CSV of 100,000 rows over three years", "big.csv", lambda: churn(100_000, days=1_095))
    chosen = [s for s in (*SHAPES, big) if asked.only is None or s.name in asked.only]
    results: dict[str, Any] = {}
    for shape in chosen[:2] if asked.quick else chosen:
        with tempfile.TemporaryDirectory() as folder:
            results[shape.name] = onboarded(shape, Path(folder))
            print(shape.name, json.dumps(results[shape.name]), flush=True)
    if not asked.quick and (asked.only is None or "many" in asked.only):
        with tempfile.TemporaryDirectory() as folder:
            results["many"] = proposed(10_000_000, Path(folder))
    if not asked.quick and (asked.only is None or "loading" in asked.only):
        with tempfile.TemporaryDirectory() as folder:
            results["loading"] = loading(Path(folder))
    target = "first champion of big < 120 s; 24 periods of big < 240 s; loading.ratio < 1.5; lines <= 60"
    print(json.dumps({"benchmark": "onboarding", "target": target, "results": results}))


if __name__ == "__main__":
    main()
