"""Replays as values, for the page: nine months that look like the flights, and weeks of a regression."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

CHECKS = ("inputs_match_reference", "performance_holds", "predictions_match_reference")


def monthly() -> dict[str, Any]:
    """April to December 2013; numbers near those measured on the real flights."""
    static = [0.672, 0.668, 0.661, 0.664, 0.655, 0.641, 0.652, 0.651, 0.629]
    auto = [0.672, 0.711, 0.708, 0.719, 0.713, 0.676, 0.698, 0.681, 0.694]
    always = [0.672, 0.711, 0.715, 0.722, 0.716, 0.689, 0.694, 0.668, 0.703]
    rates = [0.236, 0.214, 0.285, 0.277, 0.208, 0.130, 0.175, 0.181, 0.331]
    did = ["promoted", "", "promoted", "", "", "rejected", "", "promoted", ""]
    periods, version = [], 1
    for i, outcome in enumerate(did):
        start, end = date(2013, 4 + i, 1), date(2013 + (i == 8), (4 + i) % 12 + 1, 1)
        rows = 27000 + 311 * i
        gain = (auto[i] - static[i]) or 0.031
        verdict = (
            f"{outcome}: roc_auc {static[i] + gain:.4f} against {static[i]:.4f} of the champion: "
            f"gain {gain:+.4f} (95% interval {gain - 0.018:+.4f} to {gain + 0.018:+.4f}, {rows:,} rows on "
            "30 days); needed a lower bound above 0; none of 19 slices is worse by more than 2% with "
            "confidence; lowest carrier=HA (-0.8%)"
        )
        failed = outcome or i == 4
        periods.append(
            {
                "start": start.isoformat(),
                "end": end.isoformat(),
                "label": f"{start:%Y-%m}",
                "rows": rows,
                "labelled_rows": round(rows * 0.974),
                "label_mean": rates[i],
                "static": static[i],
                "auto": auto[i],
                "always": always[i],
                "checks": {CHECKS[0]: i not in (1, 6), CHECKS[1]: not failed, CHECKS[2]: i != 3 or None},
                "decision": "retrain" if outcome else "wait",
                "rule": "performance" if outcome else "cooldown" if i == 4 else "nothing",
                "reason": (
                    f"performance_holds failed in window {start:%Y-%m} (1 in a row needed): roc_auc "
                    f"{static[i]:.4f} is {0.05 + i / 200:.1%} below 0.7200 of the reference, limit 5.0%. "
                    f"{rows:,} new labels are known."
                    if outcome
                    else f"All 3 checks that could judge passed, up to window {start:%Y-%m}. "
                    "The champion is 30 days old, 180 days at most."
                ),
                "retrained": bool(outcome),
                "promoted": outcome == "promoted" if outcome else None,
                "champion_version": str(version),
                "verdict_reason": verdict if outcome else None,
            }
        )
        version += outcome == "promoted"
    return _replay(periods, metric="roc_auc", task="binary", greater=True, model="flight_delay")


def weekly(weeks: int = 52) -> dict[str, Any]:
    """A regression judged by a loss, week by week; the last period has no labels yet."""
    rng = np.random.default_rng(7)
    periods, version, base = [], 1, 14 + 4 * np.sin(np.arange(weeks) / 7) + rng.normal(0, 0.8, weeks)
    for i in range(weeks):
        start = date(2013, 1, 7) + timedelta(weeks=i)
        outcome = {9: "promoted", 20: "rejected", 33: "promoted"}.get(i, "")
        blind, bad = i == weeks - 1, i == 27
        periods.append(
            {
                "start": start.isoformat(),
                "end": (start + timedelta(weeks=1)).isoformat(),
                "label": f"{start}..{start + timedelta(days=6)}",
                "rows": 6100 + 90 * (i % 9),
                "labelled_rows": 0 if blind else 6000,
                "label_mean": None if blind else float(6 + 5 * np.sin(i / 6)),
                "static": None if blind else float(base[i] + 0.09 * i),
                "auto": None if blind else float(base[i] + 0.02 * i),
                "always": None if blind else float(base[i] + 0.015 * i),
                "checks": {CHECKS[0]: i % 11 != 3, CHECKS[1]: None if blind else not outcome},
                "decision": "retrain" if outcome else "quarantine" if bad else "cannot_judge" if blind else "wait",
                "rule": "performance" if outcome else "data" if bad else "cannot_judge" if blind else "nothing",
                "reason": f"Sentence of week {i}.",
                "retrained": bool(outcome),
                "promoted": outcome == "promoted" if outcome else None,
                "champion_version": str(version),
                "verdict_reason": f"{outcome}: gain of week {i}" if outcome else None,
            }
        )
        version += outcome == "promoted"
    return _replay(periods, metric="rmse", task="regression", greater=False, model="arrival_delay")


def details(replay: dict[str, Any], features: int = 45) -> dict[str, Any]:
    """Drift of so many features, a few of them seasonal, with versions, settings and notes."""
    rng = np.random.default_rng(1)
    names = ["origin_temperature_f", "origin_dew_point_f", "carrier_late_rate_28d", "route_mean_delay_7d"]
    names += [f"{part}_{i}" for part in ("plane_age", "schedule", "history") for i in range(20)]
    every = "month" if len(replay["periods"]) < 13 else "week"
    season = np.abs(np.sin(np.linspace(0.3, 3.0, len(replay["periods"]))))
    scale = [2.4, 1.6, 0.5, 0.3] + [0.22 * 0.9**i for i in range(60)]
    drift = [
        {
            "period": p["label"],
            "feature": names[f],
            "psi": float(scale[f] * season[k] * rng.uniform(0.6, 1.2)),
        }
        for f in range(features)
        for k, p in enumerate(replay["periods"])
    ]
    return {
        "drift": drift,
        "versions": {"dagster": "1.13.27", "xgboost": "3.2.0", "mlops-assets": "0.1.0"},
        "settings": {"start": "2013-04-01", "end": "2014-01-01", "every": every, "trials": 5, "seed": 7},
        "notes": ["Five trials per training instead of twenty, to keep the demonstration short."],
    }


def _replay(periods: list[dict[str, Any]], *, metric: str, task: str, greater: bool, model: str) -> dict[str, Any]:
    means = {
        life: float(np.mean([p[life] for p in periods if p[life] is not None])) for life in ("static", "auto", "always")
    }
    return {
        "model": model,
        "metric": metric,
        "task": task,
        "greater_is_better": greater,
        "periods": periods,
        "summary": {
            **means,
            "retrains": sum(p["retrained"] for p in periods),
            "promotions": sum(p["promoted"] is True for p in periods),
            "rejections": sum(p["promoted"] is False for p in periods),
            "seconds": 251.4,
            "always_trainings": len(periods),
        },
    }
