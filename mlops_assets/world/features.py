"""Feast over one home: applying the views that dbt declares, point-in-time joins, the online store.

Here: the one `FeatureStore` of a home, and calls into it. Not here: the join itself (`feast_store`), the views
(`feature_repo/`, derived from dbt's manifest).
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import read_state
from mlops_assets.world.lake import Lake
from mlops_assets.world.project import PROJECT

if TYPE_CHECKING:
    import pandas as pd
    from feast import FeatureStore

    from mlops_assets.feast_store.reader import OnlineReader

FEATURE_REPO = PROJECT.feature_repo
DBT_PROJECT = PROJECT.dbt
_LOADING = Lock()


@dataclass(frozen=True, kw_only=True)
class Features:
    """The feature store of one home.

    Attributes:
        lake: the lake the views read; its home has registry and online store.
    """

    lake: Lake

    def store(self) -> FeatureStore:
        """Feast's client, with every view applied (a view that dbt changed is applied again)."""
        from mlops_assets.world.catalogue import ensure_manifest

        return _applied_store(str(self.lake.home.root), ensure_manifest(DBT_PROJECT).stat().st_mtime_ns)

    def historical(self, rows: pd.DataFrame, views: Sequence[str]) -> pd.DataFrame:
        """The rows in their order with the features of `views`, as they were known at each row's event time.

        Features are named `<view>__<feature>`; `<view>__event_timestamp` is when the joined row was about.

        Raises:
            RuntimeError: the join returned another number of rows; nothing is built on that.
        """
        import pandas as pd

        from mlops_assets.core.values.exact import frame_of

        store = self.store()
        objects = [store.get_feature_view(view) for view in views]
        keys = sorted({key for view in objects for key in view.join_keys})
        references = [f"{view.name}:{field.name}" for view in objects for field in view.features]
        joined = store.get_historical_features(
            entity_df=rows[[*keys, "event_timestamp"]], features=references, full_feature_names=True
        ).to_arrow()
        if joined.num_rows != len(rows):
            raise RuntimeError(
                f"The point-in-time join returned {joined.num_rows:,} rows for {len(rows):,}. Check that the offline "
                "store in feature_repo/feature_store.yaml is AsofOfflineStore; nothing was written."
            )
        columns = [
            f"{view.name}__{name}"
            for view in objects
            for name in (*(field.name for field in view.features), "event_timestamp")
        ]
        numbered = rows.set_axis(pd.RangeIndex(len(rows)), axis=0)
        # The joined values are nobody else's: a copy of them would be the dearest step of a wide join.
        return pd.concat([numbered, frame_of(joined.select(columns))], axis=1, copy=False)  # type: ignore[call-overload]

    def materialize(self, views: Sequence[str], now: datetime, *, rebuild: bool = False) -> dict[str, int]:
        """Bring the newest values of some views known at `now` into the online store.

        Returns:
            Entities written, by view; a view that has been brought further is not among them.
        """
        store = self.store()
        from mlops_assets.feast_store.materialize import materialize_latest

        done = {each.view: each.entities for each in materialize_latest(store, views, None, now, rebuild=rebuild)}
        clock = self.lake.home.feast / "clock.json"
        if self.lake.home.settings.clock == "data":
            before = read_state(clock, dict[str, Any], lost="views that get no values now go by the newest time") or {}
            times = {**before.get("views", {}), **dict.fromkeys(done, now.isoformat())}
            write_text(clock, json.dumps({"now": max(times.values(), key=datetime.fromisoformat), "views": times}))
        else:
            clock.unlink(missing_ok=True)
        return done

    def online_reader(self) -> OnlineReader:
        """What reads a few entities of the online store, with a connection of its own."""
        store = self.store()
        from mlops_assets.feast_store.reader import OnlineReader

        return OnlineReader(store)

    def online(self, view: str, entities: pd.DataFrame) -> pd.DataFrame:
        """What the online store serves of a view for some entities (its join keys), in their order."""
        import pandas as pd

        store = self.store()
        fields = [field.name for field in store.get_feature_view(view).features]
        served: dict[str, list[Any]] = store.get_online_features(
            features=[f"{view}:{name}" for name in fields],
            entity_rows={str(key): entities[key].tolist() for key in entities},
        ).to_dict()
        # As served: a frame would make floats of integers beside a missing one.
        return pd.DataFrame({name: served[name] for name in fields}, dtype=object)


def load_feast() -> None:
    """Import Feast without the checks of types that it adds to its classes: 1.4 s of CPU time instead of 4.0.

    typeguard compiles each method of those classes anew, in each process; it says itself that this is not meant for
    production, and leaves it out where Python runs with -O. What we pass to Feast is checked by mypy.
    """
    import typeguard

    # Two threads of the service may come at the same time: the second must not take the replacement for the original.
    with _LOADING:
        checked = typeguard.typechecked
        typeguard.typechecked = _unchecked
        try:
            import feast  # noqa: F401
        finally:
            typeguard.typechecked = checked


def _unchecked(target: Any = None, **_: Any) -> Any:
    """What `typechecked` is under -O: a decorator, with or without options, that changes nothing."""
    return target if target is not None else _unchecked


@cache
def _applied_store(home: str, definition: int) -> FeatureStore:
    """One client a home and state of the definitions; importing Feast costs seconds, so it is kept."""
    del definition
    load_feast()
    from feast import FeatureStore

    os.environ["MLOPS_HOME"] = home
    store = FeatureStore(repo_path=str(FEATURE_REPO))
    # Predictions say how old the features were that they were made from.
    store.config.offline_store.event_times = True
    apply(store)
    return store


def apply(store: FeatureStore) -> list[str]:
    """Make Feast's registry equal to what dbt declares, removing views that are gone; names of the views."""
    from feast.repo_operations import apply_total_with_repo_instance, parse_repo

    # Feast tells its progress on standard output, which belongs to our commands.
    with redirect_stdout(io.StringIO()):
        _forget_definitions()
        with _standing_in(PROJECT.root):
            contents = parse_repo(FEATURE_REPO)
        apply_total_with_repo_instance(store, store.project, store.registry, contents, True)
    return sorted(view.name for view in contents.feature_views)


@contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    """Make a folder the current one, and go back: Feast names a module by its path below the current folder."""
    # By its handle: the folder that the process stands in may have been removed.
    before = os.open(".", os.O_RDONLY)
    is_known = str(folder) in sys.path
    try:
        os.chdir(folder)
        if not is_known:
            sys.path.append(str(folder))
        yield
    finally:
        os.fchdir(before)
        os.close(before)
        if not is_known:
            sys.path.remove(str(folder))


def _forget_definitions() -> None:
    """Let Feast import the definitions anew: they hold the paths of the home they were imported for."""
    files = {str(path) for path in FEATURE_REPO.glob("*.py")}
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in files:
            del sys.modules[name]
