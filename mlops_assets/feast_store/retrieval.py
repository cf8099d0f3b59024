"""Feast's retrieval job: a plan that runs when its result is asked for.

What doesn't live here: Feast's OfflineStore interface (`offline`), what a plan runs (`plans`).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import RepoConfig
from feast.saved_dataset import SavedDatasetStorage

from mlops_assets.core.values.exact import frame_of
from mlops_assets.feast_store.parquet import write_table
from mlops_assets.feast_store.plans import Plan


class AsofRetrievalJob(RetrievalJob):
    """A retrieval that runs when its result is asked for, each time anew."""

    def __init__(
        self,
        plan: Plan,
        *,
        config: RepoConfig,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
    ) -> None:
        self._plan = plan
        self._config = config
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata: RetrievalMetadata | None = None

    @property
    def full_feature_names(self) -> bool:
        """Whether features are called `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The on-demand views that Feast computes on top of the result."""
        return self._on_demand_feature_views

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return frame_of(self._to_arrow_internal(timeout))

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        del timeout
        return self._plan.to_arrow()

    def to_sql(self) -> str:
        """The SELECTs that run, two for each feature view (which row counts, what is in it), to be read by people."""
        return ";\n".join(self._plan.statements())

    def to_parquet(self, path: Path | str) -> int:
        """Write the result to one Parquet file, atomically and within the store's memory limit.

        With on-demand views the result passes through memory: their functions see whole columns.

        Returns:
            The number of rows.
        """
        if not self._on_demand_feature_views:
            return self._plan.write(Path(path))
        table = self.to_arrow()
        write_table(table, Path(path))
        return int(table.num_rows)

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the result where a saved dataset lives: a `.parquet` file, or a directory with one in it.

        Raises:
            SavedDatasetLocationAlreadyExists: there is something already and `allow_overwrite` is off.
            ValueError: the storage is not SavedDatasetFileStorage.
        """
        del timeout
        if not isinstance(storage, SavedDatasetFileStorage):
            raise ValueError(
                f"AsofOfflineStore saves datasets to files; got {type(storage).__name__}. "
                "Use SavedDatasetFileStorage(path=…). Nothing was written."
            )
        place = Path(FileSource.get_uri_for_file_path(self._config.repo_path, storage.file_options.uri))
        if place.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(place))
        if place.suffix == ".parquet":
            self.to_parquet(place)
            return
        fresh = place.with_name(f".{place.name}.{uuid.uuid4().hex}.tmp")
        try:
            self.to_parquet(fresh / "part-0.parquet")
            if place.exists():
                shutil.rmtree(place)
            fresh.replace(place)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """Features, keys and the range of entity times; None for a pull. Computed when first asked for."""
        if self._metadata is None:
            self._metadata = self._plan.metadata()
        return self._metadata
