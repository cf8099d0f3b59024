"""The page and the terminal table of a replay: what was lived, what was decided, and why.

Here: `replay.json` as values in, text out. Not here: running or measuring a replay (`driver`), the drawings
(`charts`), where the page is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.core.figures import DARK, FONT, LIGHT, PSI_LEVELS
from mlops_assets.core.pages import template
from mlops_assets.replay.charts import MARKS, NAMES, lives_chart, ticks, volume_chart

if TYPE_CHECKING:
    from rich.table import Table

LIVES = ("auto", "static", "always")
MISSING = "–"
TOP_FEATURES = 20
"""Features shown at once in the heat map; the rest is folded away."""
LONG = 16
"""More periods than this: cells lose their numbers, and waits in a row for the same cause are told as one."""
HEAT_STEPS = (0.05, *PSI_LEVELS, 0.5, 1.0)
"""Borders of the heat map's colours; the hue begins at 0.1, the customary first level of the PSI."""
ACTIONS = {
    "retrain": "retrain",
    "wait": "wait",
    "revert": "went back",
    "propose_retrain": "proposed to retrain",
    "propose_revert": "proposed to go back",
    "quarantine": "quarantine",
    "cannot_judge": "cannot judge",
}
_ABBREVIATIONS = frozenset({"roc", "auc", "pr", "mae", "mse", "rmse", "rmsle", "mape", "f1", "r2", "ks", "psi"})
_EVERY = {"day": "day", "week": "week", "month": "month"}


def render(replay: Mapping[str, Any], *, details: Mapping[str, Any]) -> str:
    """The replay as one HTML page that needs neither network nor script.

    Args:
        replay: the content of `replay.json`: `model`, `metric`, `task`, `greater_is_better`, `periods` (each
            with `start`, `end` (ISO, half-open), `label`, `rows`, `labelled_rows`, `label_mean`, the metric
            of the lives `static`, `auto` and `always`, `checks` name -> passed, `decision`, `rule`,
            `reason`, `retrained`, `promoted`, `champion_version` (the version that scored the period),
            `verdict_reason`), `summary`, and optionally `changes` (see `changes.found`). None stands for what is not
            known, e.g. the metric of a period without labels.
        details: what the page tells besides, all optional: `drift` (a list of `period`, `feature`, `psi`;
            `period` is a period's label, or a monitoring window's where those are others), `versions` and
            `settings` (name -> value), `notes` (sentences).

    Returns:
        The page. All texts are escaped.

    Raises:
        ValueError: there are no periods.
    """
    periods = _with_outcomes(replay)
    metric, places = metric_name(replay["metric"]), _places(replay)
    better = "higher is better" if replay["greater_is_better"] else "lower is better"
    as_share = replay.get("task") == "binary"
    drift = list(details.get("drift") or ())
    windows = _drift_windows(periods, drift)
    label = "Label rate (share of positives)" if as_share else "Mean of the label"
    every = _EVERY.get(str(_mapping(details.get("settings")).get("every")), "period")
    page: str = template("report.html.j2", package="mlops_assets.replay").render(
        model=replay["model"],
        span=_span(periods),
        headline=f"{_trainings(replay)}.",
        sentences=[_means(replay), *_sentences(replay, every)],
        metric=metric,
        better=better,
        lives=_lives(replay, places, every),
        lives_chart=_safe(lives_chart(periods, metric=f"{metric}, {better}", places=places)),
        marks=_marks_shown(periods),
        volume_chart=_safe(volume_chart(periods, label=label, as_share=as_share)),
        changes=_changes(replay.get("changes") or ()),
        decisions=_decisions(periods),
        ticks=ticks(periods),
        long=len(periods) > LONG,
        most=LONG,
        heat=_heat(windows, drift),
        heat_ticks=_window_ticks(windows, periods),
        heat_top=TOP_FEATURES,
        checks=_checks(periods),
        rows=[_number_row(p, places, as_share) for p in periods],
        label_heading="label rate" if as_share else "label mean",
        every=every,
        notes=_texts(details.get("notes")),
        facts=[(name, _pairs(details.get(key))) for name, key in (("Settings", "settings"), ("Versions", "versions"))],
        seconds=_duration(replay["summary"].get("seconds")),
        light=LIGHT,
        dark=DARK,
        font=_safe(FONT),
    )
    return page


