"""Windows that end within a day: which of them there are, their rows, and the rows that they are compared with.

Here: what the drift report reads in place of days. Not here: windows of days (`day_profiles`), the comparison
(`drift_report`).

A day's predictions are one file that is written anew with each hour, so a window's state is made of its own rows.
Inputs follow the clock: a night differs from all hours of the reference, so it is held against its nights. 24 hours
that slide are held against all.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS
from mlops_assets.core.drift.local import slice_profiles
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, utc_index
from mlops_assets.steps.predict.predictions import predicted_days, read_scores
from mlops_assets.steps.predict.slice_references import Slices
from mlops_assets.steps.watch.day_profiles import WindowSeen
from mlops_assets.steps.watch.windows.references import Against, reference_of
from mlops_assets.steps.watch.windows.reports import judged_rows
from mlops_assets.steps.watch.windows.samples import ranked_sample
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform

_RECENT = 7
"""Newest days with predictions whose hours are judged: of older ones nobody asks by the hour."""


def hour_windows(platform: Platform, model: ModelSettings, now: datetime) -> list[tuple[Window, str]]:
    """The closed windows of the newest days that have predictions, oldest first, each with the state of its rows."""
    days = predicted_days(platform.lake, model.name)[-_RECENT:]
    if not days:
        return []
    rows = read_scores(platform, model, days[0], days[-1] + timedelta(days=1), features=False)
    rows = rows.sort_values([EVENT_TIME, *platform.data(model).keys], kind="stable")
    hashes = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    times = utc_index(rows[EVENT_TIME]).as_unit("us").asi8
    windows = []
    for window in model.monitoring.rhythm.closed(days[0], now, model.timezone):
        low, high = np.searchsorted(times, utc_index([window.start, window.end]).as_unit("us").asi8)
        if low < high:
            windows.append((window, hashlib.sha256(hashes[low:high].tobytes()).hexdigest()[:32]))
    return windows


def seen_in_hours(platform: Platform, model: ModelSettings, window: Window) -> WindowSeen:
    """A window's rows by versions that the registry knows, beside the same hours of the reference.

    Raises:
        CannotJudge: it has no rows, none by a version that the registry knows, or the reference has too few of its
            hours.
        FileNotFoundError: the version has no reference.
    """
    rows, version, left_out = judged_rows(platform, model, window)
    against = _same_hours(model, reference_of(platform, model, window, version), window)
    grid = against.reference.scores.grid
    scores = rows.reindex(columns=list(grid.features), fill_value=0.0)
    return WindowSeen(
        rows=len(rows),
        version=version,
        left_out=left_out,
        against=against,
        features=Profile.of(against.reference.features.grid, rows),
        scores=Profile.of(grid, scores),
        slices=_slices(model, rows, against),
        sample=ranked_sample(rows, platform.data(model).keys),
        read=(),
    )


def _slices(model: ModelSettings, rows: pd.DataFrame, against: Against) -> dict[str, Profile]:
    """Of 24 hours each slice that the reference has; parts of a day are not compared by slices."""
    if not isinstance(against.slices, Slices):
        return {}
    return slice_profiles(against.slices.grid, rows, {name: rows[name] for name in slice_columns(model, rows)})


def _same_hours(model: ModelSettings, against: Against, window: Window) -> Against:
    """The reference's sample of the hours that a window lies in; all of it for 24 of them."""
    sample = against.reference.sample
    begins, hours = window.start.astimezone(model.zone).hour, model.monitoring.rhythm.hours or 24
    if not model.monitoring.rhythm.parts_days:
        return against
    local = utc_index(sample[EVENT_TIME]).tz_convert(model.timezone)
    alike = sample[(local.hour >= begins) & (local.hour < begins + hours)].reset_index(drop=True)
    if len(alike) < MIN_REFERENCE_ROWS:
        raise CannotJudge(
            f"the sample of what the champion was trained on has {len(alike):,} rows of these hours, and "
            f"{MIN_REFERENCE_ROWS} are needed",
            "Set longer windows under monitoring.window",
        )
    features = Profile.of(against.reference.features.grid, alike)
    return Against(replace(against.reference, features=features, sample=alike))
