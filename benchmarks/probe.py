"""What one look of the probe costs: `python benchmarks/probe.py [--quick]`.

Seeded synthetic rows with 50 features and 120 days of labels in a temporary lake; a champion of 200 rounds that was
fitted on all but the newest week, and the look at that week with the defaults of a fresh YAML: reading labels and
features from Parquet, every refit in every fold, the twin, the verdict. 1,000,000 rows, with --quick 100,000. The last
line is JSON.

Features come from one Parquet file by key, in place of Feast: what a point-in-time join costs at such sizes is in
`point_in_time.py`. The registry and the record hold one champion and nothing else.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from training_overhead import DAYS, FEATURES, rows

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.model import Model, Recipe, fit
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import midnight
from mlops_assets.steps.decide.probe import probe
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import ModelData
from mlops_assets.world.platform import FITTED_UNTIL

TARGET_SECONDS = 30.0
VIEW, LABELS = "feat", "lbl"
START = date(2013, 1, 1)
CHAMPION_ROWS, CHAMPION_ROUNDS = 50_000, 200
PARAMS = {
    "objective": "binary:logistic", "eval_metric": "auc", "tree_method": "hist", "max_depth": 6, "eta": 0.1,
}  # fmt: skip


@dataclass(frozen=True)
class FeaturesByKey:
    """Features of one file by key, in the order of the rows that ask."""

    lake: Lake
    file: Path

    def historical(self, frame: pd.DataFrame, views: Sequence[str]) -> pd.DataFrame:
        """As `Features.historical`."""
        asked = frame[["row_id"]].reset_index(drop=True).rename_axis("place").reset_index()
        with self.lake.connect() as connection:
            found = connection.execute(
                "select file.* exclude (row_id) from asked join read_parquet($file) as file using (row_id) "
                "order by place",
                {"file": str(self.file)},
            ).df()
        assert len(found) == len(asked)
        return pd.concat([frame.reset_index(drop=True), found], axis=1)


def stored(lake: Lake, n: int) -> Path:
    """Labels by day and features in one file."""
    frame, y, times = rows(n)
    labels = pd.DataFrame(
        {"row_id": np.arange(n), "event_timestamp": times, "label_available_at": times + timedelta(hours=2), "y": y}
    )
    for day, part in labels.groupby(times.date):
        lake.write(part, lake.file("labels", LABELS, partition=day))
    file = lake.folder("features", f"{VIEW}.parquet")
    lake.write(frame.add_prefix(f"{VIEW}__").assign(row_id=np.arange(n)), file)
    return file


def platform_of(lake: Lake, file: Path) -> tuple[Any, ModelSettings, Model]:
    """What the probe asks for: a champion fitted until a week ago, its data, its clock."""
    model = ModelSettings(
        name="bench",
        description="One row per event.",
        task="binary",
        label={"model": LABELS, "column": "y", "max_delay": "1d"},
        features=[VIEW],
        metric="roc_auc",
        start=START,
        monitoring={"window": "week"},
    )
    end = START + timedelta(days=DAYS)
    end -= timedelta(days=end.weekday())  # weeks end on a Monday
    since = midnight(end - timedelta(days=7), "UTC")
    catalogue = SimpleNamespace(label_model=lambda _: SimpleNamespace(entities={"row_id": "int64"}))
    features: Any = FeaturesByKey(lake, file)
    data = ModelData(model=model, lake=lake, features=features, catalogue=catalogue)  # type: ignore[arg-type]
    # What is timed depends on which rows the champion may have seen, not on how many of them it was fitted.
    known = data.labelled(known_by=since)
    fitted = data.with_features(known.iloc[:: max(len(known) // CHAMPION_ROWS, 1)])
    names = [name for name in fitted.columns if name.startswith(f"{VIEW}__")]
    kinds = {name: "categorical" if fitted[name].dtype == object else "numeric" for name in names}
    columns = tuple(FeatureColumn(name, kinds[name]) for name in names)
    recipe = Recipe("xgboost", "binary", PARAMS, CHAMPION_ROUNDS, columns, {}, seed=13)
    champion = fit(recipe, fitted, fitted["label"].to_numpy())
    version = SimpleNamespace(version=1, uri="models:/bench/1", tags={FITTED_UNTIL: since.isoformat()})
    platform = SimpleNamespace(
        lake=lake,
        data=lambda _: data,
        now=lambda _: datetime.combine(end + timedelta(days=1), datetime.min.time(), tzinfo=UTC),
        registry=SimpleNamespace(champion=lambda _: version, load=lambda *_: champion, find=lambda *_: None),
        ledger=SimpleNamespace(entries=lambda _: []),
    )
    return platform, model, champion


def measure(n: int) -> dict[str, Any]:
    """One look on n rows."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(root=folder)
        platform, model, _ = platform_of(lake, stored(lake, n))
        start, cpu = time.perf_counter(), time.process_time()
        looked = probe(platform, model)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert looked is not None
    assert len(looked.looks) == 1, looked.unjudged
    return {
        "rows": n,
        "features": FEATURES,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "candidates": len(looked.looks[0].folds[0].loss),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "target_seconds": TARGET_SECONDS,
        "met": seconds < TARGET_SECONDS,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100,000 rows")
    result = measure(100_000 if parser.parse_args().quick else 1_000_000)
    print(", ".join(f"{name} {value}" for name, value in result.items()))
    print(json.dumps({"benchmark": "probe", "target": f"under {TARGET_SECONDS:g} s at 1,000,000 x 50", **result}))


if __name__ == "__main__":
    main()
