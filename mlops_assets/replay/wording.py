"""What a replay's page and its table say in words and numbers.

Here: sentences, numbers, spans, and what became of a period. Not here: where they stand (`report`, `console`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlops_assets.core.plain import counted, metric_name
from mlops_assets.replay.charts import MARKS

LIVES = ("auto", "static", "always")
MISSING = "–"
ACTIONS = {
    "retrain": "retrain",
    "wait": "wait",
    "revert": "went back",
    "propose_retrain": "proposed to retrain",
    "propose_revert": "proposed to go back",
    "quarantine": "quarantine",
    "cannot_judge": "cannot judge",
}


def headline(replay: Mapping[str, Any]) -> str:
    """The replay in one sentence: trainings and the mean of the three lives."""
    means = means_told(replay)
    return f"{trainings_told(replay)}; {means[0].lower()}{means[1:]}"


def with_outcomes(replay: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The periods of a replay, each with its checks and what became of it (`outcome`).

    Raises:
        ValueError: there are none.
    """
    if not replay["periods"]:
        msg = "the replay has no periods: choose --start and --end so that at least one period has closed"
        raise ValueError(msg)
    return [{**p, "checks": p.get("checks") or {}, "outcome": _outcome(p)} for p in replay["periods"]]


def _outcome(period: Mapping[str, Any]) -> str:
    """What became of a decision: a key of `charts.MARKS`; empty for a wait."""
    if period.get("retrained"):
        return {True: "promoted", False: "rejected"}.get(period.get("promoted"), "retrained")  # type: ignore[arg-type]
    return period["decision"] if period["decision"] in MARKS else ""


def trainings_told(replay: Mapping[str, Any]) -> str:
    """How often was trained, beside a fixed plan."""
    summary = replay["summary"]
    always = summary.get("always_trainings")
    if always is None:
        return f"Retrained {times_told(summary['retrains'])}" if summary["retrains"] else "No retraining"
    if not summary["retrains"]:
        return f"Not retrained, where a fixed plan would have {times_told(always)}"
    return f"Retrained {times_told(summary['retrains'])} instead of {times_told(always).removesuffix(' times')}"


def means_told(replay: Mapping[str, Any]) -> str:
    """The mean of the three lives."""
    places = decimals(replay)
    means = {life: number_told(replay["summary"].get(life), places, "not known") for life in LIVES}
    metric = metric_name(replay["metric"])
    return f"Mean {metric} {means['auto']}, never retrained {means['static']}, always {means['always']}."


def best_life(period: Mapping[str, Any], greater_is_better: bool) -> str | None:
    """The life that was best in a period; None where all are equal or unknown."""
    values = {life: period[life] for life in LIVES if period.get(life) is not None}
    if len(set(values.values())) < 2:
        return None
    return (max if greater_is_better else min)(values, key=lambda life: values[life])


def decimals(replay: Mapping[str, Any]) -> int:
    """Decimal places that tell the lives apart without noise: 3 below 10, then fewer."""
    values = [abs(p[life]) for p in replay["periods"] for life in LIVES if p.get(life) is not None]
    largest = max(values, default=0.0)
    return 3 if largest < 10 else 2 if largest < 1000 else 0


def number_told(value: float | None, places: int, missing: str = MISSING) -> str:
    """A number with so many decimals."""
    return missing if value is None or value != value else f"{value:,.{places}f}"


def version_told(version: Any) -> str:
    """`v3`."""
    return MISSING if version is None else f"v{version}"


def times_told(number: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def span_told(periods: Sequence[Mapping[str, Any]]) -> str:
    """The days of a replay, and how many periods they are."""
    first = datetime.fromisoformat(periods[0]["start"])
    # Periods are half-open: the last day is the one before the end.
    last = datetime.fromisoformat(periods[-1]["end"]) - timedelta(microseconds=1)
    begin = f"{first.day} {first:%B}" + ("" if first.year == last.year else f" {first.year}")
    return f"{begin} to {last.day} {last:%B %Y}, {counted(len(periods), 'period')}"


def duration_told(seconds: float | None) -> str:
    """Minutes and seconds."""
    if seconds is None:
        return ""
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{seconds:.1f} s"
