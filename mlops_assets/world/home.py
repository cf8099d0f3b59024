"""Where everything lives: the paths of one home and its settings.

Here: the layout of `$MLOPS_HOME` and the one small file that says which clock the home has.
Not here: reading or writing tables (`lake`), what time it is (`clock`).
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from mlops_assets.core.record.plain_values import from_plain, moment
from mlops_assets.core.values.display import shown
from mlops_assets.core.values.quoted_commands import in_home
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state_by
from mlops_assets.world.project import PROJECT

DEFAULT = PROJECT.root / ".mlops"
"""The home where nothing names another."""

_REFUSED = "?#%\\"
"""SQLite (of Dagster and MLflow) and the adapter of dbt take what follows ? and # in the address of a database for
something else, and \\ for /; MLflow decodes %20 twice. DuckDB cannot write \\ in a pattern; `*` and `[` stand for
themselves (`core.values.sql.exact`).
"""

SHARED_CORES = {
    # XGBoost's threads sleep when they wait: on a busy machine spinning ones take the cores from the others.
    "OMP_WAIT_POLICY": "PASSIVE",
    # OpenBLAS's threads spin always: components of 1,300 rows of 95 features took 0.18 s of CPU on two busy cores, by
    # one thread 0.01; and a sum does not depend on the number of cores.
    "OPENBLAS_NUM_THREADS": "1",
}
"""What the environment says before numpy and XGBoost are loaded, where nobody has said something else."""

ClockKind = Literal["wall", "data"]


@dataclass(frozen=True)
class Limits:
    """What is refused before it fills the machine.

    Attributes:
        file_bytes: the most that a landed file may have, without its packing; in memory its texts are about 20 times
            as large.
    """

    file_bytes: Annotated[int, msgspec.Meta(ge=1)] = 256 * 2**20

    @classmethod
    def here(cls) -> Limits:
        """Those of the home that the environment names; the usual ones where there is none."""
        return Home.from_environment().settings.limits


@dataclass(frozen=True)
class HomeSettings:
    """What is particular to one home.

    Attributes:
        clock: `wall` reads the machine's clock, `data` the end of the newest good data.
        until: with clock `data`, time never passes this moment (a replay moves it forward).
        landing: where files land, if not in the home itself (a replay reads its parent's, and only reads).
        trials: Optuna trials of every training in this home, whatever the models say (a demo takes fewer).
        limits: what is refused before it fills the machine.
        trainings: what is agreed on for all trainings of this home together, in place of the project's
            `[tool.mlops.trainings]` (a demo shows a small budget).
    """

    clock: ClockKind = "wall"
    until: datetime | None = None
    landing: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    trials: Annotated[int, msgspec.Meta(ge=0)] | None = None
    limits: Limits = field(default_factory=Limits)
    trainings: dict[str, Any] | None = None

    def to_json(self) -> str:
        """The settings as they stand in home.json."""
        values: dict[str, Any] = asdict(self)
        values["until"] = self.until.isoformat() if self.until else None
        return json.dumps(values, indent=2) + "\n"

    @classmethod
    def from_plain(cls, values: Any) -> HomeSettings:
        """The inverse of `to_json`, out of what the JSON says.

        Raises:
            ValueError: it says something else.
        """
        settings = from_plain(cls, values)
        if unknown := [*(values.keys() - _names(cls)), *(values.get("limits", {}).keys() - _names(Limits))]:
            known = f"{', '.join(_names(cls))}; under limits: {', '.join(_names(Limits))}"
            raise ValueError(f"{shown(min(unknown))} is no setting of a home; correct it to one of {known}")
        return replace(settings, until=moment(settings.until)) if settings.until else settings


def _names(of: type[Any]) -> list[str]:
    return [each.name for each in fields(of)]


@dataclass(frozen=True)
class Home:
    """The folders of one home. Cheap to make; nothing is created before `prepare`."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """The home that `$MLOPS_HOME` names, else `.mlops` in the project.

        Raises:
            ValueError: its path has a character that the databases in it cannot have in theirs.
        """
        root = Path(os.environ.get("MLOPS_HOME") or DEFAULT).expanduser().resolve()
        if chars := sorted(set(str(root)) & set(_REFUSED)):
            raise ValueError(
                f"A home cannot have {' or '.join(chars)} in its path, and {shown(str(root))} has: in the address of a "
                "database or a file it stands for something else. Name another folder (--home, MLOPS_HOME), or rename "
                "it. Nothing was written."
            )
        return cls(root)

    @property
    def settings_file(self) -> Path:
        """Where the clock of this home is written down."""
        return self.root / "home.json"

    @property
    def settings(self) -> HomeSettings:
        """The settings as of now (read each time: a replay moves its clock between two reads)."""
        lost = "the home then goes by the machine's clock; no data is touched by that"
        return read_state_by(self.settings_file, HomeSettings.from_plain, lost=lost) or HomeSettings()

    def configure(self, settings: HomeSettings) -> None:
        """Write the settings, atomically."""
        write_text(self.settings_file, settings.to_json())

    @property
    def landing(self) -> Path:
        """Files as they arrived, one folder a source."""
        landing = self.settings.landing
        return Path(landing) if landing else self.root / "landing"

    @property
    def lake(self) -> Path:
        """Parquet that everything shares."""
        return self.root / "lake"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file of dbt: views and staging only, may be deleted at any time."""
        return self.root / "warehouse.duckdb"

    @property
    def feast(self) -> Path:
        """Feast's registry and online store."""
        return self.root / "feast"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.root / "mlflow"

    @property
    def dagster(self) -> Path:
        """DAGSTER_HOME of this home."""
        return self.root / "dagster"

    @property
    def ledger(self) -> Path:
        """One JSON-lines file of decisions a model."""
        return self.root / "ledger"

    @property
    def replays(self) -> Path:
        """Homes of replays."""
        return self.root / "replays"

    @property
    def mlflow_uri(self) -> str:
        """Where MLflow is: `$MLFLOW_TRACKING_URI` in production, else SQLite in the home."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.mlflow / 'mlflow.db'}"

    def said(self, text: str) -> str:
        """A sentence whose commands name this home, unless it is the default one, for readers of any shell."""
        return in_home(text, "" if self.root == DEFAULT else str(self.root))

    def prepare(self) -> Home:
        """Create the folders and Dagster's instance file, where they are missing."""
        for folder in (self.lake, self.feast, self.mlflow / "artifacts", self.dagster, self.ledger):
            folder.mkdir(parents=True, exist_ok=True)
        if self.settings.landing is None:
            self.landing.mkdir(parents=True, exist_ok=True)
        instance_file = self.dagster / "dagster.yaml"
        if not instance_file.exists():
            write_text(instance_file, INSTANCE_YAML)
        return self

    def environment(self) -> dict[str, str]:
        """What a child process needs to work in this home."""
        return {
            "MLOPS_HOME": str(self.root),
            "DAGSTER_HOME": str(self.dagster),
            **{name: os.environ.get(name, value) for name, value in SHARED_CORES.items()},
        }


def collect_seldom() -> None:
    """Let this process look for unused objects after 20,000 new ones; Python does after 700.

    Libraries of this size make millions of objects that stay. So loading Dagster, dbt, Feast and MLflow takes 5.2 s of
    CPU in place of 6.6, and a replay 6 % less.
    """
    gc.set_threshold(20_000, 20)


@contextmanager
def working_in(home: Home, *, own_store: bool = False) -> Iterator[Home]:
    """Let this process and its children find a home in the environment, as long as the block lasts.

    Args:
        home: where to work.
        own_store: whether MLflow is the home's own, whatever `$MLFLOW_TRACKING_URI` says outside.
    """
    inside = home.environment()
    before = {name: os.environ.get(name) for name in (*inside, *(["MLFLOW_TRACKING_URI"] if own_store else []))}
    for name in before:
        os.environ.pop(name, None)
    os.environ.update(inside)
    try:
        yield home
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


INSTANCE_YAML = """\
# Written once by `mlops`; yours to change. SQLite beside this file is Dagster's default storage;
# docs/production.md has the PostgreSQL setting.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    # One writer at a time: a DuckDB file has one, and two runs must not build the same lake partition.
    default_limit: 1
    granularity: run
  runs:
    max_concurrent_runs: 4
run_monitoring:
  enabled: true
  # A run that was killed is marked failed after this, so that the sensors may go on.
  start_timeout_seconds: 300
run_retries:
  # Only crashes are run again by themselves; a step that failed honestly waits for a person or new data.
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
sensors:
  use_threads: true
  num_workers: 4
"""
