"""Features from Feast's online store, by entity keys.

Here: one lookup for many rows, values with the event time of each view, and what is said when the store is gone.
Not here: the online store itself (`feast_store.online`), which features a model wants (`arms`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.engine.health import Health
from mlops_assets.world.features import Features

if TYPE_CHECKING:
    from mlops_assets.world.features import OnlineReader

_PART = "features"


class FeaturesUnavailable(RuntimeError):
    """The online store does not answer; rows that bring their features can still be scored."""


@dataclass(frozen=True)
class LookedUp:
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
        self._store: OnlineReader | None = None
        self._inode = 0
        self._lock = Lock()

    @property
    def is_at_hand(self) -> bool:
        """Whether a look is only a read of the open file. To open one imports Feast, which takes seconds."""
        try:
            return self._store is not None and self._file.stat().st_ino == self._inode
        except OSError:
            return False

    def check(self) -> None:
        """Open the store if it is there, and say how it stands."""
        try:
            with self._lock:
                # A home whose features were never brought online is no incident until somebody asks for them.
                self._open(tell=self._inode != 0)
        except FeaturesUnavailable:
            return

    def rows(self, columns: Mapping[str, Sequence[str]], keys: Mapping[str, Sequence[Any]]) -> list[LookedUp]:
        """Look up some columns of some views, for n rows.

        Args:
            columns: view -> columns, as `<view>__<feature>`.
            keys: join key -> its value in each row, all of length n.

        Raises:
            FeaturesUnavailable: the store is gone or fails.
        """
        n = len(next(iter(keys.values())))
        values: list[dict[str, Any]] = [{} for _ in range(n)]
        times: list[dict[str, datetime | None]] = [{} for _ in range(n)]
        with self._lock:
            store = self._open()
            try:
                for view, names in columns.items():
                    for row, (moment, features) in enumerate(store.read(view, names, keys)):
                        values[row].update(features)
                        times[row][view] = moment
            except (sqlite3.Error, OSError, ValueError, KeyError) as error:
                self._store = None
                raise self._gone(str(error)) from error
        self._health.good(_PART)
        return [LookedUp(*each) for each in zip(values, times, strict=True)]

    def _open(self, *, tell: bool = True) -> OnlineReader:
        """The reader; a file that was replaced is opened anew, one that is gone is never made."""
        try:
            inode = self._file.stat().st_ino
        except OSError as error:
            self._store = None
            raise self._gone(f"{self._file} is not there", tell=tell) from error
        if self._store is None or inode != self._inode:
            # Its own reader: the client of `Features` may hold the file that was replaced.
            self._store, self._inode = self._features.online_reader(), inode
        self._health.good(_PART)
        return self._store

    def _gone(self, why: str, *, tell: bool = True) -> FeaturesUnavailable:
        self._health.bad(
            _PART,
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
