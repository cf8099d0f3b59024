"""The door to MLflow: one client a store, made once, and clear words when the store is not there.

Here: creating the embedded store, opening a client, what is said when the file is gone or the server is silent, and
pointing the store of a copied home to the copy. Not here: runs (`tracking`), model versions and aliases (`registry`).

A fresh SQLite store costs 0.8 s of migrations, once a process: the next ones are copies of it. It is made in a
temporary file under a lock and renamed, so two processes can't make one file, and a killed one leaves no half-made
store. SQLite would create a lost file anew, empty and silent, and the platform would think it never had a champion:
hence the check at every opening.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import url2pathname

from mlops_assets.world.atomic import replacing
from mlops_assets.world.home import Home

if TYPE_CHECKING:
    from mlflow import MlflowClient

SERVER = ("http://", "https://")
_ARTIFACTS = "/mlflow/artifacts/"
_ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow's store says where files are."""
PROBE_SECONDS = 5.0
"""How long a tracking server may take to answer before it counts as down (MLflow retries for minutes)."""


class MlflowUnavailable(RuntimeError):
    """MLflow's store is gone, damaged or silent; the message ends in what to do."""


def open_client(home: Home, uri: str | None = None) -> MlflowClient:
    """A client of the home's store, created at first use.

    Args:
        home: whose MLflow it is.
        uri: another store; default `home.mlflow_uri`.

    Raises:
        MlflowUnavailable: the file is gone though artifacts exist, or is no store; the server is silent.
    """
    uri = uri or home.mlflow_uri
    if sqlite_path(uri) is not None:
        prepare_store(home, uri)
    elif uri.startswith(SERVER):
        # Each time: a server may end under its clients.
        _probe_server(uri)
    return _client(uri)


def prepare_store(home: Home, uri: str) -> None:
    """Create the SQLite store of a home where there is none; point one that came with a copied home to the copy.

    Raises:
        MlflowUnavailable: the file is gone though artifacts exist, is no store, or cannot be changed.
    """
    path = sqlite_path(uri)
    if path is None:
        return
    _ensure_store(path, home)
    if path.parent.resolve() == home.mlflow.resolve():
        _bring_along(path, home.root.resolve())


def sqlite_path(uri: str) -> Path | None:
    """The file of an SQLite store, None for any other."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def artifact_location(home: Home, uri: str, experiment: str) -> str | None:
    """Where an experiment keeps its files, in the home where no server stands before the store; else it decides."""
    if uri.startswith(SERVER):
        return None
    return (home.mlflow / "artifacts" / experiment).resolve().as_uri()


@contextmanager
def locked(home: Home, name: str) -> Iterator[None]:
    """Keep other processes of this home out of a section; released by the system when the process dies."""
    home.mlflow.mkdir(parents=True, exist_ok=True)
    with (home.mlflow / f".{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@lru_cache(maxsize=16)
def _client(uri: str) -> MlflowClient:
    # Read at import; MLflow would report usage over the network.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if (path := sqlite_path(uri)) is not None:
        _probe_file(path)
    elif "://" in uri and not uri.startswith(SERVER):
        _probe_database(uri)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def embedded_store(home: Home, uri: str | None = None) -> Path | None:
    """The SQLite file of the home's store, for reading; it may not be there yet. None where a server stands for it.

    Raises:
        MlflowUnavailable: the file is gone though artifacts exist, or a copied one cannot be pointed to its home.
    """
    path = sqlite_path(uri or home.mlflow_uri)
    if path is not None and not path.exists():
        # Another process may be making it, under this lock.
        with locked(home, "store"):
            _refuse_lost(path, home)
    elif path is not None and path.parent.resolve() == home.mlflow.resolve():
        _bring_along(path, home.root.resolve())
    return path


def unreadable(path: Path, error: Exception) -> MlflowUnavailable:
    """What to say of an SQLite file that is damaged or is none."""
    return MlflowUnavailable(
        f"MLflow's database {path} cannot be read ({error}). Restore it from a backup; artifacts, "
        "lake and predictions are untouched."
    )


def _ensure_store(path: Path, home: Home) -> None:
    if path.exists():
        return
    with locked(home, "store"):
        if not path.exists():
            _refuse_lost(path, home)
            _create_store(path, home.mlflow / "artifacts")


def _refuse_lost(path: Path, home: Home) -> None:
    artifacts = home.mlflow / "artifacts"
    if not path.exists() and artifacts.is_dir() and any(artifacts.iterdir()):
        raise MlflowUnavailable(
            f"MLflow's database {path} is gone, but its artifacts in {artifacts} are there. Restore "
            "the file from a backup (models and lake are untouched), stop and start `mlops up`, and run "
            "this again. To give up the recorded runs and versions, move the artifacts folder away."
        )


def _create_store(path: Path, artifacts: Path) -> None:
    artifacts.mkdir(parents=True, exist_ok=True)
    now = int(time.time() * 1_000)
    with replacing(path) as temporary:
        temporary.write_bytes(_new_store())
        with closing(sqlite3.connect(temporary)) as connection, connection:
            connection.execute(
                "update experiments set artifact_location = ?, creation_time = ?, last_update_time = ?",
                ((artifacts / "default").resolve().as_uri(), now, now),
            )
    # Not before the store: artifacts without one are taken for those of a lost store.
    (artifacts / "default").mkdir(exist_ok=True)


@cache
def _new_store() -> bytes:
    """The file of a store in which there is nothing but MLflow's default experiment."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with tempfile.TemporaryDirectory(prefix="mlops-") as folder:
        file = Path(folder, "mlflow.db")
        SqlAlchemyStore(f"sqlite:///{file}", Path(folder, "default").as_uri()).engine.dispose()
        return file.read_bytes()


