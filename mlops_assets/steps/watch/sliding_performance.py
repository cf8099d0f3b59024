"""Performance over 24 hours that slide: each window is judged once its labels have matured.

Here: which windows there are, their metrics and their check. Not here: windows that follow one another, by which all
else goes that labels tell (`performance_report`), limits and verdict (`performance_check`).

Windows that overlap share their labels, so they are kept apart: what is pooled over windows (worse than guessing,
decay, outcomes) counts each label once. Rows are read once a time, and a window is judged once for each state of its
labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.performance.window_metrics import Predicted, performance_row
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import DAY
from mlops_assets.core.time.windows import Window, parse_duration, utc_index
from mlops_assets.steps.predict.predictions import VERSION, predicted_days, read_scores
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.steps.watch.performance_check import looks_back, performance_check
from mlops_assets.steps.watch.windows.performance_summary import PerformanceSummary
from mlops_assets.steps.watch.windows.reports import common_parts, is_known
from mlops_assets.steps.watch.windows.summaries import SLIDING, folder_of, summaries, write_summary
from mlops_assets.world.blocks import blocks_of
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform

NAME = "performance_holds_over_24h"
_MARGIN = timedelta(days=2)
"""Before the longest delay of a label: how far back windows are looked at that may have matured since."""


def slide_performance(platform: Platform, model: ModelSettings, now: datetime) -> list[CheckResult]:
    """Judge the windows whose labels have matured since the last time; the checks of those, oldest first."""
    if model.monitoring.rhythm.every is None:
        return []
    days = predicted_days(platform.lake, model.name)
    if not days:
        return []
    # Of what began before the first prediction there is a part.
    first = max(platform.data(model).day(now - parse_duration(model.label.max_delay) - _MARGIN), days[0])
    windows = model.monitoring.rhythm.closed(first, now, model.timezone)
    return list(_judged(platform, model, windows, now)) if windows else []


def _judged(platform: Platform, model: ModelSettings, windows: list[Window], now: datetime) -> Iterator[CheckResult]:
    data, rows = platform.data(model), _labelled(platform, model, windows, now)
    times = utc_index(rows[EVENT_TIME]).as_unit("us").asi8
    states = pd.util.hash_pandas_object(rows[[*data.keys, EVENT_TIME, LABEL, VERSION]], index=False).to_numpy()
    earlier = summaries(platform.lake, model.name, SLIDING, PerformanceSummary) if looks_back(model) else []
    for window in windows:
        low, high = np.searchsorted(times, utc_index([window.start, window.end]).as_unit("us").asi8)
        folder, state = folder_of(platform.lake, model.name, SLIDING, window), _state(states[low:high])
        inside = rows.iloc[low:high]
        if low == high or is_known(folder, state):
            continue
        mature = data.maturity(window, inside, now=now)
        if not mature.mature:
            continue
        given = Predicted(
            inside[EVENT_TIME],
            inside[LABEL],
            score_matrix(inside),
            inside[AVAILABLE_AT],
            blocks=blocks_of(model, inside),
        )
        row = performance_row(window, given, model.reported_metrics, mature, now=now, tz=model.timezone)
        version = int(inside[VERSION].mode().iloc[0])
        check = replace(performance_check(platform, model, row, version, earlier), name=NAME)
        parts = common_parts(window, model, state, [check], version=version, rows=row.rows)
        summary = PerformanceSummary(**parts, judged_at=now, performance=row)
        write_summary(folder, summary)
        earlier.append(summary)
        yield check


def _labelled(platform: Platform, model: ModelSettings, windows: list[Window], now: datetime) -> pd.DataFrame:
    """The predictions by versions that the registry knows, with the labels known now, in the order of time."""
    data = platform.data(model)
    first, end = data.day(windows[0].start), data.day(windows[-1].end) + timedelta(days=1)
    by_column = model.monitoring.performance.blocks != DAY
    rows = read_scores(platform, model, first, end, features=by_column)
    if rows.empty:
        return rows.reindex(columns=[*data.keys, EVENT_TIME, LABEL, AVAILABLE_AT, VERSION])
    registered = [version.version for version in platform.registry.versions(model.name)]
    identity = [*data.keys, EVENT_TIME]
    known = data.events(first, end, as_of=now)[[*identity, LABEL, AVAILABLE_AT]]
    rows = rows[rows[VERSION].isin(registered)].merge(known, on=identity, how="left", validate="one_to_one")
    return rows.sort_values([EVENT_TIME, *data.keys], kind="stable").reset_index(drop=True)


def _state(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.tobytes()).hexdigest()[:32]
