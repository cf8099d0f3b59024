"""The run of this process, by each of the ways in which Dagster hands it over, and what is loaded for it."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import serialize_value

from mlops_assets.world.declared_files import files_without
from mlops_assets.world.home import Home, working_in
from mlops_assets.world.landed.sources import DEFS
from mlops_assets.world.runs import own_run
from mlops_assets.world.runs.own_run import OwnRun, executes
from tests.checkout import CHECKOUT

RUN = "7" * 32
CHAIN = frozenset(("flight_delay", step) for step in ("training_set", "challenger", "evaluation", "champion"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    own_run.own_run.cache_clear()
    with working_in(Home(tmp_path / "home")) as home:
        with dg.DagsterInstance.from_config(str(home.prepare().dagster)) as instance:
            keys = frozenset(dg.AssetKey(list(path)) for path in CHAIN)
            instance.add_run(dg.DagsterRun(job_name="retrain", run_id=RUN, asset_selection=keys))
        yield home
    own_run.own_run.cache_clear()


def handed_over(home: Home) -> str:
    """As Dagster writes it."""
    origin = RepositoryPythonOrigin(sys.executable, ModuleCodePointer("mlops_assets.definitions", "defs"))
    return serialize_value(
        ExecuteRunArgs(JobPythonOrigin("retrain", origin), RUN, InstanceRef.from_dir(str(home.dagster)))
    )


@pytest.mark.parametrize("way", ["argument of the process", "command line", "environment"])
def test_the_run_is_found_however_it_is_handed_over(home: Home, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    text = handed_over(home)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert own_run.own_run() is None
    own_run.own_run.cache_clear()
    if way == "argument of the process":
        monkeypatch.setattr(multiprocessing, "current_process", lambda: SimpleNamespace(_args=(text, "job", "queue")))
    elif way == "command line":
        monkeypatch.setattr(sys, "argv", ["dagster", "api", "execute_run", text])
    else:
        monkeypatch.setattr(sys, "argv", ["dagster", "api", "execute_run"])
        monkeypatch.setenv("DAGSTER_EXECUTE_RUN_ARGS", text)
    assert own_run.own_run() == OwnRun("retrain", CHAIN)
    assert own_run.own_run().models == {"flight_delay"}
    assert executes("flight_delay", ["training_set"])
    assert not executes("flight_delay", ["predictions", "drift_report"])
    assert not executes("raw", ["flights"])


def test_other_processes_have_none(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for args in ((), ("{}",), ("some text", 3), (lambda: None,)):
        monkeypatch.setattr(multiprocessing, "current_process", lambda args=args: SimpleNamespace(_args=args))
        monkeypatch.setattr(sys, "argv", ["dagster", "api", "grpc"])
        assert own_run.own_run() is None
        own_run.own_run.cache_clear()
    assert executes("flight_delay", ["predictions"])


@pytest.mark.parametrize(
    ("assets", "models"),
    [
        (CHAIN, {"flight_delay"}),
        (frozenset({("flight_delay", "rollout"), ("card_fraud", "rollout")}), {"flight_delay", "card_fraud"}),
        (CHAIN | {("raw", "flights")}, set()),
        (CHAIN | {("feat_flight",)}, set()),
        (frozenset({("feast", "online_store")}), set()),
        (frozenset(), set()),
    ],
)
def test_whose_models_a_run_is_about(assets: frozenset[tuple[str, ...]], models: set[str]) -> None:
    assert OwnRun("retrain", assets).models == models


def test_files_that_name_no_such_model_are_left_out() -> None:
    left = {path.parent.name for path in files_without(DEFS, {"flight_delay"})}
    assert "flight_delay" not in left
    assert {"card_fraud", "arrival_delay", "flights"} <= left
    assert files_without(DEFS, {"flight_delay", "nobody"}) == []
    assert files_without(DEFS, set()) == []


def test_the_process_of_a_run_loads_its_model_alone(home: Home) -> None:
    code = (
        "import sys; sys.argv = ['dagster', 'api', 'execute_run', sys.argv[1]]\n"
        "from mlops_assets.definitions import defs\n"
        "import dagster as dg\n"
        "repository = defs().get_repository_def()\n"
        "keys = sorted(k.to_user_string() for k in repository.asset_graph.executable_asset_keys)\n"
        "print(keys, sorted(s.name for s in repository.sensor_defs))\n"
        "selected = frozenset(dg.AssetKey(['flight_delay', s]) for s in ('training_set', 'champion'))\n"
        "job = repository.get_job('retrain').get_subset(asset_selection=selected)\n"
        "print(sorted(k.to_user_string() for k in job.asset_layer.executable_asset_keys))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, handed_over(home)],
        cwd=CHECKOUT,
        env={**os.environ, **home.environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, job = done.stdout.splitlines()[-2:]
    own = [f"flight_delay/{step}" for step in ("challenger", "champion", "evaluation", "rollout", "training_set")]
    assert loaded in (f"{own} []", f"{[key for key in own if not key.endswith('rollout')]} []")
    assert job == "['flight_delay/champion', 'flight_delay/training_set']"
