"""Decisions where a relation breaks: `python benchmarks/breaks.py [--quick] [--minutes N]`.

Every scenario of tests/scenarios/breaks.py, for a regression (RMSE, ridge), a binary label and three classes (log loss,
logistic regression), at several numbers of labels a window, with labels at once, a month and 75 days late, and the
defaults of a fresh YAML. Beside the platform: never, the calendars (all history, the newest 1, 2 and 4 windows, each
window), and the small policy of tests/scenarios/small_policy.py. The loss is the truth's, on fresh rows.

Figures are kept by world in a folder of the code they were taken with, so that a run that was stopped goes on. The
tables go to benchmarks/breaks.md; the last line is JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

# One world a process: threads inside one would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from scipy.stats import t

from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.simulate.life import live
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.core.simulate.rules_of_thumb import every, never
from mlops_assets.core.simulate.shared_fits import Fits
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.world.atomic import write_text
from tests.scenarios.breaks import BREAKS, CHANGE, COUNT, DAYS, FIRST, break_world
from tests.scenarios.small_policy import small_policy

HERE = Path(__file__).resolve().parent
KEPT = HERE / ".decisions"
CALENDARS = ("expanding", "1", "2", "4")
SEEDS = {500: 8, 2_000: 4, 10_000: 2}
DELAYS = (0, 30, 75)
WHOLE = {"flip in mid-window": 1, "flip over two windows": 2}
"""Windows after the first changed one until one lies wholly after the change; else none."""
STAYS = (
    "flip of all", "flip of a segment of 40 %", "flip in mid-window", "flip over two windows", "rare positives",
    "a new class",
)  # fmt: skip
PAYS = 0.02
GROWTH, FLIP, SHOCK = "steady growth", "flip of all", "one-window shock"
FREE, LATER = "platform, price 0", "platform, a window later"
TASKS = {
    "steady growth": ("regression",), "rare positives": ("binary",), "a new class": ("multiclass",),
    "a class that vanishes": ("multiclass",),
}  # fmt: skip
World = tuple[str, str, int, int, int]
"""Scenario, task, labels a window, days that labels are late, seed."""


def worlds(seeds: dict[int, int]) -> list[World]:
    """All that are lived through, seed by seed, so that scenarios have as many."""
    found: list[World] = []
    for seed in range(max(seeds.values())):
        for labels in (labels for labels, count in seeds.items() if seed < count):
            for name in BREAKS:
                for task in TASKS.get(name, ("regression", "binary", "multiclass")):
                    if name != "rare positives" or labels >= 10_000:
                        found += [(name, task, labels, late, seed) for late in DELAYS]
    return found


def lived(world: World) -> dict[str, Any]:
    """The figures of one world: mean true loss by life, trainings, and whether the change was answered in time."""
    name, task, labels, late, seed = world
    delay = timedelta(days=late) if late else timedelta(hours=2)
    place = break_world(name, task=task, labels=labels, seed=seed, delay=delay)
    fits = Fits(place.rows, place.learner)
    own = LifePolicy(metric=place.metric, retrain=RetrainPolicy(window=timedelta(days=DAYS)))
    lives = {"platform": live(place.rows, place.windows, fits, own, first=FIRST)}
    if name == GROWTH:
        free = replace(own, retrain=replace(own.retrain, min_gain=0.0))
        lives[FREE] = live(place.rows, place.windows, fits, free, first=FIRST)
    rules = {"never": never(), **{of: every(1, first=FIRST, of=of) for of in CALENDARS}}
    for rule, policy in rules.items():
        lives[rule] = live(place.rows, place.windows, fits, replace(own, rule=policy, gate=None), first=FIRST)
    models = {life: [one.versions[p.served_by].model for p in one.periods] for life, one in lives.items()}
    models[LATER] = [models["platform"][0], *models["platform"][:-1]]
    models["small policy"], small = small_policy(fits, place.windows, place.metric, first=FIRST)
    losses = {life: [place.loss(model, k) for k, model in enumerate(served, FIRST)] for life, served in models.items()}
    trained = {life: [period.trained for period in one.periods] for life, one in lives.items()}
    replaced = [new is not old for old, new in pairwise(models["small policy"])]
    trained["small policy"] = [*replaced, sum(replaced) < small]
    # The window at whose end the first one that lies wholly after the change has matured.
    due = CHANGE + WHOLE.get(name, 0) + math.ceil(late / DAYS)
    # The one at whose end the first of its labels are known; what is fitted then serves in the next one.
    told = CHANGE + late // DAYS
    promoted = [k for k, one in enumerate(lives["platform"].periods, FIRST) if one.promoted]
    return {
        "losses": {life: float(np.mean(values)) for life, values in losses.items()},
        "first told": {life: losses[life][told + 1 - FIRST] for life in ("never", *CALENDARS)},
        "trainings": {life: sum(trained[life]) for life in trained},
        "paid": {life: float(np.mean(np.multiply(trained[life], losses[life]))) for life in trained},
        "updates": lives["platform"].updates,
        "answered": any(CHANGE <= k <= due for k in promoted),
    }


def code() -> str:
    """A digest of the code that the figures depend on."""
    names = ("mlops_assets.core.", "tests.scenarios.")
    files = {Path(str(module.__file__)) for name, module in list(sys.modules.items()) if name.startswith(names)}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def kept(folder: Path, world: World) -> Path:
    """The file of a world's figures."""
    return folder / ("-".join(str(part).replace(" ", "_") for part in world) + ".json")


