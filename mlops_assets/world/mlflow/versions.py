"""A version of a registered model, and reading it out of the embedded store without MLflow.

Here: the value, and one read-only query on MLflow's SQLite file. Not here: any change, which goes through MLflow's
client (`registry`), other stores than SQLite.

Importing MLflow and opening its client costs 2 to 4 s of CPU, the query a millisecond. `mlops status`, the sensors and
the service ask for aliases all the time. The four tables are MLflow's own; a test compares each answer with its
client's, so an MLflow that stores them otherwise fails there.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.world.mlflow.logged_models import SHA256
from mlops_assets.world.mlflow.store import unreadable

if TYPE_CHECKING:
    from mlops_assets.core.models.model import Model

CHALLENGED_BY = "challenged_by"
"""Tag of a version: the decision (or run) that it was trained for."""

OWN_TAGS = (SHA256, "family", "task", "seed", "rounds")
"""Tags of a version that say which model it is."""
UNKNOWN = datetime.min.replace(tzinfo=UTC)
WAIT_SECONDS = 20.0
"""For whoever writes to the store; MLflow's client waits as long."""
_HEADER = 28
DELETED = "Deleted_Internal"
"""Stage of a version that was deleted in MLflow: its row stays."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model.

    Attributes:
        name: the registered model.
        version: its number, from 1.
        run_id: MLflow run it was made in.
        tags: all its tags.
        aliases: aliases that point to it, sorted.
        created_at: when it was registered, UTC.
        source: where its files are.
    """

    name: str
    version: int
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    created_at: datetime = UNKNOWN
    source: str = ""

    @property
    def sha256(self) -> str:
        """Hash of the model's file, as it was when registered."""
        return self.tags.get(SHA256, "")

    @property
    def uri(self) -> str:
        """MLflow's address of this very version."""
        return f"models:/{self.name}/{self.version}"


def read_version(store: Path, name: str, version: int | str) -> ModelVersion | None:
    """A version by number or alias out of MLflow's SQLite file; None when there is none.

    Raises:
        MlflowUnavailable: the file cannot be read.
    """
    state = _state(store)
    return _queried(store, name, version) if state is None else _kept(store, name, version, state)


def _state(store: Path) -> tuple[object, ...] | None:
    """Changes with each transaction, which SQLite counts in the file's header; None where it counts elsewhere.

    A look at a model asks for its champion a dozen times. See https://www.sqlite.org/fileformat2.html#file_change_counter.
    """
    try:
        with store.open("rb") as file:
            header, stat = file.read(_HEADER), os.fstat(file.fileno())
    except OSError:
        return None
    # With a write-ahead log (2) new pages, and the counter among them, stand beside the file.
    if header[18:20] != b"\x01\x01":
        return None
    return header[24:28], stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


@lru_cache(maxsize=256)
def _kept(store: Path, name: str, version: int | str, state: tuple[object, ...]) -> ModelVersion | None:
    del state
    return _queried(store, name, version)


def _queried(store: Path, name: str, version: int | str) -> ModelVersion | None:
    try:
        with closing(open_store(store)) as connection:
            # One transaction: an alias that moves between two queries would give a version that never was.
            connection.execute("begin")
            return _read(connection, name, version)
    except sqlite3.Error as error:
        raise unreadable(store, error) from error


def read_versions(store: Path, name: str) -> list[ModelVersion]:
    """All versions of a registered model out of MLflow's SQLite file, the newest first.

    Raises:
        MlflowUnavailable: the file cannot be read.
    """
    try:
        with closing(open_store(store)) as connection:
            connection.execute("begin")
            numbers = connection.execute(
                "select version from model_versions where name = ? and workspace = 'default' and current_stage <> ?"
                " order by version desc",
                [name, DELETED],
            ).fetchall()
            known = [_read(connection, name, int(number)) for (number,) in numbers]
    except sqlite3.Error as error:
        raise unreadable(store, error) from error
    return [version for version in known if version is not None]


def read_aliases(store: Path) -> dict[str, dict[str, int]]:
    """The aliases of every registered model, out of MLflow's SQLite file.

    Raises:
        MlflowUnavailable: the file cannot be read.
    """
    by_model: dict[str, dict[str, int]] = {}
    try:
        with closing(open_store(store)) as connection:
            named = (
                "select name, alias, version from registered_model_aliases where workspace = 'default' order by 1, 2"
            )
            for name, alias, version in connection.execute(named):
                by_model.setdefault(str(name), {})[str(alias)] = int(version)
    except sqlite3.Error as error:
        raise unreadable(store, error) from error
    return by_model


def open_store(store: Path) -> sqlite3.Connection:
    """A connection to MLflow's SQLite file, for reading alone."""
    return sqlite3.connect(f"{store.resolve().as_uri()}?mode=ro", uri=True, timeout=WAIT_SECONDS, isolation_level=None)


def _read(connection: sqlite3.Connection, name: str, version: int | str) -> ModelVersion | None:
    named = connection.execute(
        "select alias, version from registered_model_aliases where name = ? and workspace = 'default'", [name]
    ).fetchall()
    aliases = {str(alias): int(number) for alias, number in named}
    by_number = isinstance(version, int) or version.isdigit()
    number = int(version) if by_number else aliases.get(str(version))
    where = "where name = ? and version = ? and workspace = 'default'"
    row = connection.execute(
        f"select run_id, source, creation_time from model_versions {where} and current_stage <> ?",
        [name, number, DELETED],
    ).fetchone()
    if number is None or row is None:
        return None
    run_id, source, created = row
    tags = connection.execute(f"select key, value from model_version_tags {where}", [name, number]).fetchall()
    of_it = tuple(sorted(alias for alias, of in aliases.items() if of == number))
    return version_from(name, number, run_id, source, created, dict(tags), of_it)


def version_from(
    name: str,
    version: int,
    run_id: str | None,
    source: str | None,
    created: int,
    tags: Mapping[str, str],
    aliases: tuple[str, ...],
) -> ModelVersion:
    """A version, from what MLflow's tables say of it; `created` in milliseconds."""
    moment = datetime.fromtimestamp(created / 1000, tz=UTC)
    return ModelVersion(name, version, run_id or "", tags, aliases, moment, source or "")


def is_same(known: ModelVersion, run_id: str, tags: Mapping[str, Any]) -> bool:
    """Whether a version was made by this run, or by an earlier one for the same decision that was killed."""
    decision = tags.get(CHALLENGED_BY)
    return known.run_id == run_id or (decision is not None and known.tags.get(CHALLENGED_BY) == decision)


def own_tags(model: Model) -> dict[str, str]:
    """What a version says of its model."""
    recipe = model.recipe
    values = (model.sha256, recipe.family, recipe.task, recipe.seed, recipe.rounds)
    return tag_texts(dict(zip(OWN_TAGS, values, strict=True)))


def tag_texts(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as MLflow keeps them."""
    return {key: str(value) for key, value in tags.items()}


def version_of(entry: Any, aliases: Mapping[str, Any]) -> ModelVersion:
    """A version, from what MLflow says of it."""
    number = int(entry.version)
    return ModelVersion(
        name=entry.name,
        version=number,
        run_id=entry.run_id or "",
        tags=dict(entry.tags),
        aliases=tuple(sorted(alias for alias, version in aliases.items() if int(version) == number)),
        created_at=datetime.fromtimestamp(entry.creation_timestamp / 1000, tz=UTC),
        source=entry.source,
    )
