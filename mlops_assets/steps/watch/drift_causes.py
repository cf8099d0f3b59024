"""What stands behind a window's drift: levels, findings by source, and what they did to the champion's scores.

Here: `levels_of` and `verdict_of` a window, `explain`, and how its answers are shown. Not here: the statistics
(`core.drift.calibration`, `core.drift.attribution`), what rows show together (`drift_rows`), which windows are watched
(`drift_report`).
"""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from mlops_assets.core.drift.attribution import Finding, PredictionShift, findings, prediction_shift
from mlops_assets.core.drift.calibration import FULL_WINDOWS, Levels, calibrate, calibrated_verdict, preset_levels
from mlops_assets.core.drift.day_counts import DayCounts
from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.policy import DriftVerdict, drift_verdict
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.pages.markdown import answer_in_words, answered, markdown_table
from mlops_assets.steps.watch.day_profiles import WindowSeen
from mlops_assets.steps.watch.drift_rows import RowsDrift, rows_drift
from mlops_assets.world.platform import Platform

_HEADER = ("source", "features moved", "worst", "statistic", "value", "level", "share of gain", "raw score moved")


@dataclass(frozen=True)
class Explained:
    """A window's drift, explained as far as its data allow.

    Attributes:
        levels: by which the features were judged.
        findings: one per source, what matters most first.
        shift: of the champion's mean raw score, or why it is unknown.
        together: what the rows show that single features do not.
    """

    levels: Levels
    findings: Sequence[Finding]
    shift: PredictionShift | CannotJudge
    together: RowsDrift

    def kept(self) -> dict[str, Any]:
        """The fields of the window's summary (`DriftSummary`)."""
        levels = asdict(self.levels)
        if not self.levels.calibrated:
            # The same for all features, and in the model's YAML.
            del levels["level"]
        return {
            "levels": levels,
            "findings": tuple(self.findings),
            "prediction_shift": answered(self.shift),
            **self.together.kept(),
        }

    @property
    def sentences(self) -> list[str]:
        """All of it for people, without the findings."""
        weights = None if isinstance(self.shift, CannotJudge) else self.shift.weights
        shifts = [f"Scores: {answer_in_words(self.shift)}", *([f"Weights: {weights.sentence}"] if weights else [])]
        return [*shifts, *self.together.sentences, self.levels.sentence]

    def markdown(self) -> str:
        """Table of the findings, and the sentences."""
        table = markdown_table([_row(finding) for finding in self.findings], header=_HEADER)
        head = table if self.findings else "No feature is beyond its level."
        return "\n\n".join([head, *self.sentences, *([local] if (local := self.together.markdown()) else [])])

    def html(self) -> str:
        """The same as a section of the window's page."""
        items = "".join(f"<li>{html.escape(finding.sentence)}</li>" for finding in self.findings)
        moved = f"<ol>{items}</ol>" if items else "<p>No feature is beyond its level.</p>"
        notes = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.sentences)
        return f"<section><h2>What moved, and what it did</h2>{moved}{notes}</section>"


def levels_of(model: ModelSettings, version: int, days: DayCounts | None, features: Sequence[str]) -> Levels:
    """The levels that `monitoring.drift.levels` asks for.

    Args:
        model: the monitored model.
        version: whose reference it is.
        days: what each day of that reference held; None where that was not kept.
        features: to be judged.
    """
    policy = model.monitoring.drift
    preset = preset_levels(features, policy)
    if policy.levels == "preset":
        return preset
    if days is None:
        note = f"The reference of version {version} was kept without its days: the policy's levels hold until the next"
        return replace(preset, sentence=f"{note} promotion.")
    length = model.monitoring.rhythm.length.approximately.days
    n_windows = days.n_days // length
    if policy.levels == "auto" and n_windows < FULL_WINDOWS:
        note = f"The reference holds {n_windows} of the {FULL_WINDOWS} windows that calibrated levels need"
        return replace(preset, n_windows=n_windows, sentence=f"{note}: the policy's levels hold.")
    return calibrate(days, length, preset=preset)


def verdict_of(model: ModelSettings, drifts: Sequence[FeatureDrift], levels: Levels) -> DriftVerdict:
    """Whether the inputs match: at calibrated levels no feature may be beyond its own, else the policy decides."""
    return calibrated_verdict(drifts, levels) if levels.calibrated else drift_verdict(drifts, model.monitoring.drift)


def explain(
    platform: Platform,
    model: ModelSettings,
    window_seen: WindowSeen,
    *,
    drifts: Sequence[FeatureDrift],
    levels: Levels,
    by_calendar: Collection[str] = (),
) -> Explained:
    """Explain one window's drift.

    Args:
        platform: where the champion is.
        model: the monitored model.
        window_seen: the window's predictions.
        drifts: of the features.
        levels: by which they are judged.
        by_calendar: features that are no news in this window: rows are not told apart by them, and their weights are
            not compared.
    """
    champion = platform.registry.load(model.name, window_seen.version)
    importance = champion.importance()
    shift = _shift(champion, window_seen.against.reference.sample, window_seen.sample, by_calendar)
    sources = {
        f"{view}__{feature.name}": platform.catalogue.view(view).sources
        for view in model.features
        for feature in platform.catalogue.view(view).features
    }
    moved = findings(
        drifts,
        levels,
        importance=importance,
        sources=sources,
        shift=None if isinstance(shift, CannotJudge) else shift,
    )
    together = rows_drift(
        model,
        [column for column in champion.recipe.columns if column.name not in by_calendar],
        window_seen=window_seen,
        drifts=drifts,
        levels=levels,
        importance=importance,
    )
    return Explained(levels, moved, shift, together)


def _shift(
    champion: Any, sample: pd.DataFrame, rows: pd.DataFrame, by_calendar: Collection[str]
) -> PredictionShift | CannotJudge:
    try:
        return prediction_shift(champion, sample, rows, unweighed=by_calendar)
    except CannotJudge as why:
        return why


def _row(finding: Finding) -> tuple[Any, ...]:
    return (
        finding.source or "", len(finding.features), finding.feature, finding.statistic, finding.value, finding.level,
        finding.importance, finding.attribution,
    )  # fmt: skip
