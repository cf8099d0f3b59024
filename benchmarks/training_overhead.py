"""What a retraining run costs around its XGBoost fits: `python benchmarks/training_overhead.py [--quick]`.

Seeded synthetic rows, 20 trials, the refit, figures, logging to MLflow, registering and promoting, in a
temporary home; 100,000 x 50 and, without --quick, 1,000,000 x 50. The whole of it is to take less than five minutes on
two cores at 1,000,000 rows, of which a search sees a sample of 100,000 (`training.trial_rows`). The last line is JSON.

A fit is the time inside `Booster.update` (growing trees and nothing else). Trials run side by side, so the
fits of the search count as their sum divided by the workers; everything else of the wall time is overhead:
encoding, binning, validation metrics of every round, waiting for the slowest trial of a batch, Optuna,
MLflow. `eval` is the part of it that is spent on the validation metrics, `store` that of MLflow.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.training import FeatureColumn, Goal, LabelledRows, TrainingSettings, fit, tune
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.mlflow.store import artifact_location, open_client

FEATURES = 50
DAYS = 120
TRIALS = 20
TARGET_SECONDS = 300.0
"""Of everything, at 1,000,000 rows."""


def rows(n: int) -> tuple[pd.DataFrame, np.ndarray, pd.DatetimeIndex]:
    """Numbers, a few categories, five percent missing values, and a label that a dozen of them explain."""
    rng = np.random.default_rng(7)
    values = rng.normal(size=(n, FEATURES - 4)).astype(np.float64)
    odds = values[:, :12] @ rng.normal(size=12) * 0.4 + np.sin(2 * values[:, 12]) + values[:, 13] * values[:, 14]
    values[rng.random(values.shape) < 0.05] = np.nan
    frame = pd.DataFrame(values, columns=[f"x{k}" for k in range(values.shape[1])])
    for name, size in (("carrier", 16), ("origin", 3), ("destination", 100), ("plane", 200)):
        codes = rng.integers(0, size, n)
        odds = odds + codes / size
        frame[name] = np.array([f"{name}{code}" for code in range(size)], dtype=object)[codes]
    y = (rng.random(n) < 1 / (1 + np.exp(-(odds - 3)))).astype(np.int64)
    return frame, y, pd.date_range("2013-01-01", periods=n, freq=pd.Timedelta(days=DAYS) / n, tz="UTC")


class Clock:
    """Seconds inside the named calls, by thread and name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    @contextmanager
    def timing(self, owner: Any, method: str, name: str) -> Iterator[None]:
        """Time a method while the block runs."""
        original: Callable[..., Any] = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                with self._lock:
                    self.seconds[name] += time.perf_counter() - start

        setattr(owner, method, timed)
        try:
            yield
        finally:
            setattr(owner, method, original)

    def take(self, name: str) -> float:
        """The seconds so far; starts again from zero."""
        return self.seconds.pop(name, 0.0)


def measure(n: int, home: Home) -> dict[str, float]:
    """One retraining run on n rows; see the module for what the numbers are."""
    import xgboost

    frame, y, times = rows(n)
    columns = [
        FeatureColumn(name, "numeric" if frame[name].dtype.kind == "f" else "categorical") for name in frame.columns
    ]
    settings, clock = TrainingSettings(trials=TRIALS), Clock()
    with clock.timing(xgboost.Booster, "update", "fit"), clock.timing(xgboost.Booster, "eval_set", "eval"):
        start = time.perf_counter()
        tuned = tune(LabelledRows(frame, y, times), Goal(columns, "binary", "roc_auc", settings))
        searched = time.perf_counter() - start
        fits, evaluations = clock.take("fit") / settings.workers, clock.take("eval") / settings.workers
        model = fit(tuned.recipe, frame, y)
        refitted = time.perf_counter() - start - searched
        refit = clock.take("fit")
    stored = time.perf_counter()
    keep(home, tuned, model, frame)
    store = time.perf_counter() - stored
    total, inside = searched + refitted + store, fits + refit
    result = {
        "rows": n, "trials": len(tuned.trials), "pruned": int((tuned.trials["state"] == "pruned").sum()),
        "rounds": tuned.recipe.rounds, "roc_auc": tuned.validation_score, "total": total, "fits": inside,
        "search_fits": fits, "refit": refit, "eval": evaluations, "store": store,
        "overhead": total - inside, "ratio": (total - inside) / inside,
    }  # fmt: skip
    return {name: round(value, 4) for name, value in result.items()}


def keep(home: Home, tuned: Any, model: Any, frame: pd.DataFrame) -> None:
    """Log and register the way the assets do."""
    from mlops_assets.pages.figures import feature_importance, validation_curve

    client, registry = open_client(home), Registry(home=str(home.root))
    location = artifact_location(home, home.mlflow_uri, f"bench{len(frame)}")
    run_id = client.create_run(client.create_experiment(f"bench{len(frame)}", location)).info.run_id
    client.log_text(run_id, validation_curve(tuned.curve, tuned.curve_metric), "validation_curve.svg")
    client.log_text(run_id, feature_importance(model.importance()), "feature_importance.svg")
    client.log_dict(run_id, tuned.trials.to_dict("records"), "trials.json")
    made = registry.register(f"bench{len(frame)}", model, run_id=run_id, signature_frame=frame.head(100))
    registry.promote(made.name, made.version, decision_id="bench", reason="a benchmark")
    client.set_terminated(run_id)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100,000 rows only")
    sizes = [100_000] if parser.parse_args().quick else [100_000, 1_000_000]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        open_client(home)
        results = [measure(size, home) for size in sizes]
    for result in results:
        print(", ".join(f"{name} {value:,}" for name, value in result.items()))
    target = f"ratio < 1; total < {TARGET_SECONDS:g} s at 1,000,000 rows"
    met = all(result["ratio"] < 1.0 and result["total"] < TARGET_SECONDS for result in results)
    print(json.dumps({"benchmark": "training_overhead", "target": target, "met": met, "results": results}))


if __name__ == "__main__":
    main()
