"""What is drawn of a training: how each trial did, and what the model looks at.

Here: the two pictures, as SVG. Not here: where they are kept (`world.mlflow.tracking`), pictures for Markdown (`svg`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from mlops_assets.pages.palette import LIGHT
from mlops_assets.pages.svg import WIDTH, bars, blank, place, svg_text, write_title

_TOP_FEATURES = 20
_MAXIMISED = ("auc", "aucpr", "pre", "map", "ndcg")
"""XGBoost metrics of which more is better (`xgboost.callback.EarlyStopping`)."""


def validation_curve(
    curve: pd.DataFrame, metric_name: str, *, best_trial: int | None = None, rounds: int | None = None
) -> str:
    """The validation metric by boosting round: every trial thin, the best one bold.

    Args:
        curve: a row per trial and round: `trial`, `round` (from 1), `value`.
        metric_name: XGBoost's name of the metric; says which way is better if `best_trial` is not given.
        best_trial: the trial to show bold; by default the one with the best value in any round.
        rounds: the number of rounds that ship, marked by a line; by default the best trial's best round.
    """
    figure = blank(WIDTH, 300)
    if curve.empty:
        write_title(figure, "No trial has finished")
        return svg_text(figure)
    axes = place(figure, left=64, right=24, top=38, bottom=44)
    curve = curve.reset_index(drop=True)
    peak = "idxmax" if metric_name.partition("@")[0] in _MAXIMISED else "idxmin"
    if best_trial is None:
        best_trial = int(curve.loc[getattr(curve["value"], peak)(), "trial"])
    for trial, rows in curve.groupby("trial"):
        if trial != best_trial:
            axes.plot(rows["round"], rows["value"], color=LIGHT["fill"], linewidth=1)
    best = curve[curve["trial"] == best_trial]
    axes.plot(best["round"], best["value"], color=LIGHT["auto"], linewidth=3)
    if rounds is None:
        rounds = int(best.loc[getattr(best["value"], peak)(), "round"])
    axes.axvline(rounds, color=LIGHT["muted"], linewidth=1, linestyle=(0, (2, 2)))
    axes.annotate(
        f"{rounds} rounds", (rounds, 0.0), (4, 6), xycoords=("data", "axes fraction"), textcoords="offset points",
        size=11, color=LIGHT["muted"],
    )  # fmt: skip
    axes.set_xlabel("boosting round", color=LIGHT["muted"], size=11)
    trials = curve["trial"].nunique()
    write_title(figure, f"{metric_name} on the validation rows: trial {best_trial} of {trials} in bold")
    return svg_text(figure)


def feature_importance(shares: Mapping[str, float], top: int = _TOP_FEATURES) -> str:
    """Share of the total gain by feature, the largest on top; what is left is summed up in one bar.

    Args:
        shares: feature -> share of the total, 0 to 1.
        top: number of features with a bar of their own.
    """
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    if rest := ranked[top:]:
        ranked = [*ranked[:top], (f"{len(rest)} others", math.fsum(share for _, share in rest))]
    return bars(ranked, limit=None, title="Importance: share of the total gain")
