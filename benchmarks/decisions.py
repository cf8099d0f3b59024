"""What the decisions are worth in worlds with a known truth: `python benchmarks/decisions.py [--quick] [--seeds N]`.

Every scenario of tests/scenarios, for a regression (RMSE, ridge), a binary label and three classes (log loss, logistic
regression), at several numbers of labels a window, with the defaults of a fresh YAML. The loss is the truth's: fresh
rows of each window. The table goes to benchmarks/decisions.md; the last line is JSON.

Figures of a scenario are means over its seeds: `updates` (models that came into production in 24 windows; always
brings 23), `regret` (loss over that of the best of never, expanding, rolling over four windows, each also every second
window), `closed` (share of the gap between never and the best rival), `in time` (share of the seeds in which a model
that has seen changed rows serves by the end of the second matured changed window), `false` (retrainings for a gain
that by the truth is under its price, per 100 windows).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlops_assets.core.reporting import markdown_table
from mlops_assets.resources.atomic import write_text
from tests.scenarios.lives import RIVALS, false_retrainings, lived, regret, served_the_change_by
from tests.scenarios.worlds import COUNT, FIRST, SCENARIOS, scenario

HERE = Path(__file__).resolve().parent
WINDOWS = COUNT - FIRST


def one(name: str, task: str, labels: int, seed: int) -> dict[str, Any]:
    """One world lived through."""
    world = scenario(name, task=task, labels=labels, seed=seed)
    outcome = lived(world, oracle_rows=10_000)
    best, extra = regret(outcome)
    return {
        "updates": outcome.updates["platform"],
        "retrainings": sum(p.decision.action == "retrain" for p in outcome.life.periods),
        "best": best,
        "regret": extra,
        "in_time": served_the_change_by(outcome, world) <= 2,
        "false": false_retrainings(outcome, world, 10_000),
        "losses": {rival: float(values.mean()) for rival, values in outcome.losses.items()},
        "peer_updates": {rival: outcome.updates[rival] for rival in outcome.updates if rival not in RIVALS},
        "probe_rows": outcome.life.fitted_rows[0],
    }


def summary(name: str, task: str, labels: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds of a scenario."""
    losses = {rival: float(np.mean([run["losses"][rival] for run in runs])) for rival in runs[0]["losses"]}
    best = min(losses[rival] for rival in RIVALS)
    gap = losses["never"] / best - 1
    return {
        "scenario": name,
        "task": task,
        "labels": labels,
        "seeds": len(runs),
        "updates": float(np.mean([run["updates"] for run in runs])),
        "retrainings": float(np.mean([run["retrainings"] for run in runs])),
        "regret": float(np.mean([run["regret"] for run in runs])),
        "worst_regret": float(np.max([run["regret"] for run in runs])),
        "never": gap,
        "closed": 1 - (losses["platform"] - best) / (losses["never"] - best) if gap >= 0.1 else None,
        "in_time": float(np.mean([run["in_time"] for run in runs])),
        "false_per_100": 100 * float(np.mean([run["false"] for run in runs])) / WINDOWS,
        **{f"peer {rival}": losses[rival] / best - 1 for rival in ("PSI over 0.2", "KS p < 0.05", "expanding")},
        "peer_updates": {
            rival: float(np.mean([run["peer_updates"][rival] for run in runs])) for rival in runs[0]["peer_updates"]
        },
    }


def table(found: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    header = ["scenario", "updates", "regret", "never loses", "gap closed", "in time", "false per 100 windows"]
    header += ["PSI > 0.2", "KS p < 0.05", "every window"]
    parts = ["# Decisions in worlds with a known truth\n", f"{__doc__.split(chr(10), 2)[2].strip()}\n"]
    parts.append(
        "The last three columns are rules of thumb without a gate, by the loss over the best rival: retrain on all "
        "history when any input's PSI is over 0.2, when any KS test has p < 0.05, at every window.\n"
    )
    for task, labels in dict.fromkeys((row["task"], row["labels"]) for row in found):
        mine = [row for row in found if (row["task"], row["labels"]) == (task, labels)]
        parts.append(f"## {task}, {labels:,} labels a window, {mine[0]['seeds']} seeds\n")
        rows = [
            (
                row["scenario"],
                f"{row['updates']:.1f}",
                f"{row['regret']:+.1%}",
                f"{row['never']:+.0%}",
                "" if row["closed"] is None else f"{row['closed']:.0%}",
                f"{row['in_time']:.0%}" if _changes(row["scenario"]) else "",
                f"{row['false_per_100']:.2f}",
                *(f"{row[f'peer {rival}']:+.1%}" for rival in ("PSI over 0.2", "KS p < 0.05", "expanding")),
            )
            for row in mine
        ]
        parts.append(markdown_table(rows, header=header) + "\n")
    return "\n".join(parts)


def _changes(name: str) -> bool:
    return name.startswith(("sudden", "label-rate", "price", "labels two"))


def main() -> None:
    """Run scenario by scenario; the table is written anew after each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 seeds at 500 labels, regression only")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--labels", type=int, nargs="+", default=[500, 2_000, 10_000])
    parser.add_argument("--tasks", nargs="+", default=["regression", "binary", "multiclass"])
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.labels, options.tasks = 5, [500], ["regression"]
    found: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.workers) as pool:
        for labels in options.labels:
            for task in options.tasks:
                for name in SCENARIOS:
                    seeds = range(options.seeds)
                    runs = list(pool.map(one, [name] * len(seeds), [task] * len(seeds), [labels] * len(seeds), seeds))
                    found.append(summary(name, task, labels, runs))
                    print(json.dumps(found[-1]), flush=True)
                    if not options.quick:
                        write_text(HERE / "decisions.md", table(found))
    rows = WINDOWS * sum(row["seeds"] for row in found)
    result = {
        "benchmark": "decisions",
        "target": "see decisions.md",
        "false_per_100_windows": sum(row["false_per_100"] * row["seeds"] * WINDOWS for row in found) / rows,
        "windows": rows,
        "in_time_from_20_percent": min(
            (row["in_time"] for row in found if row["scenario"] in ("sudden +20 %", "sudden +50 %")), default=None
        ),
        "worst_mean_regret": max(row["regret"] for row in found),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
