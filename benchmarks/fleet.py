"""What many models cost in one location: loading it, a run's process, a tick with nothing new and one with news.

A source of made-up orders, one model of it that has lived through a replay, and copies of that model with all of its
state (record, reports, versions, aliases). CPU seconds of whole processes, or of the second tick in one.

Targets (of 1,000 models): loading at most 3 times that of one model and under 20 s; a run's process at most 1.3 times;
a tick with nothing new under 0.25 s, also of the alert sensor; at most 30 ms a model with news; ten years of daily
windows at most 1.2 times a month of them.

Usage: python benchmarks/fleet.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
FIRST = "late"
CLI = "import sys; sys.argv[0] = 'mlops'; from mlops_assets.cli import app; app()"
TABLES = (
    "registered_models",
    "model_versions",
    "model_version_tags",
    "registered_model_aliases",
    "registered_model_tags",
)
_CPU = """
import resource
used = resource.getrusage(resource.RUSAGE_SELF)
print(round(used.ru_utime + used.ru_stime, 3), used.ru_maxrss >> 10)
"""
LOAD = f"from mlops_assets.definitions import defs; defs().get_repository_def()\n{_CPU}"
RUN = f"""
import sys
from mlops_assets.world.runs import own_run
steps = ("training_set", "challenger", "evaluation", "champion")
run = own_run.OwnRun("retrain", frozenset(("{FIRST}", step) for step in steps))
own_run.own_run = lambda: run
import mlops_assets.definitions as module
module.own_run = own_run.own_run
from dagster import AssetKey
job = module.defs().get_repository_def().get_job("retrain")
job.get_subset(asset_selection=frozenset(AssetKey(list(path)) for path in run.assets))
{_CPU}
"""
TICKS = """
import json, sys, time
from dataclasses import replace
import dagster as dg
from mlops_assets.assets.model_looks import Tick
from mlops_assets.assets.platform.alert_sensor import alert_sensor
from mlops_assets.assets.retrain_sensor import Deciding
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.atomic import write_text
from mlops_assets.world.home import Home
from mlops_assets.world.platform import Platform

home, news = Home.from_environment(), int(sys.argv[1])
platform, instance, cursor, looked = Platform.of(home), dg.DagsterInstance.get(), None, []

def tick():
    global cursor
    platform = Platform.of(home)
    deciding = Deciding(platform, instance)
    def look(model):
        looked.append(model.name)
        return deciding.look(model)
    looked.clear()
    began = time.process_time()
    with dg.build_sensor_context(instance, cursor=cursor) as context:
        result = Tick(platform, Alerts(root=str(home.root)), look, "training_set").over(context, Platform.models)
    cursor = result.cursor
    return time.process_time() - began, len(looked), len(result.run_requests)

while tick()[1]:
    pass
quiet = [tick() for _ in range(5)]
assert all(each[1:] == (0, 0) for each in quiet), quiet
names = sorted(platform.models())[:news]

def again():
    for name in names:
        write_text(home.lake / "reports" / name / "drift" / "note.json", "{}")
    with_news = tick()
    assert with_news[1:] == (len(names), 0), with_news
    return with_news

with_news = again()
with_news = min((with_news, *(again() for _ in range(2))))

# A replay pages nobody, so this is another home.
home.configure(replace(home.settings, landing=None))
cursor = None

def alarms():
    global cursor
    began, alerts = time.process_time(), Alerts(root=str(home.root))
    with dg.build_sensor_context(
        instance, cursor=cursor, resources={"platform": Platform.of(home), "alerts": alerts}
    ) as context:
        result = alert_sensor(context)
    cursor = result.cursor
    return time.process_time() - began, str(result.skip_reason.skip_message)

while "goes on" in alarms()[1]:
    pass