@lru_cache(maxsize=16)
def _bring_along(path: Path, root: Path) -> None:
    """Point the store of a home that was copied or moved to the files beside it.

    MLflow keeps absolute addresses: left as they are, a copy would read the models of the home that it was copied from,
    and write into it. An address is only changed where what it names is here, too.
    """
    _probe_file(path)
    here = f"{root.as_uri()}{_ARTIFACTS}"
    try:
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            locations = connection.execute("select artifact_location from experiments").fetchall()
            before = {
                location[: location.rindex(_ARTIFACTS)] + _ARTIFACTS
                for (location,) in locations
                if location
                and _ARTIFACTS in location
                and not location.startswith(here)
                and Path(f"{root}{_ARTIFACTS}", url2pathname(location.rpartition(_ARTIFACTS)[2])).exists()
            }
            if not before:
                return
            with connection:
                for old, (table, column) in product(sorted(before), _ADDRESSES):
                    connection.execute(
                        f"update {table} set {column} = ? || substr({column}, ?) where substr({column}, 1, ?) = ?",
                        (here, len(old) + 1, len(old), old),
                    )
    except sqlite3.Error as error:
        raise MlflowUnavailable(
            f"The home {root} was copied or moved, and MLflow's database {path} cannot be pointed to its files here "
            f"({error}). Let it be written to, or put the home back in its place; nothing was changed."
        ) from error


def _probe_file(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("select count(*) from alembic_version").fetchall()
    except sqlite3.Error as error:
        raise unreadable(path, error) from error


def _probe_server(uri: str) -> None:
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=PROBE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answers; whether it lets us in is seen at the first call
    except OSError as error:
        raise MlflowUnavailable(
            f"The MLflow server {uri} does not answer ({error}). Start it, or correct MLFLOW_TRACKING_URI; "
            "nothing was written, champion and data are as they were."
        ) from error


def _probe_database(uri: str) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(uri)
        engine.connect().close()
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        shown = make_url(uri).render_as_string(hide_password=True)
        raise MlflowUnavailable(
            f"MLflow's database {shown} cannot be reached ({error}). Start it, install its driver, or correct "
            "MLFLOW_TRACKING_URI; nothing was written, champion and data are as they were."
        ) from error


def is_absent(error: Any) -> bool:
    """Whether MLflow's error says that something is not there."""
    # Without the alias MLflow says INVALID_PARAMETER_VALUE, without the model RESOURCE_DOES_NOT_EXIST.
    return error.error_code == "RESOURCE_DOES_NOT_EXIST" or ("alias" in str(error) and "not found" in str(error))


def ensure_registered(client: MlflowClient, name: str) -> None:
    """Register a model's name, if it is not yet."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
