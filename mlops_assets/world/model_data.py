"""The rows of one monitored model: whom it predicts, which labels are known, what it may train and be judged on.

Here: reading the label model as of a moment, joining features point-in-time, the gate window, the training set
stored under the hash of its content. Not here: how features are joined (`features`), what is done with the rows
(`core.models.training`, `core.promote.gate`, `core.drift`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.core.features.catalogue import Catalogue, LabelModel
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import DAY, MIN_BLOCKS, MIN_DAYS_BY_HOURS, CannotJudge
from mlops_assets.core.time.events import trained, usual
from mlops_assets.core.time.windows import (
    Maturity,
    Window,
    local_days,
    local_stretches,
    maturity,
    midnight,
    parse_duration,
)
from mlops_assets.core.values.sql import quoted
from mlops_assets.world.features import Features
from mlops_assets.world.files.kept_columns import kept_columns
from mlops_assets.world.lake import Lake, content_hash

EVENT_TIME = "event_timestamp"
AVAILABLE_AT = "label_available_at"
LABEL = "label"
"""The label's name in every frame of this module, whatever the dbt model calls it."""


class TooYoung(CannotJudge):
    """There are too few labelled rows, or days of them, to train on or to judge on: more of them are the remedy.

    `known` says how many rows there are to train on.
    """

    known = 0


@dataclass(frozen=True)
class TrainingSet:
    """Labelled rows with features, in the order of time, and where they are stored.

    Attributes:
        frame: one row per labelled event: entity keys, `event_timestamp`, `label`, features (`<view>__<feature>`).
        sha256: hash of the frame's content; also the file's name.
        path: `lake/training_sets/<hash>.parquet`.
        known_by: no row's label became known at or after this moment.
    """

    frame: pd.DataFrame
    sha256: str
    path: Path
    known_by: datetime


