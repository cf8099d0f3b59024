"""Watching a champion's inputs and scores: the drift of every closed window, kept as small files.

Here: what the drift report does between reading and reporting. Not here: the asset (`assets`), the statistics
(`core.drift`), what stands behind them (`drift_causes`), performance (`performance_report`).

A window is judged once for each state of its data: a corrected day judges it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import pandas as pd

from mlops_assets.core.decide.policy import CheckResult
from mlops_assets.core.drift import feature_faults
from mlops_assets.core.drift.feature_drift import FeatureDrift, compare
from mlops_assets.core.drift.feature_faults import faults_of
from mlops_assets.core.drift.multivariate import DomainShift, Support
from mlops_assets.core.drift.policy import DriftVerdict, as_judged, drift_verdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.events import named
from mlops_assets.core.time.windows import Window
from mlops_assets.core.values.display import sentences
from mlops_assets.pages.drift import drift_page
from mlops_assets.pages.markdown import markdown_table
from mlops_assets.steps.predict.references import SCORE, read_days
from mlops_assets.steps.watch.calendar_features import calendar_features
from mlops_assets.steps.watch.day_profiles import seen
from mlops_assets.steps.watch.drift_causes import Explained, explain, levels_of, verdict_of
from mlops_assets.steps.watch.hours import hour_windows, seen_in_hours
from mlops_assets.steps.watch.windows.drift_summary import DriftSummary
from mlops_assets.steps.watch.windows.reports import (
    Watched,
    cannot,
    common_parts,
    is_known,
    predicted_windows,
    silent_windows,
    state_of,
)
from mlops_assets.steps.watch.windows.summaries import WindowSummary, folder_of, write_summary
from mlops_assets.world.atomic import write_text
from mlops_assets.world.platform import Platform

_SHOWN = 20
"""Features in a table: the most drifted ones."""
DRIFT_CHECKS = ("inputs_match_reference", "predictions_match_reference")
NO_FEATURES = pd.DataFrame({"feature": pd.Series(dtype="str"), "psi": pd.Series(dtype="float64")})
"""The table of a window that cannot be judged."""
_NO_HOURS_OF_SCORES = CannotJudge(
    "what is kept of the scores in the gate window does not say at which hours they were made", "Nothing is missing"
)


@dataclass(frozen=True)
class _Looked:
    """One window's drift: what is kept of it, and what its page is drawn from.

    Attributes:
        window: which.
        summary: what is kept, written last.
        drifts: of its features, the most drifted first.
        profiles: of the reference and of the window, on one grid; None for a window that cannot be judged.
        verdict: on the features.
        explained: what stands behind the drift.
    """

    window: Window
    summary: WindowSummary
    drifts: Sequence[FeatureDrift] = ()
    profiles: tuple[Profile, Profile] | None = None
    verdict: DriftVerdict | None = None
    explained: Explained | None = None


def watch_drift(platform: Platform, model: ModelSettings) -> Watched | None:
    """Compare every window that closed or changed since the last time with its champion's reference."""
    now = platform.now(model)
    looked = [
        _look(platform, model, window, state)
        for window, state in _windows(platform, model, now)
        if not is_known(folder_of(platform.lake, model.name, "drift", window), state)
    ]
    if not looked:
        return None
    html = _write_page(platform, model, looked[-1])
    # Last of all: a window with a summary is never looked at again.
    for look in looked:
        folder = folder_of(platform.lake, model.name, "drift", look.window)
        write_summary(folder, look.summary)
    return _shown(model, looked, html)


def _windows(platform: Platform, model: ModelSettings, now: datetime) -> list[tuple[Window, str]]:
    """The windows to be judged, oldest first, each with the state of its data."""
    if model.monitoring.rhythm.hours:
        return hour_windows(platform, model, now)
    windows = [
        *predicted_windows(platform, model, now, sliding=True),
        *silent_windows(platform, model, now, sliding=True),
    ]
    ordered = sorted(windows, key=lambda window: window.start)
    return [(window, state_of(platform.lake, model, window, ("predictions",))) for window in ordered]


