"""An hourly stream, lived in a project of its own: history, a first model, an hour as ever, an hour that has moved.

What lives here: sales as messages, and the life, run as `python -m tests.hourly_stream OUT` where `$MLOPS_PROJECT` is a
new project; what each hour led to is written to OUT. What does not: assertions (`end_to_end/test_hourly_stream.py`).

Sales are made at four hours of the day, sixty in each: windows of an hour have enough rows to be judged, and a history
of eleven days is small.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import yaml
from typer.testing import CliRunner

from mlops_assets.assets.retrain_sensor import Deciding
from mlops_assets.cli import app
from mlops_assets.core.record.entries import Decision, only
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.definitions import build_definitions
from mlops_assets.simulate.engine import Engine
from mlops_assets.simulate.fraud_demo import mock_broker
from mlops_assets.steps.land.stream_consumer import StreamReader
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.summaries import summaries
from mlops_assets.world.home import Home, working_in
from mlops_assets.world.platform import Platform
from mlops_assets.world.project import PROJECT

MODEL, START, DAYS, HOURS, AN_HOUR = "returns", date(2024, 1, 1), 11, (9, 10, 11, 12), 60
TODAY = START + timedelta(days=DAYS)
ON = [{"drift": {"psi": 0.2}}]


def sales(day: date, hour: int, rng: np.random.Generator, *, rows: int = AN_HOUR, more: float = 0.0) -> pd.DataFrame:
    """The sales of an hour, which are `more` expensive, and whether they were sent back."""
    seconds = np.sort(rng.integers(0, 3600, rows))
    amount, channel = rng.normal(50.0 + more, 10.0, rows).round(2), rng.choice(["web", "shop"], rows)
    chance = 1.0 / (1.0 + np.exp(-(amount - 50.0) / 6.0 - (channel == "web") + 0.5))
    times = pd.Timestamp(day, tz="UTC") + pd.to_timedelta(3600 * hour + seconds, unit="s")
    return pd.DataFrame(
        {
            "sold_at": times.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sale": [f"s{day:%j}{hour:02}{number:03}" for number in range(rows)],
            "amount": amount,
            "channel": channel,
            "returned": (rng.uniform(size=rows) < chance).astype(int),
        }
    )


def declare(history: pd.DataFrame, home: Home) -> None:
    """Let `mlops new-model` write source and model, and make a stream by the hour of it that is watched by the hour."""
    table = PROJECT.root / "sales.csv"
    history.to_csv(table, index=False)
    written = CliRunner().invoke(app, ["new-model", MODEL, "--from", str(table), "--label", "returned"])
    assert written.exit_code == 0, written.output
    # What it has landed by the day comes once more, as messages.
    shutil.rmtree(home.landing / MODEL)
    file = PROJECT.defs / MODEL / "defs.yaml"
    source, model = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    source["type"] = "mlops_assets.components.StreamSource"
    del source["attributes"]["contract"]["rows"]
    source["attributes"]["stream"] = {"topic": "sales", "files_by": "hour"}
    model["attributes"] |= {
        "monitoring": {"window": "1h"},
        "training": {"trials": 1, "min_rows": 200},
        "gate": {"window": "8d", "min_rows": 50, "when_unjudgeable": "ship"},
        "retrain": {"on": ON, "cooldown": "0d", "min_matured_labels": 50},
    }
    file.write_text(yaml.safe_dump_all([source, model], sort_keys=False), encoding="utf-8")


@contextmanager
def sending(home: Home, source: StreamSettings) -> Iterator[Any]:
    """What sends messages and has the reader read them."""
    with mock_broker(source) as producer:

        def send(frame: pd.DataFrame) -> None:
            for row in frame.to_dict("records"):
                producer.produce(source.stream.topic, value=json.dumps(row).encode())
                producer.poll(0)
            producer.flush()
            StreamReader(home, source).run(until_end=True)

        yield send


def live(home: Home) -> dict[str, Any]:
    """The life; what each hour of today led to."""
    rng = np.random.default_rng(7)
    days = [START + timedelta(days=number) for number in range(DAYS)]
    history = pd.concat([sales(day, hour, rng) for day in days for hour in HOURS], ignore_index=True)
    home.configure(replace(home.settings, clock="data", trials=1))
    declare(history, home.prepare())
    platform, hours = Platform.of(home), []
    source, model = platform.sources.settings()[MODEL], platform.models()[MODEL]
    assert isinstance(source, StreamSettings)
    with working_in(home, own_store=True), dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        engine = Engine(build_definitions(home), instance)
        with sending(home, source) as send:
            send(history)
            engine.tick("landing_sensor")
            first = engine.decide(model)
            for hour, more in ((9, 0.0), (10, 15.0)):
                # By event time an hour is over when something later has come.
                later = {"sold_at": f"{TODAY}T{hour + 1:02}:30:00Z", "sale": f"s{hour:02}later"}
                send(sales(TODAY, hour, rng, rows=4 * AN_HOUR, more=more))
                send(sales(TODAY, hour + 1, rng, rows=1, more=more).assign(**later))
                landed = engine.tick("landing_sensor")
                asked = Deciding(platform, instance).look(model).request
                decision = only(platform.ledger.entries(MODEL), Decision)[-1]
                hours.append(
                    {
                        "landed": len(landed.runs),
                        "now": platform.now(model).isoformat(),
                        "tags": [dict(asked.tags)] if asked else [],
                        "decision": decision.to_dict(),
                    }
                )
    windows = summaries(platform.lake, MODEL, "drift", DriftSummary)
    return {
        "first": len(first.runs),
        "hours": hours,
        "windows": {window.window: [check.passed for check in window.checks] for window in windows},
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(live(Home.from_environment()), default=str), encoding="utf-8")
