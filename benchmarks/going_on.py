"""What an update of a champion costs beside a full training, and what it is worth: `sgd`, `river`, boosted trees.

`python benchmarks/going_on.py [--days 60] [--rows 1000] [--seed 1]`: a binary label of eight numbers and a category, of
which the weights wander from day to day. After a first training on 30 days each family trains anew at the end of each
further day, on all days so far (the search of 20 trials of the defaults, and the fit, which is timed apart too), or
goes on from the day before with the day's rows alone. Each model is judged on the day after. CPU seconds of the
process, and the mean ROC AUC.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mlops_assets.core.models.family_choice import continuation
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import AVAILABLE_AT, Model, fit
from mlops_assets.core.models.training import Goal, LabelledRows, tune
from mlops_assets.core.models.tuning import TrainingSettings
from mlops_assets.core.models.weights import EVENT_TIME
from mlops_assets.core.stats.metrics import metric

NUMBERS = 8
FIRST = 30
START = datetime(2024, 1, 1, tzinfo=UTC)
COLUMNS = (*(FeatureColumn(f"x{i}") for i in range(NUMBERS)), FeatureColumn("c", "categorical"))


def world(days: int, rows: int, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows by day; the weights are a random walk, so that what was learnt last is worth most."""
    rng = np.random.default_rng(seed)
    weights, frames, labels = rng.normal(size=NUMBERS), [], []
    for day in range(days):
        weights = 0.98 * weights + 0.2 * rng.normal(size=NUMBERS)
        x, c = rng.normal(size=(rows, NUMBERS)), rng.choice(list("abcde"), rows)
        chance = 1 / (1 + np.exp(-(x @ weights + 0.5 * (c == "a"))))
        at = START + timedelta(days=day) + pd.to_timedelta(np.sort(rng.uniform(0, 86_400, rows)), unit="s")
        frame = pd.DataFrame(x, columns=[column.name for column in COLUMNS[:-1]])
        frames.append(frame.assign(c=c, **{EVENT_TIME: at, AVAILABLE_AT: at}))
        labels.append((rng.random(rows) < chance).astype(float))
    return pd.concat(frames, ignore_index=True), np.concatenate(labels)


def trained(frame: pd.DataFrame, y: np.ndarray, family: str) -> Model:
    """A full training: the search, and the fit of what it found."""
    settings = TrainingSettings(families=(family,))
    found = tune(LabelledRows(frame, y, frame[EVENT_TIME]), Goal(COLUMNS, "binary", "roc_auc", settings))
    return fit(found.recipe, frame, y)


def lived(frame: pd.DataFrame, y: np.ndarray, family: str, days: int, *, goes_on: bool) -> tuple[float, float, float]:
    """CPU seconds a day after the first training, and of a fit without a search; mean ROC AUC on the days after."""
    auc, day = metric("roc_auc"), (frame[EVENT_TIME] - START).dt.days.to_numpy()
    model, cpu, scores = trained(frame[day < FIRST], y[day < FIRST], family), 0.0, []
    for n in range(FIRST, days):
        today = day == n
        scores.append(auc.score(y[today], model.predict(frame[today])))
        known = day <= n
        began = time.process_time()
        if goes_on:
            recipe = continuation(model, START + timedelta(days=n))
            model = fit(recipe, frame[today], y[today], base=model)
        else:
            model = trained(frame[known], y[known], family)
        cpu += time.process_time() - began
    began = time.process_time()
    fit(model.recipe.from_nothing, frame, y)
    return cpu / (days - FIRST), time.process_time() - began, float(np.mean(scores))


def main() -> None:
    """A table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--families", nargs="*", default=["sgd", "river", "xgboost"])
    asked = parser.parse_args()
    frame, y = world(asked.days, asked.rows, asked.seed)
    out = sys.stdout.write
    out("| family | CPU s a training | its fit alone | CPU s an update | less | ROC AUC, trained anew | going on |\n")
    out("| --- | --- | --- | --- | --- | --- | --- |\n")
    for family in asked.families:
        full, alone, anew = lived(frame, y, family, asked.days, goes_on=False)
        part, _, on = lived(frame, y, family, asked.days, goes_on=True)
        less = f"{1 - part / full:.1%}, {1 - part / alone:.0%} of the fit"
        out(f"| `{family}` | {full:.2f} | {alone:.3f} | {part:.3f} | {less} | {anew:.4f} | {on:.4f} |\n")


if __name__ == "__main__":
    main()
