"""A day of many models in one location: their files land, a window of 1,000 rows closes, decisions and ten trainings.

Models as in `fleet.py`: copies of one that has lived through eight weeks. The ninth week of its source lands at once;
one landing run, in one process, predicts for each model and makes its drift and performance reports and its look; ticks
of the retrain sensor decide on all; then ten models are asked to train. CPU seconds and peak memory of that process.

Targets (of 1,000 models): at most 25 minutes on two cores, 4 GiB; from 100 to 1,000 linear within 1.15 times. One
window of one model: at most 1.0 s beyond the run's own start.

Usage: python benchmarks/fleet_day.py [--models 1 10 100]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from fleet import FIRST, Place, copies, first_model

DAY = """
import json, resource, sys, time
from dataclasses import replace
from datetime import UTC, datetime
import dagster as dg
from mlops_assets.definitions import build_definitions
from mlops_assets.simulate.engine import Engine
from mlops_assets.steps.decide.retrain_events import TrainingWish, ask
from mlops_assets.world.home import Home, working_in
from mlops_assets.world.platform import Platform

home, out = Home.from_environment(), {}
home.configure(replace(home.settings, until=datetime(2024, 4, 15, tzinfo=UTC)))

def measured(name, work):
    cpu, wall = time.process_time(), time.monotonic()
    value = work()
    out[name] = {"cpu": round(time.process_time() - cpu, 2), "wall": round(time.monotonic() - wall, 2)}
    print(name, out[name], file=sys.stderr)
    return value

with working_in(home), dg.DagsterInstance.from_config(str(home.dagster)) as instance:
    engine = measured("loading", lambda: Engine(build_definitions(home), instance))
    models = Platform.of(home).models()
    measured("landing", lambda: engine.tick("landing_sensor"))
    measured("decisions", lambda: engine.decide_all(list(models.values())))
    wish = TrainingWish("benchmark", "ten of them", False, {})
    chosen = sorted(models)[:10]
    for name in chosen:
        ask(home, name, wish, now=lambda: datetime(2024, 4, 15, tzinfo=UTC), key="", joins_training=False)
    measured("trainings", lambda: [engine.decide(models[name]) for name in chosen])
used = resource.getrusage(resource.RUSAGE_SELF)
out["peak_mib"] = used.ru_maxrss >> 10
out["models"] = len(models)
print(json.dumps(out))
"""


def measure(one: Place, models: int, folder: Path) -> dict[str, Any]:
    """The figures of so many models."""
    place = copies(one, folder / f"of_{models}", models)
    return dict(json.loads(place.run(DAY)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, nargs="+", default=[1, 10, 100])
    sizes = parser.parse_args().models
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        one = first_model(folder / "one", end="2024-04-08")
        print(
            json.dumps({"benchmark": "fleet_day", "first": FIRST, "results": [measure(one, n, folder) for n in sizes]})
        )


if __name__ == "__main__":
    main()
