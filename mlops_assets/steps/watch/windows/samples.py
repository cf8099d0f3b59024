"""Some rows of a window, for what no count can tell: those with the smallest hashes.

Here: choosing and keeping them. Not here: what they are for (`drift_rows`, `core.drift.attribution`, the page), counts
(`day_profiles`).

A hash of a row's identity is as good as a draw, and it is the row's own: of the days that have not changed the sample
holds all rows below some hash, so a corrected day adds its own rows below that, and no other day is read again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.watch.windows.summaries import folder_of
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform

WINDOW_SAMPLE = 5_000
"""Rows of a window that are kept: as many as of a reference, and more than the classifier sees."""
RANK, DAY = "_rank", "_day"


def sampled_days(platform: Platform, model: ModelSettings, window: Window) -> set[date]:
    """The days that the window's sample on file is of."""
    path = _file(platform, model, window)
    return {date.fromisoformat(day) for day in _note(path)["days"]} if path.exists() else set()


def sample_of(
    platform: Platform,
    model: ModelSettings,
    window: Window,
    rows: pd.DataFrame,
    *,
    read: Sequence[date],
    kept: Sequence[date],
) -> pd.DataFrame:
    """The sample of a window, kept for the next time.

    Args:
        platform: the home.
        model: the monitored model.
        window: the window.
        rows: of the days that were read, with `_day`.
        read: those days.
        kept: days that were not; their part of the sample on file holds.

    Returns:
        At most 5,000 rows, in the order of their hashes.
    """
    path, below, parts = _file(platform, model, window), 1.0, []
    if kept:
        before, below = pd.read_parquet(path), float(_note(path)["below"])
        parts.append(before[pd.to_datetime(before[DAY]).dt.date.isin(set(kept))])
    if len(rows):
        ranked = rows.assign(**{RANK: ranks(rows, platform.data(model).keys)})
        parts.append(ranked[ranked[RANK] <= below])
    sample = pd.concat(parts, ignore_index=True).sort_values(RANK, kind="stable")
    if len(sample) > WINDOW_SAMPLE:
        sample = sample.head(WINDOW_SAMPLE)
        below = float(sample[RANK].iloc[-1])
    note = json.dumps({"days": sorted(str(day) for day in (*read, *kept)), "below": below})
    platform.lake.write(sample, path, fingerprint=note)
    return sample.drop(columns=[RANK, DAY]).reset_index(drop=True)


def ranked_sample(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The sample of a window that is read whole each time, by the same hashes; nothing of it is kept."""
    chosen = np.argsort(ranks(rows, keys), kind="stable")[:WINDOW_SAMPLE]
    return rows.iloc[chosen].reset_index(drop=True)


def _file(platform: Platform, model: ModelSettings, window: Window) -> Path:
    return folder_of(platform.lake, model.name, "drift", window) / "sample.parquet"


def _note(path: Path) -> dict[str, Any]:
    """Of which days the sample is, and below which hash it has all their rows."""
    return json.loads(Lake.fingerprint(path))


def ranks(rows: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """A number in [0, 1) of each row's entity and event time, the same whenever it is asked for."""
    identity = rows[list(keys)].astype(str).assign(**{EVENT_TIME: pd.DatetimeIndex(rows[EVENT_TIME]).as_unit("us")})
    hashed = pd.util.hash_pandas_object(identity, index=False).to_numpy()
    return (hashed >> np.uint64(11)).astype(np.float64) / 2.0**53
