"""The tables of a replay's page: drift by feature and checks, with a column for each period; the members of a fleet.

Here: their rows. Not here: the page (`replay`), its charts (`replay_charts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlops_assets.pages.palette import PSI_LEVELS
from mlops_assets.pages.replay_charts import ticks
from mlops_assets.pages.replay_wording import NO_FIGURE, decimals, number_told

HEAT_STEPS = (0.05, *PSI_LEVELS, 0.5, 1.0)
"""Borders of the heat map's colours; the hue begins at 0.1, the customary first level of the PSI."""


def drift_windows(periods: Sequence[Mapping[str, Any]], drift: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns of the heat map: the periods, or the monitoring windows if those are others."""
    labels = [p["label"] for p in periods]
    seen = list(dict.fromkeys(row["period"] for row in drift))
    return labels if set(seen) <= set(labels) else seen


def window_ticks(windows: Sequence[str], periods: Sequence[Mapping[str, Any]]) -> list[str]:
    """What stands over the columns of the heat map."""
    if list(windows) == [p["label"] for p in periods]:
        return ticks(periods)
    starts = [window.partition("..")[0] for window in windows]
    try:
        return ticks([{"start": start if len(start) > len("2013-05") else f"{start}-01"} for start in starts])
    except ValueError:
        # A label that is no date is shown as it is.
        return starts


def heat_rows(windows: Sequence[str], drift: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
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


def check_rows(periods: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, list[tuple[str, str, str]]]]:
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


MEMBER_HEADS = ("member", "labelled rows", "answered by", "trained", "own", "pool")
_STATES = {"pool": "the pool", "pooled": "the pool, watched by itself"}


def member_rows(replay: Mapping[str, Any]) -> list[list[str]]:
    """A row of cells for each member of a fleet, in the order of `MEMBER_HEADS`; none without members."""
    places = decimals(replay)
    return [
        [
            str(each["value"]),
            f"{each['rows']:,}",
            _STATES.get(each["state"], f"its own since {each['left']}"),
            f"{each['trainings']}, {each['promotions']} promoted" if each["trainings"] else NO_FIGURE,
            number_told(each["own"], places),
            number_told(each["pool"], places),
        ]
        for each in replay.get("members") or ()
    ]
