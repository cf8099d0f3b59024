"""Features from Feast's online store, by entity keys.

Here: one lookup for many rows, values with the event time of each view, and what is said when the store is gone.
Not here: the online store itself (`feast_store.online`), which features a model wants (`arms`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlops_assets.resources.features import Features
from mlops_assets.serving.health import Health

if TYPE_CHECKING:
    from feast import FeatureStore

PART = "features"


class FeaturesUnavailable(RuntimeError):
    """The online store does not answer; rows that bring their features can still be scored."""


@dataclass(frozen=True)
class Looked:
    """What the store had for one row.

    Attributes:
        values: `<view>__<feature>` -> value, None where it has none (or only one beyond its ttl).
        times: view -> event time of what was found, None where nothing was.
    """

    values: Mapping[str, Any]
    times: Mapping[str, datetime | None]


class Lookup:
    """Reads the online store of a home. Safe between threads: one reads at a time."""

    def __init__(self, features: Features, health: Health) -> None:
        self._features, self._health = features, health
        self._file = features.lake.home.feast / "online.db"
        self._store: FeatureStore | None = None
        self._inode = 0
        self._lock = Lock()

    def check(self) -> None:
        """Open the store if it is there, and say how it stands."""
        try:
            with self._lock:
                # A home whose features were never brought online is no incident until somebody asks for them.
                self._open(tell=self._inode != 0)
        except FeaturesUnavailable:
            return

    def rows(self, columns: Mapping[str, Sequence[str]], keys: Mapping[str, Sequence[Any]]) -> list[Looked]:
        """Look up some columns of some views, for n rows.

        Args:
            columns: view -> columns, as `<view>__<feature>`.
            keys: join key -> its value in each row, all of length n.

        Raises:
            FeaturesUnavailable: the store is gone or fails.
        """
        wanted = [f"{view}:{name.partition('__')[2]}" for view, names in columns.items() for name in names]
        with self._lock:
            store = self._open()
            try:
                answer = store.get_online_features(
                    features=wanted,
                    entity_rows={key: list(values) for key, values in keys.items()},
                    full_feature_names=True,
                ).to_dict(include_event_timestamps=True)
            except (sqlite3.Error, OSError, ValueError, KeyError) as error:
                self._store = None
                raise self._gone(str(error)) from error
        self._health.good(PART)
        n = len(next(iter(keys.values())))
        return [
            Looked(
                {name: answer[name][i] for names in columns.values() for name in names},
                {view: _newest(answer, names, i) for view, names in columns.items()},
            )
            for i in range(n)
        ]

    def _open(self, *, tell: bool = True) -> FeatureStore:
        """The client; a file that was replaced is opened anew, one that is gone is never made."""
        try:
            inode = self._file.stat().st_ino
        except OSError as error:
            self._store = None
            raise self._gone(f"{self._file} is not there", tell=tell) from error
        if self._store is None or inode != self._inode:
            from feast import FeatureStore

            # Its own client: the one of `Features` may hold the file that was replaced.
            applied = self._features.store()
            self._store, self._inode = FeatureStore(config=applied.config), inode
        self._health.good(PART)
        return self._store

    def _gone(self, why: str, *, tell: bool = True) -> FeaturesUnavailable:
        self._health.bad(
            PART,
            f"Feast's online store cannot be read ({why}).",
            did="It answers requests that bring their features, and refuses the others with 503.",
            do="Materialize feast/online_store; the service takes it up by itself.",
            runbook="serving-degraded",
            tell=tell,
        )
        return FeaturesUnavailable(
            f"Feast's online store cannot be read ({why}). Send the features in the request, or materialize "
            "feast/online_store."
        )


def _newest(answer: Mapping[str, Any], names: Sequence[str], row: int) -> datetime | None:
    """The event time of a view's row; None where the store has no value for it."""
    seconds = [answer[f"{name}__ts"][row] for name in names if answer[name][row] is not None]
    known = [_moment(second) for second in seconds if second]
    return max(known, default=None)


def _moment(value: Any) -> datetime:
    return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(int(value), tz=UTC)