def _look(platform: Platform, model: ModelSettings, window: Window, state: str) -> _Looked:
    """Judge one window; its table is written, its summary is not yet."""
    folder = folder_of(platform.lake, model.name, "drift", window)
    by_hours = model.monitoring.rhythm.parts_days
    look = seen_in_hours if model.monitoring.rhythm.hours else seen
    try:
        window_seen = look(platform, model, window)
    except CannotJudge as why:
        platform.lake.write(NO_FEATURES, folder / "features.parquet")
        checks = [cannot(name, "drift", window, model, why) for name in DRIFT_CHECKS]
        return _Looked(window, WindowSummary(**common_parts(window, model, state, checks, version=0, rows=0)))
    against, version = window_seen.against, window_seen.version
    compared = compare(against.reference.features, window_seen.features)
    by_calendar = calendar_features(platform, model, window, window_seen)
    drifts = as_judged(compared, by_calendar)
    scores = [] if by_hours else compare(against.reference.scores, window_seen.scores)
    days = None if by_hours else read_days(platform.lake, model.name, version)
    levels = levels_of(model, version, against.days or days, [drift.feature for drift in drifts])
    # A feature that is retired may be as broken as it likes.
    trained = {column.name for column in platform.data(model).columns}
    faults = faults_of([drift for drift in compared if drift.feature in trained], window_seen.features, days)
    inputs = verdict_of(model, drifts, levels)
    drifts = as_judged(drifts, inputs.unjudged)
    if against.warming_up:
        inputs = replace(inputs, passed=None, reason=f"{against.warming_up} {inputs.reason}")
    broken = feature_faults.faults_in_words(faults, window.label(model.timezone))
    inputs = replace(inputs, reason=sentences([*broken, inputs.reason, window_seen.left_out]))
    verdicts = zip(DRIFT_CHECKS, (inputs, _scores_verdict(scores, model)), strict=True)
    checks = [_drift_check(name, window, model, verdict) for name, verdict in verdicts]
    if by_hours:
        checks[1] = cannot(DRIFT_CHECKS[1], "drift", window, model, _NO_HOURS_OF_SCORES)
    platform.lake.write(pd.DataFrame([asdict(drift) for drift in (*drifts, *scores)]), folder / "features.parquet")
    explained = explain(platform, model, window_seen, drifts=drifts, levels=levels, by_calendar=by_calendar)
    parts = common_parts(window, model, state, checks, version=version, rows=window_seen.rows)
    summary = DriftSummary(**parts, faults=faults, **explained.kept())
    ranked = sorted(drifts, key=lambda drift: -(drift.psi or 0.0))
    return _Looked(window, summary, ranked, (against.reference.features, window_seen.features), inputs, explained)


def _write_page(platform: Platform, model: ModelSettings, newest: _Looked) -> Path | None:
    if newest.profiles is None or newest.verdict is None or newest.explained is None:
        return None
    html = folder_of(platform.lake, model.name, "drift", newest.window) / "report.html"
    page = drift_page(
        names=(f"the reference of version {newest.summary.version}", _named(model, newest.window)),
        profiles=newest.profiles,
        drifts=newest.drifts,
        verdict=replace(newest.verdict, reason=sentences(check.sentence for check in newest.summary.checks)),
        section=newest.explained.html(),
    )
    write_text(html, page)
    return html


def _named(model: ModelSettings, window: Window) -> str:
    return f"{model.name} in {window.label(model.timezone)}"


def _shown(model: ModelSettings, looked: Sequence[_Looked], html: Path | None) -> Watched:
    newest = looked[-1]
    checks = list(newest.summary.checks)
    reason = sentences([*(check.sentence for check in checks), *named(model.events, [newest.window], model.timezone)])
    windows = [look.window.label(model.timezone) for look in looked]
    if newest.explained is None:
        return Watched(windows, checks, table=checks[0].sentence, plot=checks[0].sentence, reason=reason)
    top = newest.drifts[:_SHOWN]
    return Watched(
        windows,
        checks,
        table=markdown_table(
            [(d.feature, d.psi, d.ks, d.missing_change, d.mean_change) for d in top],
            header=["feature", "PSI", "KS", "missing share, change", "mean, change in sd"],
        ),
        plot=_drift_plot(top, model, newest.window),
        reason=reason,
        html=html,
        more={"findings": newest.explained.markdown()},
        numbers=_numbers(newest.summary, newest.explained, top),
    )


def _numbers(summary: WindowSummary, explained: Explained, top: Sequence[FeatureDrift]) -> dict[str, float]:
    inputs, scores = summary.checks
    together = explained.together
    numbers = {
        "drifted_share": inputs.value,
        "largest_psi": top[0].psi if top else None,
        "scores_drifted": scores.value,
        "classifier_auc": together.classifier.auc if isinstance(together.classifier, DomainShift) else None,
        "outside_joint_support": together.support.outside_joint if isinstance(together.support, Support) else None,
        "rows": summary.rows,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def _scores_verdict(scores: Sequence[FeatureDrift], model: ModelSettings) -> DriftVerdict:
    """The verdict on the champion's scores, told as that of one distribution and not of one feature among many.

    Of several classes each has its own, beside that of the likeliest; the one that moved furthest is told.
    """
    verdict = drift_verdict(scores, model.monitoring.drift)
    known = [(drift.psi, drift.feature) for drift in scores if drift.psi is not None]
    if not known or model.monitoring.drift.psi is None:
        return verdict
    psi, name = max(known)
    whose = f" of class {name.removeprefix(f'{SCORE}_')}" if name != SCORE else ""
    reason = f"The scores' PSI{whose} is {psi:.3g} (limit {model.monitoring.drift.psi:g})."
    return replace(verdict, reason=reason)


def _drift_check(name: str, window: Window, model: ModelSettings, verdict: DriftVerdict) -> CheckResult:
    return CheckResult(
        name=name,
        kind="drift",
        window=window.label(model.timezone),
        window_end=window.end,
        passed=verdict.passed,
        value=verdict.share,
        limit=verdict.limit,
        sentence=verdict.reason,
    )


def _drift_plot(top: Sequence[FeatureDrift], model: ModelSettings, window: Window) -> str:
    from mlops_assets.pages.svg import markdown_bars

    # Without the view's name in front: it is in the table, and the picture has little room.
    bars = [(drift.feature.split("__", 1)[-1], drift.psi) for drift in top if drift.psi is not None]
    return markdown_bars(
        bars,
        limit=model.monitoring.drift.psi,
        title=f"Population stability index (PSI) in {window.label(model.timezone)}",
    )
