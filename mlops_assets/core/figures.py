"""Plots people look at in a browser, in one house style.

Here: the house colours and plotly template, pure functions from frames to plotly figures, and figures to one
page that needs no network. Not here: where pages are kept (`resources.tracking`), pictures for Markdown
(`svg`), the replay's page (`replay.report`).
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
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
    "last": "#7a3e8e",
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
    "last": "#c58bd8",
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


def trial_figure(trials: pd.DataFrame, *, metric: str) -> Figure:
    """The score of every complete trial in the order they ran, with its parameters on hover.

    Args:
        trials: a row per trial: `trial`, `state`, `score`, `seconds`, then the parameters.
        metric: the name of the score.
    """
    import plotly.graph_objects as go

    rows = trials[trials["state"] == "complete"]
    params = list(trials.columns)[list(trials.columns).index("seconds") + 1 :]
    notes = ["<br>".join(f"{name}: {row[name]:.4g}" for name in params) for _, row in rows.iterrows()]
    marker = {"color": LIGHT["auto"], "size": 8}
    figure = go.Figure(go.Scatter(x=rows["trial"], y=rows["score"], mode="markers", hovertext=notes, marker=marker))
    return _styled(figure, title="Trials", x="trial", y=metric)


def drift_figure(rows: Sequence[tuple[str, float | None, float | None]], limit: float) -> Figure:
    """PSI as bars and the Kolmogorov-Smirnov distance as dots, by feature, the most drifted on top.

    Args:
        rows: (feature, PSI, KS distance); None where it could not be measured (KS of a category).
        limit: the PSI held against; bars over it stand out.
    """
    import plotly.graph_objects as go

    ranked = sorted(rows, key=lambda row: (-(row[1] if row[1] is not None else -1.0), row[0]))
    names, psi, ks = [r[0] for r in ranked], [r[1] for r in ranked], [r[2] for r in ranked]
    over = [value is not None and value > limit for value in psi]
    colours = [LIGHT["bad"] if beyond else LIGHT["fill"] for beyond in over]
    hover = "%{y}<br>PSI %{x:.3f}<extra></extra>"
    figure = go.Figure(go.Bar(x=psi, y=names, orientation="h", marker_color=colours, hovertemplate=hover))
    marker = {"color": LIGHT["ink"], "size": 7}
    hover = "%{y}<br>KS %{x:.3f}<extra></extra>"
    figure.add_scatter(x=ks, y=names, xaxis="x2", mode="markers", marker=marker, hovertemplate=hover)
    title = f"Drift: {sum(over)} of {len(ranked)} features above PSI {limit:g}"
    _bars(_styled(figure, title=title, x="PSI", y=""), len(ranked))
    figure.update_layout(
        xaxis={"domain": [0, 0.62], "rangemode": "tozero"},
        xaxis2={"domain": [0.68, 1], "title": "KS distance", "range": [0, 1], "anchor": "y"},
    )
    line = {"color": LIGHT["ink"], "width": 1, "dash": "dot"}
    figure.add_shape(type="line", xref="x", yref="y domain", x0=limit, x1=limit, y0=0, y1=1, line=line)
    return figure


def performance_figure(
    windows: Sequence[str],
    values: Sequence[float | None],
    lower: Sequence[float | None],
    upper: Sequence[float | None],
    baseline: float | None,
    metric: str,
) -> Figure:
    """The metric by window with its interval, against the value the champion had when it was chosen.

    Args:
        windows: labels, in order of time.
        values: the metric by window; None breaks the line (no labels yet).
        lower: lower bounds of the interval, as long as `windows`.
        upper: upper bounds.
        baseline: the value to hold against; None draws no line.
        metric: the metric's name.

    Raises:
        ValueError: the sequences differ in length.
    """
    import plotly.graph_objects as go

    if len({len(windows), len(values), len(lower), len(upper)}) > 1:
        counts = f"{len(windows)} windows, {len(values)} values, {len(lower)} lower, {len(upper)} upper bounds"
        msg = f"{counts}: pass one of each per window, None where it is not known"
        raise ValueError(msg)
    labels = list(windows)
    figure = go.Figure()
    known = [
        v is not None and lo is not None and up is not None for v, lo, up in zip(values, lower, upper, strict=True)
    ]
    above = [up - v if ok else None for v, up, ok in zip(values, upper, known, strict=True)]  # type: ignore[operator]
    below = [v - lo if ok else None for v, lo, ok in zip(values, lower, known, strict=True)]  # type: ignore[operator]
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
    figure.add_scatter(
        x=labels,
        y=list(values),
        mode="lines+markers",
        connectgaps=False,
        line={"color": LIGHT["auto"], "width": 2},
        marker={"size": 8},
        error_y={**bars, "color": LIGHT["faint"], "thickness": 1.5, "width": 4},
        hovertemplate="%{x}<br>" + metric + " %{y:.4f}<extra></extra>",
        name=metric,
    )
    if baseline is not None:
        line = {"color": LIGHT["muted"], "width": 1, "dash": "dash"}
        figure.add_hline(y=baseline, line=line, annotation_text=f"when chosen: {baseline:.4g}")
    figure.update_xaxes(type="category")
    return _styled(figure, title=f"{metric} by window", x="", y=metric)


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
