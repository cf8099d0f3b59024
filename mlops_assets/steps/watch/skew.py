"""Training-serving skew: what the service scored, against what training would have joined for the same events.

Here: the comparison of every window in which the service answered, kept as a small file. Not here: the check that shows
it (`assets`), whether the online store agrees with the offline join at one moment (`features.online_store`).

It is no evidence of the retraining policy: a stale or different feature is corrected, not learnt.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.windows import Window
from mlops_assets.core.values.display import some
from mlops_assets.steps.features.online_store import equal_values
from mlops_assets.steps.predict.predictions import ONLINE, VERSION
from mlops_assets.steps.watch.windows.reports import common_parts, days_of_window, is_known, predicted_windows, state_of
from mlops_assets.steps.watch.windows.summaries import WindowSummary, folder_of, write_summary
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform

REPORT = "skew"
SKEW_CHECK = "served_features_agree_with_offline"
_ROWS = 5_000
"""Answers of a window that are joined again, a seeded sample."""
_SEED = 13
_NAMED = 5


class SkewSummary(WindowSummary, frozen=True, kw_only=True):
    """What is kept of a window; `features`: feature -> share of answers with another value, the largest first."""

    features: Mapping[str, float] = {}


def watch_skew(platform: Platform, model: ModelSettings) -> CheckResult | None:
    """Compare what was served in every closed window that has news; the newest of them, None where there is none."""
    newest = None
    online = platform.lake.partitions("predictions", model.name, name=ONLINE)
    for window in predicted_windows(platform, model, platform.now(model)) if online else []:
        folder = folder_of(platform.lake, model.name, REPORT, window)
        state = state_of(platform.lake, model, window, ("predictions",))
        if is_known(folder, state):
            continue
        rows = _served(platform, model, window)
        if rows.empty:
            continue
        shares = skewed(platform, model, rows)
        newest, version = _check(model, window, rows, shares), int(rows[VERSION].mode().iloc[0])
        parts = common_parts(window, model, state, [newest], version=version, rows=len(rows))
        write_summary(folder, SkewSummary(**parts, features=shares))
    return newest


def skewed(platform: Platform, model: ModelSettings, rows: pd.DataFrame) -> dict[str, float]:
    """The share of answers whose value is another than the offline join's, by feature, the largest first.

    Args:
        platform: of the home.
        model: whose answers.
        rows: answers with entity keys, event time and features as they were scored.
    """
    data = platform.data(model)
    joined = data.with_features(rows[[*data.keys, EVENT_TIME]])
    features = [name for name in joined.columns if name in rows.columns and name not in (*data.keys, EVENT_TIME)]
    values = [name for name in features if not name.endswith(f"__{EVENT_TIME}")]
    shares = {name: float(np.mean(~equal_values(rows[name], joined[name]))) for name in values}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _served(platform: Platform, model: ModelSettings, window: Window) -> pd.DataFrame:
    """A sample of the window's answers that name their event; what only a shadow said was served to nobody."""
    start, end = days_of_window(model, window)
    rows = platform.lake.read(
        "predictions", model.name, start=start, end=end, name=ONLINE,
        where="is_identified and arm <> 'shadow'", order_by=[EVENT_TIME, "prediction_id"],
    )  # fmt: skip
    return rows.sample(_ROWS, random_state=_SEED).reset_index(drop=True) if len(rows) > _ROWS else rows


def _check(model: ModelSettings, window: Window, rows: pd.DataFrame, shares: Mapping[str, float]) -> CheckResult:
    limit, label = model.monitoring.max_skew, window.label(model.timezone)
    value = max(shares.values(), default=0.0)
    over = {name: share for name, share in shares.items() if share > limit}
    finding = f"{label}: {len(rows):,} answers hold the features that training joins for the same events"
    if over:
        named = some([f"{name} in {share:.1%}" for name, share in over.items()], _NAMED)
        finding = (
            f"{label}: in {len(rows):,} answers {len(over)} features differ from the offline join of the events more "
            f"often than in {limit:.1%} ({named}). Look whether feast/online_store lags, and what callers send along"
        )
    return CheckResult(
        SKEW_CHECK, "drift", label, window.end, passed=not over, value=value, limit=limit, sentence=f"{finding}."
    )