def one(folder: Path, world: World, until: float) -> None:
    """Live through a world that has not been, unless it is too late to begin."""
    if not kept(folder, world).exists() and time.time() < until:
        write_text(kept(folder, world), json.dumps(lived(world)))


def closed(runs: Sequence[dict[str, Any]], life: str) -> np.ndarray:
    """Share of the way from never to the best calendar in hindsight that a life has gone, of each run, shape (n,).

    The way is the mean of all runs: the share of a run that has hardly any would be noise, and outweigh the others.
    """
    way = np.mean([run["losses"]["never"] - min(run["losses"][of] for of in CALENDARS) for run in runs])
    return np.array([run["losses"]["never"] - run["losses"][life] for run in runs]) / float(way)


def lost(run: dict[str, Any], life: str) -> float:
    """How much more a life lost than the best of never and the calendars, as a share."""
    losses = run["losses"]
    return float(losses[life] / min(losses["never"], *(losses[of] for of in CALENDARS)) - 1.0)


def row(key: tuple[Any, ...], runs: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    """One line of the table."""
    name, task, labels, late = key
    best = np.array([min(run["losses"][of] for of in CALENDARS) for run in runs])
    never, own = (np.array([run["losses"][life] for run in runs]) for life in ("never", "platform"))
    unchanged, less = (np.array([lost(run, life) for run in runs]) for life in ("never", "platform"))
    pays = float(unchanged.mean()) >= PAYS
    lives = ("platform", "small policy")
    mine, small = (closed(runs, life) if pays else np.array([lost(run, life) for run in runs]) for life in lives)
    met = float(np.where(unchanged >= PAYS, never - own >= 0.95 * (never - best), less <= PAYS).mean())
    gap = mine - small if pays else small - mine
    told = (lambda value: f"{value:.0%} of the way") if pays else (lambda value: f"loses {value:.1%}")
    answered = f"{np.mean([run['answered'] for run in runs]):.0%}" if name in STAYS else ""
    trained, small_trained, updates = (
        f"{np.mean([value(run) for run in runs]):.1f}"
        for value in (
            lambda run: run["trainings"]["platform"],
            lambda run: run["trainings"]["small policy"],
            lambda run: run["updates"],
        )
    )
    return (
        name, task, f"{labels:,}", f"{late} d", len(runs), told(mine.mean()), told(small.mean()),
        _interval(gap), f"{met:.0%}", answered,
        trained, updates, small_trained,
    )  # fmt: skip


def like_for_like(key: tuple[Any, ...], runs: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    """One line of steady growth: the platform at its price and at none, and what is left when the price is paid."""
    lives, price = ("platform", FREE, "small policy"), RetrainPolicy().min_gain
    gone = {life: closed(runs, life) for life in lives}
    way = np.mean([run["losses"]["never"] - min(run["losses"][of] for of in CALENDARS) for run in runs])
    net = {life: gone[life] - price * np.array([run["paid"][life] for run in runs]) / way for life in lives}
    return (
        f"{key[2]:,}", f"{key[3]} d", len(runs), *(f"{gone[life].mean():.1%}" for life in lives),
        _interval(gone[FREE] - gone["small policy"]), *(f"{net[life].mean():.1%}" for life in lives),
        _interval(net["platform"] - net["small policy"]),
        *(f"{np.mean([run['trainings'][life] for run in runs]):.1f}" for life in lives),
    )  # fmt: skip


def _interval(values: np.ndarray) -> str:
    """Mean and 95 % interval by Student's t, which of a few seeds is much wider than the normal's."""
    n = len(values)
    error = float(t.ppf(0.975, n - 1) * values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return f"{values.mean():+.1%} ± {error:.1%}"


def answered_or_not(key: tuple[Any, ...], found: dict[tuple[Any, ...], list[dict[str, Any]]]) -> tuple[Any, ...] | None:
    """One line of what an answer to the first labels of a change gains where it stays, and loses where it is over."""
    flips, shocks = found.get((FLIP, *key[1:])), found.get((SHOCK, *key[1:]))
    if not flips or not shocks:
        return None
    way = np.mean([run["losses"]["never"] - min(run["losses"][of] for of in CALENDARS) for run in flips])
    windows, kept = COUNT - FIRST, np.mean([run["losses"]["never"] for run in shocks])

    def saved(of: str) -> str:
        stays, back = (
            np.mean([run["first told"]["never"] - run["first told"][of] for run in r]) for r in (flips, shocks)
        )
        return f"{stays / windows / way:+.1%} / {back / windows / kept:+.1%}"

    shown = (float(np.mean(closed(flips, life))) for life in ("platform", LATER))
    lost_more = np.mean([run["losses"]["platform"] for run in shocks]) / kept - 1.0
    return (
        *key[1:2],
        f"{key[2]:,}",
        f"{key[3]} d",
        *(f"{of:.1%}" for of in shown),
        f"{lost_more:.1%}",
        *map(saved, CALENDARS),
    )


HEADER = [
    "world", "task", "labels a window", "labels late", "seeds", "platform", "small policy", "difference",
    "within the bar", "replaced in time", "trainings", "updates", "small policy's trainings",
]  # fmt: skip


GROWTH_HEADER = [
    "labels a window", "labels late", "seeds", "platform", "at a price of 0", "small policy",
    "difference at a price of 0", "platform, price paid", "at a price of 0, price paid", "small policy, price paid",
    "difference, price paid", "trainings", "trainings at a price of 0", "small policy's trainings",
]  # fmt: skip
ANSWER_HEADER = [
    "task", "labels a window", "labels late", "flip: of the way", "flip: a window later", "shock: loses",
    *(f"first refit: {of}" for of in ("all history", "newest window", "newest 2", "newest 4")),
]  # fmt: skip


def document(found: dict[tuple[Any, ...], list[dict[str, Any]]]) -> str:
    """benchmarks/breaks.md."""
    ordered = sorted(found.items(), key=lambda item: (item[0][2], item[0]))
    rows = [row(key, runs) for key, runs in ordered]
    growth = [like_for_like(key, runs) for key, runs in ordered if key[0] == GROWTH]
    answers = [line for key, _ in ordered if key[0] == FLIP and (line := answered_or_not(key, found))]
    return f"""# Decisions where a relation breaks

Written by `python benchmarks/breaks.py`. Every effect turns round in the ninth of twenty windows of 28 days, for all
rows, for a segment of 40 %, in mid-window, over two windows, or there and back after three; beside these a label that
grows, rare positives, a class that comes and one that goes, nothing that changes, and a shock of one window. Days
remember the day before (0.5). Defaults of a fresh YAML.

- *Of the way*: from never retraining to the best calendar in hindsight (all history, the newest 1, 2 or 4 windows, each
  at every window), by the mean true loss of the 16 windows lived through and of all seeds; over 100 % is better than
  every calendar. Where never is best, or within 2 % of it: what was lost beside the best, in percent of its loss.
- *Within the bar*: share of the worlds with at least 95 % of the way; where nothing is to be gained, with at most 2 %
  lost.
- *Replaced in time*: a new model at the close of the first window that lies wholly after the change, or, with late
  labels, at the close by which it has matured (90 % asked: of all rows from 500 labels on, of a segment from 5,000).
- *Small policy*: calendars fitted on the first two thirds of the newest month, judged on its last third by a paired t
  over days; the difference to it with the 95 % interval over seeds (Student's t). Of 219 rows some five are beyond
  theirs on either side by chance.
- *A shock*, and *there and back* with late labels: whoever answers a change at its close has answered one that is over.

{markdown_table(rows, header=HEADER)}

## Steady growth, like for like

Each training must gain 1 % of the champion's loss in the newest days (`retrain.min_gain`), which the small policy does
not ask. So it stands beside the platform at a price of 0, too; and beside the platform as it is, where each training
costs that percent of the loss of the window in which it began (*price paid*).

{markdown_table(growth, header=GROWTH_HEADER)}

## To answer a change is to answer a shock

Until the labels of the next window come, a flip of all rows and a shock of one window are one and the same world:
whoever answers one has answered the other. To wait a window and see whether it lasts would lose nothing by the shock,
and of the way after the flip what lies between the first two columns. So no policy replaces a model at the first close
and has few promotions that are surely worse after a shock.

On the right, what a calendar saves that is refitted at the first close at which any label of the change is known, in
the window after it: of the way after the flip / of the loss of a life with the shock. With labels 75 days late nine
days of the change are known then, and the platform judges the newest days in turns
([0055](../docs/adr/0055-newest-days-in-turns.md)). Of the calendars it takes two windows, which hold enough older rows
to lose little where the change is over.

{markdown_table(answers, header=ANSWER_HEADER)}
"""


def main() -> None:
    """Run, and write the tables of all that there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 seeds at 500 labels; no table")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no world after so long")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    folder, wanted = KEPT / f"breaks-{code()}", worlds({500: 2} if options.quick else SEEDS)
    until = time.time() + 60 * options.minutes
    with ProcessPoolExecutor(options.workers) as pool:
        list(pool.map(one, [folder] * len(wanted), wanted, [until] * len(wanted)))
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for world in wanted:
        if kept(folder, world).exists():
            found.setdefault(world[:4], []).append(json.loads(kept(folder, world).read_text(encoding="utf-8")))
    if not options.quick:
        write_text(HERE / "breaks.md", document(found))
    rows = [row(key, runs) for key, runs in found.items()]
    print(
        json.dumps(
            {
                "benchmark": "breaks",
                "target": "at least 95 % of the way from never to the best calendar; replaced at the first close",
                "within_the_bar": {" ".join(map(str, one[:4])): one[8] for one in rows},
                "in_time": {" ".join(map(str, one[:4])): one[9] for one in rows if one[9]},
            }
        )
    )


if __name__ == "__main__":
    main()
