"""Which versions the aliases of many models name, read anew only where that has changed.

Here: `NamedVersions`, for whoever follows the aliases of a thousand models. Not here: what follows from an alias
(`serving.models.appointed`), one version (`versions`), changes (`registry`).

Of the embedded store one query gives a mark of each model, in SQLite and without Python's lock: 13 ms for 1,000 models.
Their versions with all tags take five times as long and are read of those alone whose mark is another one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

from mlops_assets.world.mlflow.registry import CANDIDATE, CHAMPION, FALLBACK, PREVIOUS, ROLLOUT_STATE, Registry
from mlops_assets.world.mlflow.store import unreadable
from mlops_assets.world.mlflow.versions import DELETED, ModelVersion, open_store, version_from

FOLLOWED = (CHAMPION, CANDIDATE, PREVIOUS)
TURNS = 20
"""Models whose tags a server is asked for at each look, beside those of which something is under way."""
_MOVING = ("shadow", "canary", "watch")
"""States of a rollout in which tags change while aliases stay."""
_MARKS = f"""
select a.name, group_concat(a.alias || ' ' || a.version || ' ' || coalesce(v.source, '') || ' ' || coalesce((
  select group_concat(t.key || '=' || t.value, char(31)) from model_version_tags t
  where t.workspace = a.workspace and t.name = a.name and t.version = a.version
    and t.key in ('sha256', 'family', 'promoted_at', 'rollout_state', 'rollout_share', 'fallback')
), ''), char(30))
from registered_model_aliases a
join model_versions v on v.workspace = a.workspace and v.name = a.name and v.version = a.version
where a.workspace = 'default' and a.alias in {FOLLOWED!r} and v.current_stage <> '{DELETED}'
group by a.name
"""
_OF_NAMES = f"""
from registered_model_aliases a
join model_versions v on v.workspace = a.workspace and v.name = a.name and v.version = a.version
where a.workspace = 'default' and a.alias in {FOLLOWED!r} and v.current_stage <> '{DELETED}'
  and a.name in (select value from json_each(?))
"""

ByAlias = Mapping[str, ModelVersion]


class NamedVersions:
    """The versions that aliases name, as they were last read. For one thread."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._marks: Mapping[str, str] = {}
        self._known: dict[str, ByAlias] = {}
        self._turns: Iterator[str] = iter(())
        self._in_turn: frozenset[str] = frozenset()

    def changes(self, names: Collection[str]) -> dict[str, ByAlias]:
        """Of these models, alias -> version of those where anything is other than at the last call that went through.

        Raises:
            MlflowUnavailable: the store is gone, damaged or silent; the next call begins where this one did.
        """
        path = self._registry.embedded
        return self._of_server(names) if path is None else self._of_file(path, names)

    def _of_file(self, path: Path, names: Collection[str]) -> dict[str, ByAlias]:
        marks = read_marks(path) if path.exists() else {}
        moved = [name for name in names if marks.get(name) != self._marks.get(name)]
        new = read_named(path, moved) if moved and path.exists() else {}
        # Of these alone: a model that is asked for later is new then.
        self._marks = {name: marks[name] for name in names if name in marks}
        return {name: new.get(name, {}) for name in moved}

    def _of_server(self, names: Collection[str]) -> dict[str, ByAlias]:
        """A server has no mark: aliases of all come in one answer, tags of a model in several, so they wait for turns.

        A model of which a rollout or a fallback is under way is asked about each time.
        """
        aliases = self._registry.aliases()
        if self._in_turn != (now := frozenset(names)):
            self._in_turn, self._turns = now, cycle(sorted(now))
        asked = {*islice(self._turns, min(TURNS, len(now)))}
        moved: dict[str, ByAlias] = {}
        for name in names:
            known = self._known.get(name, {})
            followed = {alias: number for alias, number in aliases.get(name, {}).items() if alias in FOLLOWED}
            is_other = {alias: version.version for alias, version in known.items()} != followed
            if (is_other or name in asked or _is_moving(known)) and (new := self._asked(name)) != known:
                moved[name] = new
        self._known |= moved
        return moved

    def _asked(self, name: str) -> ByAlias:
        versions = {alias: self._registry.find(name, alias) for alias in FOLLOWED}
        return {alias: version for alias, version in versions.items() if version is not None}


def _is_moving(known: ByAlias) -> bool:
    return CANDIDATE in known or any(
        FALLBACK in version.tags or version.tags.get(ROLLOUT_STATE) in _MOVING for version in known.values()
    )


def read_marks(store: Path) -> dict[str, str]:
    """Of each model that has an alias, what changes when something does that a service follows.

    Raises:
        MlflowUnavailable: the file cannot be read.
    """
    try:
        with closing(open_store(store)) as connection:
            return dict(connection.execute(_MARKS).fetchall())
    except sqlite3.Error as error:
        raise unreadable(store, error) from error


def read_named(store: Path, names: Collection[str]) -> dict[str, dict[str, ModelVersion]]:
    """The versions that aliases of some models name, in a few queries for all of them.

    Raises:
        MlflowUnavailable: the file cannot be read.
    """
    given = [json.dumps(list(names))]
    try:
        with closing(open_store(store)) as connection:
            # One transaction: an alias that moves between two queries would give a version that never was.
            connection.execute("begin")
            rows = connection.execute(
                f"select a.name, a.alias, a.version, v.run_id, v.source, v.creation_time {_OF_NAMES} order by 1, 2",
                given,
            ).fetchall()
            tagged = connection.execute(
                "select t.name, t.version, t.key, t.value from model_version_tags t where t.workspace = 'default' and "
                f"(t.name, t.version) in (select a.name, a.version {_OF_NAMES})",
                given,
            ).fetchall()
    except sqlite3.Error as error:
        raise unreadable(store, error) from error
    tags: dict[tuple[str, int], dict[str, str]] = {}
    for name, version, key, value in tagged:
        tags.setdefault((name, version), {})[key] = value
    aliases: dict[tuple[str, int], tuple[str, ...]] = {}
    for name, alias, version, *_ in rows:
        aliases[name, version] = (*aliases.get((name, version), ()), alias)
    named: dict[str, dict[str, ModelVersion]] = {}
    for name, alias, version, run_id, source, created in rows:
        at = (name, version)
        named.setdefault(name, {})[alias] = version_from(
            name, version, run_id, source, created, tags.get(at, {}), aliases[at]
        )
    return named
