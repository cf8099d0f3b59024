"""Plots people look at in a browser, in one house style.

Here: the house colours and plotly template, pure functions from frames to plotly figures, and figures to one
page that needs no network. Not here: where pages are kept (`world.mlflow.tracking`), pictures for Markdown
(`svg`), the replay's page (`rendering.replay`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = (
    '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, system-ui, sans-serif'
)
"""What the reader's machine has; nothing is fetched."""

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "ink": "#1b1f24",
    "muted": "#5b6570",
    "faint": "#8a939d",
    "rule": "#e3e6ea",
    "auto": "#0b62b8",
    "always": "#8a5a00",
    "newest": "#7a3e8e",
    "static": "#747c85",
    "bad": "#b3261e",
    "fill": "#c9d9ea",
}
"""House colours on white. The lives differ in lightness, width and dash too, not in hue alone."""

DARK: Mapping[str, str] = {
    "paper": "#14171a",
    "ink": "#e6e9ec",
    "muted": "#a3acb5",
    "faint": "#79828c",
    "rule": "#2b3036",
    "auto": "#6cb2ff",
    "always": "#e0a83c",
    "newest": "#c58bd8",
    "static": "#9aa3ad",
    "bad": "#ff8a80",
    "fill": "#2c4460",
}
"""The same roles on near black."""

PSI_LEVELS = (0.1, 0.2)
"""The field's customary readings of the population stability index: below 0.1 little, above 0.2 much."""

TOP_FEATURES = 20
_MAXIMISED = ("auc", "aucpr", "pre", "map", "ndcg")
"""XGBoost metrics of which more is better (`xgboost.callback.EarlyStopping`)."""


def validation_figure(
    curve: pd.DataFrame, metric_name: str, *, best_trial: int | None = None, rounds: int | None = None
) -> Figure:
    """The validation metric by boosting round: every trial thin, the best one bold.

    Args:
        curve: a row per trial and round: `trial`, `round` (from 1), `value`.
        metric_name: XGBoost's name of the metric; says which way is better if `best_trial` is not given.
        best_trial: the trial to show bold; by default the one with the best value in any round.
        rounds: the number of rounds that ship, marked by a line; by default the best trial's best round.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    if curve.empty:
        return _styled(figure, title="No trial has finished", x="boosting round", y=metric_name)
    curve = curve.reset_index(drop=True)
    peak = "idxmax" if metric_name.partition("@")[0] in _MAXIMISED else "idxmin"
    if best_trial is None:
        best_trial = int(curve.loc[getattr(curve["value"], peak)(), "trial"])
    for trial, rows in curve.groupby("trial"):
        if trial != best_trial:
            line = {"color": LIGHT["fill"], "width": 1}
            figure.add_scatter(x=rows["round"], y=rows["value"], mode="lines", line=line, name=f"trial {trial}")
    best = curve[curve["trial"] == best_trial]
    line = {"color": LIGHT["auto"], "width": 3}
    figure.add_scatter(x=best["round"], y=best["value"], mode="lines", line=line, name=f"trial {best_trial} (best)")
    if rounds is None:
        rounds = int(best.loc[getattr(best["value"], peak)(), "round"])
    figure.add_vline(
        x=rounds,
        line={"color": LIGHT["muted"], "width": 1, "dash": "dot"},
        annotation_text=f"{rounds} rounds",
    )
    title = f"{metric_name} on the validation rows: trial {best_trial} of {curve['trial'].nunique()}"
    return _styled(figure, title=title, x="boosting round", y=metric_name)


def importance_figure(shares: Mapping[str, float], top: int = TOP_FEATURES) -> Figure:
    """Share of the total gain by feature, the largest on top; what is left is summed up in one bar.

    Args:
        shares: feature -> share of the total, 0 to 1.
        top: number of features with a bar of their own.
    """
    import plotly.graph_objects as go

    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    bars, rest = ranked[:top], ranked[top:]
    if rest:
        bars = [*bars, (f"{len(rest)} others", math.fsum(share for _, share in rest))]
    names, values = [name for name, _ in bars], [share for _, share in bars]
    colours = [LIGHT["auto"]] * len(ranked[:top]) + [LIGHT["fill"]] * bool(rest)
    figure = go.Figure(
        go.Bar(
            x=values,
            y=names,
            orientation="h",
            marker_color=colours,
            text=[f"{share:.1%}" for share in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.2%}<extra></extra>",
        )
    )
    figure.update_xaxes(tickformat=".0%")
    return _bars(_styled(figure, title="Feature importance", x="share of the total gain", y=""), len(bars))


def page(figures: Mapping[str, Figure], *, title: str = "Training") -> str:
    """One self-contained page: figures under their headings, plotly's script once (4.5 MB), no network."""
    parts = []
    for position, (heading, figure) in enumerate(figures.items()):
        head = f"<h2>{html.escape(heading)}</h2>" if heading else ""
        parts.append(
            head
            + figure.to_html(
                full_html=False, include_plotlyjs=position == 0, div_id=f"figure-{position}", config=_CONFIG
            )
        )
    style = f"body{{font-family:{FONT};color:{LIGHT['ink']};background:#fff;max-width:1100px;margin:2em auto}}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{style}</style></head><body>{''.join(parts)}</body></html>"
    )


_CONFIG = {"displaylogo": False, "responsive": True}


def house_template() -> Any:
    """The look of every plotly figure: white paper, hairlines, the reader's own font."""
    import plotly.graph_objects as go

    axis = {
        "gridcolor": LIGHT["rule"],
        "linecolor": LIGHT["rule"],
        "zerolinecolor": LIGHT["rule"],
        "tickfont": {"color": LIGHT["muted"]},
        "title": {"font": {"color": LIGHT["muted"], "size": 13}},
        "automargin": True,
        "ticklabelstandoff": 5,
    }
    return go.layout.Template(
        layout={
            "font": {"family": FONT, "size": 13, "color": LIGHT["ink"]},
            "title": {"font": {"size": 17}, "x": 0, "xref": "paper", "xanchor": "left"},
            "paper_bgcolor": LIGHT["paper"],
            "plot_bgcolor": LIGHT["paper"],
            "colorway": [LIGHT[role] for role in ("auto", "always", "static", "bad", "muted")],
            "margin": {"l": 10, "r": 40, "t": 56, "b": 40},
            "showlegend": False,
            "hoverlabel": {"font": {"family": FONT}},
            "xaxis": axis,
            "yaxis": axis,
        }
    )


def _styled(figure: Figure, *, title: str, x: str, y: str) -> Figure:
    figure.update_layout(template=house_template(), title_text=title, xaxis_title=x, yaxis_title=y)
    return figure


def _bars(figure: Figure, count: int) -> Figure:
    """Room for `count` horizontal bars, the first on top."""
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(height=130 + 22 * count, bargap=0.35)
    return figure
