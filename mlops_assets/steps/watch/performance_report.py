"""Watching how a champion is doing: the performance of every closed window, kept as small files.

Here: what the performance report does between reading and reporting. Not here: the asset (`assets`), the statistics
(`core.performance.window_metrics`), what else the report says (`label_report`), inputs and scores (`drift_report`).

A window is judged once for each state of its data: a corrected day or a restated label judges it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pandas as pd
from msgspec import UNSET, structs

from mlops_assets.core.performance.selective_labels import labels_follow_scores
from mlops_assets.core.performance.window_metrics import PerformanceRow, Predicted, performance_row
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.events import named
from mlops_assets.core.time.windows import Window, local_days, parse_duration
from mlops_assets.core.values.display import sentences
from mlops_assets.pages.markdown import answered
from mlops_assets.steps.predict.references import SCORE, score_matrix
from mlops_assets.steps.watch.against_baseline import check_of, guessing_markdown, looked
from mlops_assets.steps.watch.classes import class_counts, classes_markdown
from mlops_assets.steps.watch.fairness_report import fairness_markdown, fairness_of
from mlops_assets.steps.watch.label_report import (
    PROFIT,
    Estimates,
    by_window_markdown,
    estimates_markdown,
    forget_other_labels,
    label_drift_markdown,
    label_maturity,
    label_shift,
    labels_file,
    maturity_markdown,
    metric_plot,
    put_on_record,
    restatement,
    with_coverage,
)
from mlops_assets.steps.watch.performance_check import looks_back, performance_check
from mlops_assets.steps.watch.sliding_performance import slide_performance
from mlops_assets.steps.watch.windows.performance_summary import LabelAges, PerformanceSummary
from mlops_assets.steps.watch.windows.reports import (
    Watched,
    cannot,
    common_parts,
    days_of_window,
    is_known,
    judged_rows,
    predicted_windows,
    settings_digest,
    silent_windows,
    state_of,
)
from mlops_assets.steps.watch.windows.summaries import (
    failing_told,
    folder_of,
    known_summary,
    summaries,
    verdicts_of,
    write_summary,
)
from mlops_assets.world.blocks import blocks_of
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.model_data import AVAILABLE_AT, EVENT_TIME, LABEL
from mlops_assets.world.platform import Platform

_SHOWN = 20
"""Windows in a table."""


def watch_performance(platform: Platform, model: ModelSettings) -> Watched | None:
    """Judge every window whose predictions or labels changed since the last time, and those still waiting."""
    now = platform.now(model)
    slid, watched = slide_performance(platform, model, now), _watch_whole(platform, model, now)
    if not slid:
        return watched
    windows, newest = [check.window for check in slid], slid[-1]
    if watched is None:
        sentence = newest.sentence
        return Watched(windows, slid, table=sentence, plot=sentence, reason=sentence)
    return replace(
        watched,
        windows=[*watched.windows, *windows],
        newest=[*watched.newest, *slid],
        reason=sentences([watched.reason, newest.sentence]),
    )


def _watch_whole(platform: Platform, model: ModelSettings, now: datetime) -> Watched | None:
    """The same of the windows that follow one another: what is pooled over windows counts each label once."""
    windows = predicted_windows(platform, model, now)
    if not windows:
        return None
    waiting = []
    for window in sorted([*windows, *silent_windows(platform, model, now)], key=lambda window: window.start):
        final = now >= window.end + parse_duration(model.label.max_delay)
        data = state_of(platform.lake, model, window, ("predictions", "labels"))
        state = f"{data}-{settings_digest(model)}-{'final' if final else now.isoformat()}"
        if not is_known(folder_of(platform.lake, model.name, "performance", window), state):
            waiting.append((window, state))
    if not waiting:
        return None
    estimates, maturity = Estimates(platform.lake, model), label_maturity(platform, model, windows, now)
    judged = [
        _judge_performance(platform, model, window, now=now, state=state, estimates=estimates, maturity=maturity)
        for window, state in waiting
    ]
    reports = summaries(platform.lake, model.name, "performance", PerformanceSummary)
    newest = [check for summary in reports for check in summary.checks]
    restated = [summary.restated[-1].reason for summary in judged if summary.restated_now]
    more = {
        "estimates": estimates_markdown(model, reports),
        "label_maturity": maturity_markdown(maturity),
        "label_drift": label_drift_markdown(model, reports),
        "guessing": guessing_markdown([summary.guessing for summary in reports[-_SHOWN:]]),
    }
    if model.task == "multiclass":
        more["classes"] = classes_markdown(platform, model.name, reports)
    if model.monitoring.costs:
        more[PROFIT] = metric_plot(PROFIT, reports, title="Profit per row by window")
    if model.monitoring.fairness.by:
        more["fairness"] = fairness_markdown(judged[-1])
    failing = failing_told(platform, model)
    of_newest = [check for check in newest if check.window_end == newest[-1].window_end]
    reasons = [failing, *(check.sentence for check in of_newest if check.kind != "failing" or not failing)]
    return Watched(
        windows=[summary.window for summary in judged],
        newest=newest,
        table=by_window_markdown(model, reports[-_SHOWN:]),
        plot=metric_plot(
            model.metric,
            reports,
            title=f"{model.metric} by window",
            limits=[_limit_of(model.metric, summary) for summary in reports],
        ),
        reason=sentences([*reasons, *restated, *named(model.events, windows[-1:], model.timezone)]),
        more=more,
        numbers=_numbers(model, reports),
    )


def _limit_of(name: str, summary: PerformanceSummary) -> float | None:
    """The limit that a metric was held against in a window; None where a further metric broke its own and is told."""
    check = summary.checks[0]
    return check.limit if check.value == summary.value(name) else None


def _numbers(model: ModelSettings, reports: Sequence[PerformanceSummary]) -> dict[str, float]:
    """Of the newest window with labels, and what is estimated of the newest."""
    labelled = [summary.performance for summary in reports if summary.performance.labelled]
    verdicts = verdicts_of([summary.guessing for summary in reports])
    newest, judged = reports[-1], [verdict for verdict in verdicts if verdict.worse is not None]
    against = judged[-1] if judged else None
    measured = labelled[-1].metrics if labelled else {}
    main = measured.get(model.metric)
    numbers = {
        # `profit` is the plot's name.
        **{"profit_per_row" if name == PROFIT else name: estimate.value for name, estimate in measured.items()},
        f"{model.metric}_lower": main.lower if main else None,
        f"{model.metric}_upper": main.upper if main else None,
        f"{model.metric}_estimated": newest.estimate(model.metric).value,
        "gain_over_guessing": against.gain if against else None,
        "gain_over_guessing_lower": against.lower if against else None,
        "gain_over_guessing_upper": against.upper if against else None,
        "unlabelled_share": newest.performance.share_unlabelled,
        "rows": newest.rows,
    }
    return {name: value for name, value in numbers.items() if value is not None}


def _judge_performance(
    platform: Platform,
    model: ModelSettings,
    window: Window,
    *,
    now: datetime,
    state: str,
    estimates: Estimates,
    maturity: LabelAges,
) -> PerformanceSummary:
    """Judge one window and keep its report; returns the summary.

    The labels it was judged on are written first and the summary last: it names them, and a window with a summary
    of this state is not looked at again.
    """
    folder = folder_of(platform.lake, model.name, "performance", window)
    before = known_summary(folder, PerformanceSummary)
    try:
        rows, version, left_out = judged_rows(platform, model, window)
    except CannotJudge as why:
        return _unjudged(platform, model, window, now=now, state=state, maturity=maturity, why=why)
    row, rows = _performance(platform, model, window, rows, now)
    keys = [*platform.data(model).keys, EVENT_TIME]
    known = rows.loc[rows[LABEL].notna(), [*keys, LABEL]]
    restated = restatement(folder, before, known, keys)
    earlier = summaries(platform.lake, model.name, "performance", PerformanceSummary) if looks_back(model) else []
    check = performance_check(platform, model, row, version, earlier)
    reasons = [check.sentence, left_out, _label_pattern(model, rows, row)]
    check = replace(check, sentence=sentences(reasons))
    groups, fairness = fairness_of(platform, model, window, row, now)
    guessing = looked(platform, model, rows, row, version)
    checks = [check, *fairness, *check_of(guessing)]
    summary = PerformanceSummary(
        **common_parts(window, model, state, checks, version=version, rows=row.rows),
        judged_at=now,
        performance=row,
        fairness=tuple(groups),
        guessing=guessing,
        estimated=estimates.of(version, rows),
        label_maturity=maturity,
        label_drift=answered(label_shift(platform, model, version, rows, row)),
        classes=class_counts(rows) if model.task == "multiclass" else UNSET,
        restated=before.restated if before else (),
        restated_now=bool(restated),
    )
    if before and restated:
        said = put_on_record(platform, model, restated, before, summary, now)
        summary = structs.replace(summary, restated=(*summary.restated, said))
    platform.lake.write(known, labels_file(folder, state))
    write_summary(folder, summary)
    forget_other_labels(folder, state)
    return summary


def _label_pattern(model: ModelSettings, rows: pd.DataFrame, row: PerformanceRow) -> str:
    """Whether labels of a closed window look as if they existed for accepted cases only, where nobody has said so."""
    if model.label.only_for_accepted or not row.mature:
        return ""
    days = local_days(rows[EVENT_TIME], model.timezone)
    return labels_follow_scores(rows[SCORE], rows[LABEL].notna(), days)


def _unjudged(
    platform: Platform,
    model: ModelSettings,
    window: Window,
    *,
    now: datetime,
    state: str,
    maturity: LabelAges,
    why: CannotJudge,
) -> PerformanceSummary:
    """Keep the report of a window without rows, or whose rows nobody can be held to."""
    row = PerformanceRow(
        window.label(model.timezone), window.start, window.end, 0, 0, None, None, False, str(why), metrics={}
    )  # fmt: skip
    check = cannot("performance_holds", "performance", window, model, why)
    summary = PerformanceSummary(
        **common_parts(window, model, state, [check], version=0, rows=0),
        judged_at=now,
        performance=row,
        fairness={},
        estimated={},
        label_maturity=maturity,
        label_drift=answered(why),
    )
    write_summary(folder_of(platform.lake, model.name, "performance", window), summary)
    return summary


def _performance(
    platform: Platform, model: ModelSettings, window: Window, rows: pd.DataFrame, now: datetime
) -> tuple[PerformanceRow, pd.DataFrame]:
    """The window's report, and its predictions with the labels known now."""
    data = platform.data(model)
    identity = [*data.keys, EVENT_TIME]
    known = data.events(*days_of_window(model, window), as_of=now)[[*identity, LABEL, AVAILABLE_AT]]
    rows = rows.merge(known, on=identity, how="left", validate="one_to_one")
    given = Predicted(
        rows[EVENT_TIME],
        rows[LABEL],
        score_matrix(rows),
        rows[AVAILABLE_AT],
        slices={name: rows[name] for name in slice_columns(model, rows)},
        blocks=blocks_of(model, rows),
    )
    state = data.maturity(window, rows, now=now)
    row = performance_row(window, given, model.reported_metrics, state, now=now, tz=model.timezone)
    return with_coverage(row, rows, model), rows