@dataclass(frozen=True)
class ModelData:
    """Rows of one model in one lake."""

    model: ModelSettings
    lake: Lake
    features: Features
    catalogue: Catalogue

    @property
    def label_model(self) -> LabelModel:
        """The catalogue's entry of the label model."""
        return self.catalogue.label_model(self.model.label.model)

    @property
    def keys(self) -> list[str]:
        """Entity keys of a row, in the label model's order."""
        return list(self.label_model.entities)

    @property
    def feature_columns(self) -> list[str]:
        """Names of the trained features, as the join returns them."""
        return [
            name
            for view in self.model.features
            for feature in self.catalogue.view(view).trained_features
            if feature.name not in self.model.exclude and (name := f"{view}__{feature.name}") not in self.model.exclude
        ]

    @property
    def columns(self) -> list[FeatureColumn]:
        """The schema of the trained features, from the catalogue."""
        wanted = set(self.feature_columns)
        return [
            FeatureColumn(name, feature.kind)
            for view in self.model.features
            for feature in self.catalogue.view(view).features
            if (name := f"{view}__{feature.name}") in wanted
        ]

    def events(
        self, start: date | None = None, end: date | None = None, *, as_of: datetime, only_times: bool = False
    ) -> pd.DataFrame:
        """One row per event whose day lies in [start, end) and which happened before `as_of`.

        Columns: entity keys, `event_timestamp`, `label` (missing unless it was known by `as_of`),
        `label_available_at` (NaT unless known), and the label model's other columns. Cancelled events are rows
        too: their label never comes. With `only_times` just `event_timestamp`, `label` and `label_available_at`, in no
        stated order: several times faster, where rows are only counted.
        """
        if only_times:
            rows = self._times(start, end)
            rows = rows[rows[EVENT_TIME] < pd.Timestamp(as_of)] if len(rows) else rows
        else:
            where, values = self._own_rows()
            rows = self.lake.read(
                "labels",
                self.model.label.model,
                start=start,
                end=end,
                where=f"event_timestamp < $as_of and {where}",
                parameters={"as_of": as_of, **values},
                order_by=[EVENT_TIME, *self.keys],
            )
        if rows.empty:
            return pd.DataFrame(columns=[*self.keys, EVENT_TIME, LABEL, AVAILABLE_AT])
        # A time that is missing is before no moment.
        known = rows[AVAILABLE_AT] <= pd.Timestamp(as_of)
        label = pd.to_numeric(rows[self.model.label.column]).astype("Float64").where(known).astype("float64")
        columns = {name: rows[name] for name in rows if name != self.model.label.column}
        # Made at once: each drop and assignment would copy all columns.
        columns |= {AVAILABLE_AT: rows[AVAILABLE_AT].where(known), LABEL: label}
        return pd.DataFrame(columns, copy=False)

    def known_labels(self, *, before: datetime) -> int:
        """How many labels were known before a moment, in all of history."""
        rows = self._times()
        return int((rows[self.model.label.column].notna() & (rows[AVAILABLE_AT] < before)).sum()) if len(rows) else 0

    def _times(self, start: date | None = None, end: date | None = None) -> pd.DataFrame:
        """When each event was, when its label became known, and which it is."""
        label = self.model.label
        columns = [EVENT_TIME, AVAILABLE_AT, label.column]
        where, values = self._own_rows()
        return kept_columns(
            self.lake, "labels", label.model, columns=columns, start=start, end=end, where=where, parameters=values
        )

    def _own_rows(self) -> tuple[str, dict[str, str]]:
        """Which rows of the label model are the model's, as a condition in SQL and its parameters."""
        only = self.model.label.only
        values = {f"only_{number}": value for number, value in enumerate(only.values())}
        parts = [f"cast({quoted(name)} as varchar) = ${key}" for name, key in zip(only, values, strict=True)]
        return " and ".join(parts) or "true", values

    def with_features(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The same rows in the same order, with each view's features as known at `event_timestamp`."""
        return self.features.historical(rows, self.model.features)

    def usual(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows outside excluded events: those that may be judged or referred to."""
        kept = usual(self.model.events, rows[EVENT_TIME], self.model.timezone)
        return rows if kept.all() else rows[kept].reset_index(drop=True)

    def maturity(self, window: Window, rows: pd.DataFrame, *, now: datetime) -> Maturity:
        """Whether enough of a window's labels are known to judge on it, by the model's share and longest delay.

        Args:
            window: the window.
            rows: events with `event_timestamp` and `label_available_at`; those outside the window are not counted.
            now: the clock.
        """
        label = self.model.label
        return maturity(
            window,
            rows[EVENT_TIME],
            rows[AVAILABLE_AT],
            now=now,
            share=label.mature_share,
            max_delay=parse_duration(label.max_delay),
        )

    def day(self, moment: datetime) -> date:
        """The local calendar day of a moment."""
        return moment.astimezone(self.model.zone).date()

    def gate_window(self, *, as_of: datetime, not_before: datetime | None) -> Window:
        """The newest matured window of the gate's length, cut off at what the champion was fitted on.

        Where people have agreed on what starts a candidate (`retrain.on`), one of fewer days will do that hours, or the
        blocks of a column, can be judged by.

        Args:
            as_of: the clock.
            not_before: rows before this moment were fitted on by the champion; None without one.

        Raises:
            CannotJudge: no window of enough days has matured since then.
        """
        fewest = (MIN_BLOCKS, MIN_DAYS_BY_HOURS) if self.model.retrain.on else (MIN_BLOCKS,)
        windows = (self._matured(as_of, not_before, days) for days in fewest)
        if (window := next(filter(None, windows), None)) is not None:
            return window
        # Without the time of day: the same evidence must read the same at the next tick.
        since = f"the champion was fitted on rows up to {not_before:%Y-%m-%d}" if not_before else "data is young"
        raise TooYoung(
            f"no {fewest[-1]} days of matured labels are there to judge on ({since})",
            f"Wait for labels, or lower retrain.min_matured_labels (now {self.model.retrain.min_matured_labels:,}).",
        )

    def _matured(self, as_of: datetime, not_before: datetime | None, fewest: int) -> Window | None:
        """The newest matured window of so many days at least."""
        length = parse_duration(self.model.gate.window)
        newest = self.day(as_of)
        for back in range(parse_duration(self.model.label.max_delay).days + 2):
            last = newest - timedelta(days=back)
            window = self._window(last, length, not_before, fewest)
            if window is None:
                break
            rows = self.usual(self.events(self.day(window.start), last, as_of=as_of, only_times=True))
            if self.model.events and len(np.unique(local_days(rows[EVENT_TIME], self.model.timezone))) < fewest:
                continue
            state = self.maturity(window, rows, now=as_of)
            enough = state.mature and state.known >= self.model.retrain.min_matured_labels
            if enough and (fewest == MIN_BLOCKS or self.stretches(rows) >= MIN_BLOCKS):
                return window
        return None

    def stretches(self, rows: pd.DataFrame) -> int:
        """How many stretches of hours labelled rows lie in; as many as rows where a column is what is observed."""
        known = rows[rows[LABEL].notna()]
        if self.model.monitoring.performance.blocks != DAY:
            return len(known)
        return len(np.unique(local_stretches(known[EVENT_TIME], self.model.timezone)))

    def _window(self, last: date, length: timedelta, not_before: datetime | None, fewest: int) -> Window | None:
        first = last - length
        if not_before is not None:
            cut = self.day(not_before)
            first = max(first, cut if midnight(cut, self.model.timezone) >= not_before else cut + timedelta(days=1))
        if (last - first).days < fewest:
            return None
        return Window(midnight(first, self.model.timezone), midnight(last, self.model.timezone))

    def labelled(self, *, known_by: datetime, before: datetime | None = None, only_times: bool = False) -> pd.DataFrame:
        """The rows to train on, without features: their label was known before `known_by`, inside the window.

        Args:
            known_by: see above.
            before: only rows that happened before it; those after it count as rows to train on, since they will be
                fitted on by the model that ships.
            only_times: as in `events`.

        Raises:
            CannotJudge: fewer rows than `training.min_rows`; with `before`, none that happened earlier.
        """
        rows = self.events(self.training_start(known_by), as_of=known_by, only_times=only_times)
        rows = rows[rows[LABEL].notna() & (rows[AVAILABLE_AT] < pd.Timestamp(known_by))]
        rows = rows[trained(self.model.events, rows[EVENT_TIME], self.model.timezone)].reset_index(drop=True)
        if len(rows) < self.model.training.min_rows:
            why = TooYoung(
                f"{len(rows):,} labelled rows of the training window ({self.model.training.window}) are known before "
                f"{known_by:%Y-%m-%d %H:%M} UTC, {self.model.training.min_rows:,} are needed to train",
                "Land more history, or lower training.min_rows."
                if self.training_start(known_by) is None
                else "Lower training.min_rows, or name a longer training.window.",
            )
            why.known = len(rows)
            raise why
        if before is None:
            return rows
        rows = rows[rows[EVENT_TIME] < pd.Timestamp(before)].reset_index(drop=True)
        if rows.empty:
            reason = f"no labelled row happened before {before:%Y-%m-%d} in {self.model.training.window}"
            raise TooYoung(reason, "Wait for rows.")
        return rows

    def training_set(self, *, known_by: datetime, before: datetime | None = None) -> TrainingSet:
        """The training rows, stored. Arguments and errors as of `labelled`."""
        return self.store(self._joined(self.labelled(known_by=known_by, before=before)), known_by)

    def training_rows(self, *, known_by: datetime) -> pd.DataFrame:
        """All rows whose label was known before `known_by`, inside the training window, joined.

        Raises:
            CannotJudge: fewer rows than `training.min_rows`.
        """
        return self._joined(self.labelled(known_by=known_by))

    def extended(self, old: pd.DataFrame, *, since: datetime, known_by: datetime) -> pd.DataFrame:
        """The same as `training_rows(known_by=known_by)`, joining only what became known `since` the old ones.

        A point-in-time join gives a row the same features whenever it is made, so what was joined need not be again.

        Args:
            old: `training_rows(known_by=since)`.
            since: when they were known by.
            known_by: a later moment.
        """
        rows = self.labelled(known_by=known_by)
        is_new = (rows[AVAILABLE_AT] >= pd.Timestamp(since)).to_numpy()
        if old[EVENT_TIME].iloc[0] < rows[EVENT_TIME].iloc[0]:
            old = old[old[EVENT_TIME] >= rows[EVENT_TIME].iloc[0]]
        if not _same_events(old, rows[~is_new]):
            # A label was restated since: nothing of the old join is taken for granted.
            return self._joined(rows)
        both = pd.concat([old, self._joined(rows[is_new].reset_index(drop=True))], ignore_index=True)
        # Both halves are in the order of `rows`; this puts each of theirs at its place.
        order = np.empty(len(rows), dtype=np.int64)
        order[~is_new], order[is_new] = np.arange(len(old)), np.arange(len(old), len(rows))
        both = both.take(order)
        both.index = pd.RangeIndex(len(both))
        return both

    def _joined(self, rows: pd.DataFrame) -> pd.DataFrame:
        return self.with_features(rows)[[*self.keys, EVENT_TIME, AVAILABLE_AT, LABEL, *self.feature_columns]]

    def load(self, sha256: str, known_by: datetime) -> TrainingSet:
        """A stored training set.

        Raises:
            FileNotFoundError: it was removed; materializing the training set again brings it back.
            ValueError: the file's rows no longer have the hash in its name.
        """
        path = self._file(sha256)
        if not path.exists():
            raise FileNotFoundError(
                f"{path} is gone. Materialize {self.model.name}/training_set again; the champion is unchanged."
            )
        frame = pd.read_parquet(path)
        if content_hash(frame) != sha256:
            raise ValueError(
                f"{path} was changed after it was written. Delete it and materialize "
                f"{self.model.name}/training_set again; the champion is unchanged."
            )
        return TrainingSet(frame, sha256, path, known_by)

    def store(self, frame: pd.DataFrame, known_by: datetime) -> TrainingSet:
        """Write under the hash of what a reader will get: the frame goes through Parquet's types first."""
        temporary = self.lake.folder("training_sets", f".{self.model.name}.parquet")
        self.lake.write(frame, temporary, keep_types=True)
        read_back = pd.read_parquet(temporary)
        sha256 = content_hash(read_back)
        temporary.replace(self._file(sha256))
        return TrainingSet(read_back, sha256, self._file(sha256), known_by)

    def _file(self, sha256: str) -> Path:
        return self.lake.folder("training_sets", f"{sha256}.parquet")

    def training_start(self, known_by: datetime) -> date | None:
        """The first day of the training window of a moment; None where it holds all history.

        A rolling one ends with the newest day of which a label is known then: counted back from the clock it would hold
        nothing where labels come later than it is long.
        """
        # Who trains has resolved `auto` (`steps.decide.probe`); without looks it means all history.
        window = TrainingWindow.parse(self.model.training.window)
        first = window.first(self._known_until(known_by) if window.is_rolling else known_by, self.model.timezone)
        return self.day(first) if first else None

    def window_start(self, end: datetime) -> date | None:
        """The first day of a training window that ends at a moment, whatever is known then; None: all history."""
        first = TrainingWindow.parse(self.model.training.window).first(end, self.model.timezone)
        return self.day(first) if first else None

    def _known_until(self, known_by: datetime) -> datetime:
        """The end of the newest day of which a label was known before a moment, and no later than that."""
        newest = self.day(known_by - parse_duration(self.model.label.max_delay)) - timedelta(days=1)
        rows = self.events(newest, as_of=known_by, only_times=True)
        times = rows.loc[rows[LABEL].notna() & (rows[AVAILABLE_AT] < pd.Timestamp(known_by)), EVENT_TIME]
        if times.empty:
            return known_by
        return min(known_by, midnight(self.day(times.max()) + timedelta(days=1), self.model.timezone))


def _same_events(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Whether two frames have the same event times and labels, row by row."""
    return len(left) == len(right) and all(
        np.array_equal(_plain(left[column]), _plain(right[column])) for column in (EVENT_TIME, LABEL)
    )


def _plain(column: pd.Series) -> np.ndarray:
    """Times as microseconds, numbers as they are: pandas would compare times as objects."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return pd.DatetimeIndex(column).as_unit("us").asi8
    return column.to_numpy()