alarms = min(alarms()[0] for _ in range(5))
print(json.dumps({
    "quiet": min(each[0] for each in quiet), "a model with news": with_news[0] / len(names), "quiet alarms": alarms,
}))
"""


class Place:
    """A project and a home of so many models."""

    def __init__(self, folder: Path) -> None:
        self.project, self.home = folder / "acme", folder / "home"

    def run(self, code: str, *arguments: str) -> str:
        """What a fresh process says last."""
        env = {**os.environ, "PYTHONPATH": str(ROOT), "MLOPS_HOME": str(self.home), "MLOPS_PROJECT": str(self.project)}
        env["DAGSTER_HOME"] = str(self.home / "dagster")
        command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
        done = subprocess.run(
            command, check=True, cwd=self.project, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return done.stdout.strip().splitlines()[-1]

    def files(self) -> Path:
        """Where models are declared."""
        return self.project / "acme" / "defs"


def orders(file: Path, days: int = 106, rows: int = 143) -> None:
    """A thousand rows a week with eight features."""
    rng, n = np.random.default_rng(7), days * rows
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.sort(rng.uniform(0, days * 86400, n)), unit="s")
    x = rng.normal(size=(n, 8)).round(4)
    table = pd.DataFrame(x, columns=[f"f{number}" for number in range(8)])
    table.insert(0, "order_id", np.arange(n) + 1)
    table.insert(1, "happened_at", times.strftime("%Y-%m-%dT%H:%M:%SZ"))
    table[FIRST] = (x[:, 0] + 0.5 * x[:, 1] - 0.3 * x[:, 2] + rng.logistic(size=n) > 0).astype(int)
    table.to_csv(file, index=False)


def first_model(folder: Path, end: str = "2024-04-15") -> Place:
    """A project with one model that has a champion and weekly reports and looks: nine of them until `end`."""
    folder.mkdir(parents=True)
    place, start = Place(folder), Place(folder)
    start.project = folder
    start.run(CLI, "init", "acme")
    orders(folder / "orders.csv")
    place.run(CLI, "new-model", FIRST, "--from", str(folder / "orders.csv"), "--time", "happened_at", "--label", FIRST)
    place.run(CLI, "replay", FIRST, "--start", "2024-02-05", "--end", end, "--trials", "1")
    (lived,) = (place.home / "replays").iterdir()
    kept = place.home
    place.home = folder / "lived"
    lived.rename(place.home)
    shutil.rmtree(kept / "replays")
    return place


def copies(of: Place, folder: Path, models: int) -> Place:
    """The same project and home with so many copies of its model."""
    place = Place(folder)
    shutil.copytree(of.project, place.project, ignore=shutil.ignore_patterns("target", "__pycache__"))
    shutil.copytree(of.home, place.home)
    text = (place.files() / FIRST / "defs.yaml").read_text(encoding="utf-8")
    model = next(part for part in text.split("\n---\n") if "MonitoredModel" in part)
    names = [f"m{number:04}" for number in range(1, models)]
    for name in names:
        (place.files() / name).mkdir()
        (place.files() / name / "defs.yaml").write_text(model.replace(f"name: {FIRST}", f"name: {name}", 1))
        for table in ("models", "reports", "references"):
            if (known := place.home / "lake" / table / FIRST).exists():
                shutil.copytree(known, known.with_name(name))
    _copy_versions(place.home / "mlflow" / "mlflow.db", names)
    _copy_records(place.home, names)
    return place


def _copy_versions(store: Path, names: list[str]) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        for table in TABLES:
            columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
            shown = ", ".join("?" if column == "name" else column for column in columns)
            copy = f"insert into {table} ({', '.join(columns)}) select {shown} from {table} where name = ?"
            connection.executemany(copy, [(name, FIRST) for name in names])


def _copy_records(home: Path, names: list[str]) -> None:
    from mlops_assets.core.record.entries import entry_of
    from mlops_assets.world.home import Home
    from mlops_assets.world.record.record import Record

    record = Record(Home(home).ledger)
    for name in names:
        for entry in record.entries(FIRST):
            record.append(name, entry_of({**entry.to_dict(), "model": name}))


def older(place: Place, years: int) -> None:
    """So many years of daily windows and of labels before the models' own, as copies of what is there."""
    lake = place.home / "lake"
    days = [date(2023, 12, 31) - timedelta(days=number) for number in range(365 * years)]
    labels = lake / "labels" / f"lbl_{FIRST}"
    one_day = sorted(labels.glob("partition=*"))[0]
    for day in days:
        shutil.copytree(one_day, labels / f"partition={day}")
    for model in (lake / "reports").iterdir():
        for report in ("drift", "performance"):
            newest = sorted((model / report).glob("window=*"))
            for day in days if newest else ():
                there = model / report / f"window={day}T0000"
                there.mkdir()
                shutil.copy2(newest[0] / "summary.json", there / "summary.json")


def cpu(place: Place, code: str, repetitions: int) -> tuple[float, float]:
    """CPU seconds and MiB of a fresh process, the median of so many."""
    each = [tuple(map(float, place.run(code).split())) for _ in range(repetitions)]
    return statistics.median(c for c, _ in each), max(m for _, m in each)


def measure(one: Place, models: int, folder: Path, repetitions: int) -> dict[str, Any]:
    """The figures of so many models."""
    place = copies(one, folder / f"of_{models}", models)
    place.run(LOAD)  # Writes dbt's manifest.
    load, memory = cpu(place, LOAD, repetitions)
    own, _ = cpu(place, RUN, repetitions)
    ticks = json.loads(place.run(TICKS, str(min(models, 10))))
    return {
        "models": models,
        "load_cpu_seconds": round(load, 2),
        "load_mib": round(memory),
        "run_process_cpu_seconds": round(own, 2),
        "quiet_tick_cpu_seconds": round(ticks["quiet"], 4),
        "quiet_tick_of_alarms_cpu_seconds": round(ticks["quiet alarms"], 4),
        "cpu_seconds_a_model_with_news": round(ticks["a model with news"], 4),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 models at most, one repetition")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        one = first_model(folder / "one")
        sizes = (1, 10) if quick else (1, 10, 100, 1_000)
        figures = [measure(one, models, folder, 1 if quick else 3) for models in sizes]
        history = {}
        for years in (0, 10):
            home = copies(one, folder / f"years_{years}", 10)
            older(home, years)
            history[f"{years} more years of days"] = json.loads(home.run(TICKS, "10"))
    print(json.dumps({"benchmark": "fleet", "results": figures, "ten models": history}))


if __name__ == "__main__":
    main()
