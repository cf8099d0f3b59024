"""Evidently's page of a window of a model, drawn when someone asks for it.

Here: finding the window, its sample and its reference. Not here: the drawing (`pages.evidently_report`), the page that
every window gets (`drift_report`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.values.display import sentences
from mlops_assets.pages.evidently_report import drift_report_html
from mlops_assets.steps.watch.windows.references import reference_of
from mlops_assets.steps.watch.windows.summaries import WindowSummary, folder_of, summaries
from mlops_assets.world.atomic import write_text
from mlops_assets.world.platform import Platform

_SEED = 13


def draw_evidently(platform: Platform, model: ModelSettings, moment: datetime | None = None) -> Path:
    """Write Evidently's page of a window, beside the window's own; the features that moved most come first.

    Args:
        platform: the home.
        model: the monitored model.
        moment: the window that it falls into; None for the newest window.

    Raises:
        LookupError: no such window was judged, or it could not be.
    """
    judged = summaries(platform.lake, model.name, "drift", WindowSummary)
    matching = [report for report in judged if moment is None or report.start <= moment < report.end]
    if not matching:
        newest = f"The newest that has is {judged[-1].window}." if judged else "`mlops status` says what comes next."
        which = "window" if moment is None else f"window with {moment:%Y-%m-%d %H:%M} UTC in it"
        raise LookupError(f"No {which} of {model.name} has been compared with its reference. {newest}")
    window = matching[-1].span
    folder = folder_of(platform.lake, model.name, "drift", window)
    drifts = pd.read_parquet(folder / "features.parquet")
    if drifts.empty:
        why = sentences(check.sentence for check in matching[-1].checks)
        raise LookupError(
            f"{model.name} in {matching[-1].window} could not be judged. {why} Name a day of another window."
        )
    reference = reference_of(platform, model, window, matching[-1].version).reference.sample
    # Evidently has a PSI of its own, also for what cannot be judged; scores are no column of the samples.
    can_be = drifts["kind"].notna() & drifts["why"].isna() & drifts["feature"].isin(reference.columns)
    drawn = drifts[can_be].sort_values("psi", ascending=False, kind="stable")
    page = drift_report_html(
        reference,
        pd.read_parquet(folder / "sample.parquet"),
        numeric=list(drawn.loc[drawn["kind"] == "numeric", "feature"]),
        categorical=list(drawn.loc[drawn["kind"] == "categorical", "feature"]),
        seed=_SEED,
    )
    html = folder / "evidently.html"
    write_text(html, page)
    return html