def _changes(changes: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What was done to the data, and what came of it, as cells."""
    return [
        [
            change["story"],
            change["first"],
            change["last"] or "stays",
            change["found"] or "never",
            f"{change['days']} days" if change["days"] is not None else MISSING,
            change["promoted"] or MISSING,
            ", ".join(name.replace("_", " ") for name in change["checks"]) or MISSING,
        ]
        for change in changes
    ]


def console_table(replay: Mapping[str, Any]) -> Table:
    """The replay for a terminal: a row per period, the means below, the better of the three lives in bold."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    periods, places = _with_outcomes(replay), _places(replay)
    title = f"{replay['model']}: {metric_name(replay['metric'])} by period"
    # Numbers stay whole on a terminal of 80 columns: of a week its first day is told.
    table = Table(
        title=title, caption=headline(replay), show_footer=True, title_justify="left", box=SIMPLE,
        padding=(0, 1, 0, 0), pad_edge=False,
    )  # fmt: skip
    summary = replay["summary"]
    table.add_column("period", footer="mean", no_wrap=True)
    table.add_column("labels", justify="right", no_wrap=True)
    for life in ("static", "auto", "always"):
        name = NAMES[life].split()[0]
        table.add_column(name, justify="right", footer=_number(summary.get(life), places), no_wrap=True)
    table.add_column("failed", no_wrap=True)
    table.add_column("decision", no_wrap=True)
    table.add_column("by", justify="right", no_wrap=True)
    styles = {"promoted": "green", "quarantine": "red", "revert": "cyan"} | dict.fromkeys(
        ("rejected", "cannot_judge"), "yellow"
    )
    for p in periods:
        failed = [name.split("_")[0] for name, passed in p["checks"].items() if passed is False]
        told = ACTIONS.get(p["decision"], p["decision"])
        if p["outcome"] in ("promoted", "rejected"):
            told = p["outcome"]
        best = _best(p, bool(replay["greater_is_better"]))
        values = [
            Text(_number(p.get(life), places), style="bold" if life == best else "")
            for life in ("static", "auto", "always")
        ]
        table.add_row(
            Text(p["label"].split("..")[0]),
            f"{p.get('labelled_rows') or 0:,}",
            *values,
            Text("\n".join(failed)),
            Text(told, style=styles.get(p["outcome"], "")),
            Text(_version(p.get("champion_version"))),
        )
    return table


def headline(replay: Mapping[str, Any]) -> str:
    """The replay in one sentence: trainings and the mean of the three lives."""
    means = _means(replay)
    return f"{_trainings(replay)}; {means[0].lower()}{means[1:]}"


def _trainings(replay: Mapping[str, Any]) -> str:
    summary = replay["summary"]
    always = summary.get("always_trainings")
    if always is None:
        return f"Retrained {_times(summary['retrains'])}" if summary["retrains"] else "No retraining"
    if not summary["retrains"]:
        return f"Not retrained, where a fixed plan would have {_times(always)}"
    return f"Retrained {_times(summary['retrains'])} instead of {_times(always).removesuffix(' times')}"


def _means(replay: Mapping[str, Any]) -> str:
    places = _places(replay)
    means = {life: _number(replay["summary"].get(life), places, "not known") for life in LIVES}
    metric = metric_name(replay["metric"])
    return f"Mean {metric} {means['auto']}, never retrained {means['static']}, always {means['always']}."


def metric_name(name: str) -> str:
    """A metric's identifier as people write it: `roc_auc` is ROC AUC, `log_loss` is log loss."""
    return " ".join(word.upper() if word in _ABBREVIATIONS else word for word in name.split("_"))


def _safe(markup: str) -> Any:
    """Text of our own making that must not be escaped again."""
    from markupsafe import Markup

    return Markup(markup)


def _with_outcomes(replay: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not replay["periods"]:
        msg = "the replay has no periods: choose --start and --end so that at least one period has closed"
        raise ValueError(msg)
    return [{**p, "checks": p.get("checks") or {}, "outcome": _outcome(p)} for p in replay["periods"]]


def _outcome(period: Mapping[str, Any]) -> str:
    """What became of a decision: a key of `charts.MARKS`; empty for a wait."""
    if period.get("retrained"):
        return {True: "promoted", False: "rejected"}.get(period.get("promoted"), "retrained")  # type: ignore[arg-type]
    return period["decision"] if period["decision"] in MARKS else ""


def _sentences(replay: Mapping[str, Any], every: str) -> list[str]:
    """What the numbers say, in plain words, also when they don't flatter."""
    summary = replay["summary"]
    out = []
    if summary["retrains"]:
        promoted, rejected = summary["promotions"], summary["rejections"]
        out.append(f"The gate promoted {_count(promoted, 'challenger')} and rejected {rejected}.")
    else:
        out.append("Nothing asked for a retraining, so the platform kept its first champion.")
    static, auto, always = (summary.get(life) for life in ("static", "auto", "always"))
    if static is None or auto is None or always is None:
        return [*out, "Not every life could be measured: there were too few labels."]
    sign = 1 if replay["greater_is_better"] else -1
    gained, possible = sign * (auto - static), sign * (always - static)
    if gained == 0:
        out.append("Its predictions were exactly as good as without the platform.")
    elif gained < 0:
        out.append("On average this was worse than never retraining: look at the decisions below.")
    elif gained >= possible:
        out.append(f"On average that was at least as good as retraining every {every}.")
    else:
        out.append(f"It kept {gained / possible:.0%} of the gain of retraining every {every}.")
    return out


def _lives(replay: Mapping[str, Any], places: int, every: str) -> list[dict[str, Any]]:
    summary, count = replay["summary"], len(replay["periods"])
    always = summary.get("always_trainings")
    words = {
        "auto": ("The platform", f"{_count(summary['retrains'], 'training')} after the first champion"),
        "static": ("Never retrained", "the first champion throughout"),
        "always": (
            f"Retrained every {every}",
            f"{_count(count if always is None else always, 'training')}, no gate",
        ),
    }
    out = []
    for life in LIVES:
        value, base = summary.get(life), summary.get("static")
        known = value is not None and base is not None and life != "static"
        change = f"{value - base:+,.{places}f} against never".replace("-", "−") if known else ""
        out.append(
            {
                "key": life,
                "name": words[life][0],
                "told": words[life][1],
                "value": _number(value, places),
                "change": change,
            }
        )
    return out


def _decisions(periods: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The decisions in order; in a long replay plain waits in a row are one entry with a fold."""
    out: list[dict[str, Any]] = []
    for p in periods:
        entry = {
            "first": p["label"].partition("..")[0],
            "last": p["label"].rpartition("..")[2],
            "label": p["label"],
            "closed": f"{datetime.fromisoformat(p['end']):%Y-%m-%d}",
            "action": ACTIONS.get(p["decision"], p["decision"]),
            "rule": (p.get("rule") or "").replace("_", " "),
            "outcome": p["outcome"] or "wait",
            "verdict": p.get("verdict_reason") or "",
            "gate": p["outcome"] if p["outcome"] in ("promoted", "rejected") else "gate",
            "reason": p.get("reason") or "",
            "more": [],
        }
        same = out and not p["outcome"] and out[-1]["outcome"] == "wait" and out[-1]["rule"] == entry["rule"]
        if len(periods) > LONG and same:
            out[-1]["more"].append(entry)
            out[-1]["last"] = entry["last"]
        else:
            out.append(entry)
    return out


def _drift_windows(periods: Sequence[Mapping[str, Any]], drift: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns of the heat map: the periods, or the monitoring windows if those are others."""
    labels = [p["label"] for p in periods]
    seen = list(dict.fromkeys(row["period"] for row in drift))
    return labels if set(seen) <= set(labels) else seen


def _window_ticks(windows: Sequence[str], periods: Sequence[Mapping[str, Any]]) -> list[str]:
    if list(windows) == [p["label"] for p in periods]:
        return ticks(periods)
    starts = [window.partition("..")[0] for window in windows]
    try:
        return ticks([{"start": start if len(start) > len("2013-05") else f"{start}-01"} for start in starts])
    except ValueError:
        # A label that is no date is shown as it is.
        return starts


def _heat(windows: Sequence[str], drift: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the heat map: feature, its cells by period, the most drifted features first."""
    known: dict[str, dict[str, float]] = {}
    for row in drift:
        if row["psi"] is not None and row["psi"] == row["psi"]:
            known.setdefault(row["feature"], {})[row["period"]] = float(row["psi"])
    ranked = sorted(known, key=lambda feature: (-max(known[feature].values()), feature))
    return [
        {"feature": feature, "cells": [_heat_cell(feature, window, known[feature]) for window in windows]}
        for feature in ranked
    ]


def _heat_cell(feature: str, period: str, psi: Mapping[str, float]) -> dict[str, Any]:
    if period not in psi:
        return {"level": "none", "text": "", "title": f"{feature}, {period}: not measured"}
    value = psi[period]
    text = f"{value:.2f}" if value < 10 else f"{value:.0f}"
    level = sum(value >= step for step in HEAT_STEPS)
    return {"level": level, "text": text, "title": f"{feature}, {period}: PSI {value:.3f}"}


def _checks(periods: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, list[tuple[str, str, str]]]]:
    """A row per check: name, how often it failed, and (class, glyph, tooltip) by period."""
    names = sorted({name for p in periods for name in p["checks"]})
    glyphs = {
        True: ("held", "·", "held"),
        False: ("failed", "✕", "failed"),
        None: ("open", "?", "could not judge"),
    }
    out = []
    for name in names:
        cells = []
        for p in periods:
            kind, glyph, word = glyphs[p["checks"][name]] if name in p["checks"] else ("absent", "", "not run")
            cells.append((kind, glyph, f"{name}, {p['label']}: {word}"))
        out.append((name, sum(p["checks"].get(name) is False for p in periods), cells))
    return out


def _number_row(period: Mapping[str, Any], places: int, as_share: bool) -> list[str]:
    mean = period.get("label_mean")
    label = MISSING if mean is None else f"{mean:.1%}" if as_share else _number(mean, 2)
    counts = [MISSING if period.get(k) is None else f"{period[k]:,}" for k in ("rows", "labelled_rows")]
    lives = [_number(period.get(life), places) for life in ("static", "auto", "always")]
    return [period["label"], *counts, label, *lives, _version(period.get("champion_version"))]


def _marks_shown(periods: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """The legend: (glyph, colour, word) of the outcomes that occur."""
    glyphs = {"promoted": "▲", "rejected": "✖", "retrained": "◆", "revert": "◀", "quarantine": "■", "cannot_judge": "▼"}
    words = {
        "promoted": "retrained and promoted",
        "rejected": "retrained, the gate rejected the challenger",
        "retrained": "retrained, no verdict",
        "quarantine": "data in quarantine",
        "revert": "went back to a kept version",
        "cannot_judge": "could not be judged",
    }
    seen = {p["outcome"] for p in periods}
    return [(glyphs[name], MARKS[name][1], words[name]) for name in MARKS if name in seen]


def _best(period: Mapping[str, Any], greater_is_better: bool) -> str | None:
    values = {life: period[life] for life in LIVES if period.get(life) is not None}
    if len(set(values.values())) < 2:
        return None
    return (max if greater_is_better else min)(values, key=lambda life: values[life])


def _places(replay: Mapping[str, Any]) -> int:
    """Decimal places that tell the lives apart without noise: 3 below 10, then fewer."""
    values = [abs(p[life]) for p in replay["periods"] for life in LIVES if p.get(life) is not None]
    largest = max(values, default=0.0)
    return 3 if largest < 10 else 2 if largest < 1000 else 0


def _number(value: float | None, places: int, missing: str = MISSING) -> str:
    return missing if value is None or value != value else f"{value:,.{places}f}"


def _version(version: Any) -> str:
    return MISSING if version is None else f"v{version}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _span(periods: Sequence[Mapping[str, Any]]) -> str:
    first = datetime.fromisoformat(periods[0]["start"])
    # Periods are half-open: the last day is the one before the end.
    last = datetime.fromisoformat(periods[-1]["end"]) - timedelta(microseconds=1)
    begin = f"{first.day} {first:%B}" + ("" if first.year == last.year else f" {first.year}")
    return f"{begin} to {last.day} {last:%B %Y}, {_count(len(periods), 'period')}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pairs(value: Any) -> list[tuple[str, str]]:
    return [(str(name), MISSING if told is None else str(told)) for name, told in _mapping(value).items()]


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(text) for text in value or ()]
