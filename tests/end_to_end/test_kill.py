"""kill -9 in the middle of each writing step, then the same run again: as if nothing had happened.

Each test kills the same work at one moment after another in the same home, and lets it finish at last.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mlops_assets.steps.features.online_store import compare_online, materialize_online
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow.run_status import settle
from mlops_assets.world.platform import Platform
from tests import killing
from tests.killing import killed
from tests.moments import Moment
from tests.real_slice import LAST_DAY, WEEKS, World, copy_home, working_in

pytestmark = pytest.mark.slow
BEFORE_PROMOTION = (
    Moment("/training_sets/[0-9a-f]*.parquet"),
    Moment("/models/flight_delay/training_set.json"),
    Moment("/candidates/*.ubj"),
    Moment("mlflow:MlflowClient.create_model_version"),
    Moment("/references/flight_delay/version=2/sample.parquet"),
    Moment("/models/flight_delay/evaluation.json"),
    # The first alias to move is `previous`; it dies before `champion` does.
    Moment("mlflow:MlflowClient.set_registered_model_alias", nth=2),
)
BEFORE_THE_RECORD = Moment("mlops_assets.world.record.record:Record.append")


def is_whole(world: World) -> None:
    """Every file that a reader's glob finds can be read."""
    for path in world.home.lake.rglob("*.parquet"):
        if not path.name.startswith("."):
            pq.read_metadata(path)
    for path in world.home.lake.rglob("*.json"):
        json.loads(path.read_text())


def content(world: World) -> dict[str, Any]:
    """What the model's assets have written, without times, ids and places of a single run."""
    found: dict[str, Any] = {}
    for path, content in world.files().items():
        # The labels that a window was judged on are named after the state of its files, times among it.
        name = re.sub(r"labels-[0-9a-f]{16}\.", "labels.", path)
        assert name not in found, f"two of {name}"
        if name.endswith(".json"):
            # Sums in linear algebra may differ in the last digits from one process to the next; hashes may not.
            values = json.loads(content, parse_float=lambda text: float(f"{float(text):.12g}"))
            of_one_run = ("mlflow_run", "path", "state") if isinstance(values, dict) else ()
            found[name] = {key: values[key] for key in values if key not in of_one_run} if of_one_run else values
        elif name.endswith(".npz"):
            with np.load(io.BytesIO(content)) as kept:
                head = json.loads(str(kept["head"]))
                counts = {part: kept[part].tolist() for part in kept.files if part != "head"}
            # Which state of the day's files was counted says when they were written.
            found[name] = {key: head[key] for key in head if key != "state"} | counts
        else:
            # Evidently gives each plot of its page a random name.
            found[name] = "a page" if name.endswith(".html") else content
    return found


def nothing_is_left_over(world: World) -> None:
    """Every model that MLflow keeps is a version's."""
    client = world.platform.registry.client
    experiments = [found.experiment_id for found in client.search_experiments()]
    kept = {model.artifact_location for model in client.search_logged_models(experiments)}
    assert kept == {version.source for version in world.platform.registry.versions("flight_delay")}


def record(world: World) -> list[dict[str, Any]]:
    return world.ledger()


@pytest.fixture(scope="module", autouse=True)
def forking() -> Iterator[None]:
    with killing.forking():
        yield


@pytest.fixture
def undisturbed(drifting_home: Home, tmp_path: Path) -> World:
    """Another copy of the same home."""
    return World.of(copy_home(drifting_home, tmp_path / "undisturbed"))


def test_a_retraining_killed_at_every_step(drifting: World, undisturbed: World) -> None:
    (request,), _ = drifting.engine.requests(drifting.sensor)
    with working_in(undisturbed.home):
        undisturbed.tick()
    tags = {**request.tags, "dagster/run_key": str(request.run_key)}
    for moment in (*BEFORE_PROMOTION, BEFORE_THE_RECORD):
        killed(drifting.home, moment, killing.retrain, tags, "flight_delay", {})
        (left,) = drifting.engine.bury()
        run = drifting.instance.get_run_by_id(left)
        tags = dict(run.tags)  # what runs again inherits them
        is_whole(drifting)
        settle(drifting.instance, run, home=drifting.home)
        nothing_is_left_over(drifting)
        promoted = 2 if moment is BEFORE_THE_RECORD else 1
        assert drifting.aliases()["champion"] == promoted, moment
        assert drifting.ledger("promotion", "rejection") == drifting.ledger("promotion")[:1]
        champion = drifting.platform.registry.load("flight_delay")
        assert champion.sha256 == drifting.platform.registry.version("flight_delay", promoted).sha256
    killing.retrain(drifting.home, tags, "flight_delay", {})
    assert content(drifting) == content(undisturbed)
    assert drifting.aliases() == undisturbed.aliases() == {"champion": 2, "previous": 1}
    assert record(drifting) == record(undisturbed)
    ours, theirs = (
        [(v.version, v.sha256, v.tags["verdict"]) for v in w.platform.registry.versions("flight_delay")]
        for w in (drifting, undisturbed)
    )
    assert ours == theirs


def test_predictions_and_reports_killed_at_every_step(drifting: World, undisturbed: World) -> None:
    end = LAST_DAY + timedelta(days=1)
    for world in (drifting, undisturbed):
        world.at(end)
    with working_in(undisturbed.home):
        undisturbed.watch(WEEKS[-1], end)
    for moment in (
        Moment("/predictions/flight_delay/*/batch.parquet", nth=3),
        Moment("/reports/flight_delay/drift/*/report.html"),
        Moment("/reports/flight_delay/drift/*/summary.json"),
        Moment("/reports/flight_delay/performance/*/summary.json"),
    ):
        killed(drifting.home, moment, killing.watch, WEEKS[-1], end)
        drifting.engine.bury()
        is_whole(drifting)
    drifting.watch(WEEKS[-1], end)
    assert content(drifting) == content(undisturbed)
    assert drifting.aliases() == undisturbed.aliases()


def served(home: Home) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the online store, by table."""
    with closing(sqlite3.connect(home.feast / "online.db")) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        return {
            table: sorted(
                connection.execute(f"select entity_key, feature_name, value, event_ts from '{table}'").fetchall()
            )
            for table in sorted(tables)
        }


def test_the_online_store_killed_between_two_views(world: World, undisturbed: World) -> None:
    for one in (world, undisturbed):
        one.at(date(2013, 1, 8))
    with working_in(undisturbed.home):
        materialize_online(undisturbed.platform)
    killed(world.home, Moment("mlops_assets.feast_store.online_tables:upsert_batch", nth=3), killing.serve)
    assert set(map(len, served(world.home).values())) <= {0}  # all views or none
    platform = Platform.of(world.home)
    done = materialize_online(platform)
    assert done is not None
    assert served(world.home) == served(undisturbed.home)
    assert compare_online(platform, done.moments).differences == []
