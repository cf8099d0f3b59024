"""What the decisions are worth in worlds with a known truth: `python benchmarks/decisions.py [--quick] [--seeds N]`.

Every scenario of tests/scenarios, for a regression (RMSE, ridge), a binary label and three classes (log loss, logistic
regression), at several numbers of labels a window, with the defaults of a fresh YAML. The loss is the truth's: the
expectation over fresh features of each window.

Each world's figures are kept in a file, in a folder of the code they were taken with: a run that was stopped goes on
where it was, seed by seed, so that all scenarios have as many. The tables go to benchmarks/decisions.md; the last line
is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import groupby, product
from pathlib import Path
from typing import Any

# One world a process: threads inside one would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import decision_bars as bars
from benchmarks.decision_tables import document
from mlops_assets.world.atomic import write_text
from tests.scenarios.figures import facts
from tests.scenarios.lives import lived
from tests.scenarios.worlds import SCENARIOS, scenario

HERE = Path(__file__).resolve().parent
KEPT = HERE / ".decisions"
World = tuple[int, int, str, str]
"""Labels, seed, task and scenario, in the order in which worlds are lived through."""


def code() -> str:
    """A digest of the code that the figures depend on."""
    files = {Path(str(module.__file__)) for name, module in list(sys.modules.items()) if _counts(name)}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _counts(name: str) -> bool:
    return name.startswith(("mlops_assets.core.", "tests.scenarios."))


def kept(folder: Path, world: World) -> Path:
    """The file of a world's figures."""
    labels, seed, task, name = world
    return folder / f"{task}-{labels}" / f"{seed:03}" / f"{list(SCENARIOS).index(name):02}.json"


def one(folder: Path, world: World) -> None:
    """One world lived through, and its figures kept."""
    labels, seed, task, name = world
    found = facts(lived(scenario(name, task=task, labels=labels, seed=seed)))
    write_text(kept(folder, world), json.dumps(found))


def collected(folder: Path, worlds: list[World]) -> dict[tuple[int, str], bars.Runs]:
    """By labels and task: the runs of those seeds that all scenarios have."""
    found: dict[tuple[int, str], dict[str, list[bars.Run]]] = {}
    for (_, seed, _), some in groupby(worlds, key=lambda world: world[:3]):
        same = list(some)
        if not all(kept(folder, world).exists() for world in same):
            continue
        for world in same:
            labels, seed, task, name = world
            run = bars.Run(name, seed, json.loads(kept(folder, world).read_text(encoding="utf-8")))
            found.setdefault((labels, task), {}).setdefault(name, []).append(run)
    return found


def run(folder: Path, worlds: list[World], *, workers: int, until: float) -> None:
    """Live through what has not been; worlds that have not begun by `until` (a monotonic clock) are left."""
    open_ones = [world for world in worlds if not kept(folder, world).exists()]

    if workers == 1:
        for world in open_ones:
            if time.monotonic() < until:
                one(folder, world)
        return
    with ProcessPoolExecutor(workers) as pool:
        for begin in range(0, len(open_ones), 4 * workers):
            batch = open_ones[begin : begin + 4 * workers]
            if time.monotonic() < until:
                list(pool.map(one, [folder] * len(batch), batch))


def main() -> None:
    """Run, and write the tables of all that there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 seeds at 500 labels, regression only; no table")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--labels", type=int, nargs="+", default=[500, 2_000, 10_000])
    parser.add_argument("--tasks", nargs="+", default=["regression", "binary", "multiclass"])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no world after so long")
    parser.add_argument("--kept", type=Path, default=KEPT, help="folder of the figures")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.labels, options.tasks = 5, [500], ["regression"]
    worlds: list[World] = list(product(options.labels, range(options.seeds), options.tasks, SCENARIOS))
    folder = options.kept / code()
    run(folder, worlds, workers=options.workers, until=time.monotonic() + 60 * options.minutes)
    found = collected(folder, worlds)
    if not options.quick:
        write_text(HERE / "decisions.md", document(found))
    print(json.dumps(result(found)))


def result(found: dict[tuple[int, str], bars.Runs]) -> dict[str, Any]:
    """The bars, for benchmarks/results.md."""
    measured = {f"{task}, {labels} labels": bars.rows(runs) for (labels, task), runs in found.items()}
    return {
        "benchmark": "decisions",
        "target": "see decisions.md",
        "seeds": {name: min(map(len, runs.values())) for name, runs in zip(measured, found.values(), strict=True)},
        "bars_met": {name: f"{sum(row[3] == 'yes' for row in rows)} of {len(rows)}" for name, rows in measured.items()},
    }


if __name__ == "__main__":
    main()
