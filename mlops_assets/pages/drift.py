"""The page of a comparison, of two files or of a model's window: verdict, table of all features, the worst ones drawn.

Here: profiles and statistics in, one page out that needs neither network nor script. Not here: where it is
written, Evidently's own page (`evidently_report`).
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from mlops_assets.core.drift.feature_drift import FeatureDrift
from mlops_assets.core.drift.grid import CategoryGrid, NumericGrid
from mlops_assets.core.drift.policy import DriftVerdict
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.statistics import figure, p_figure
from mlops_assets.core.stats.intervals import Array
from mlops_assets.pages.palette import DARK, FONT, LIGHT

DRAWN = 12
"""Features drawn, the worst ones."""
BARS = 40
_MAX_CATEGORIES = 8
_WIDTH, _HEIGHT = 320, 120
TAIL = 0.005
"""Share of each side that a histogram may leave out at each end; how much it does is said below it."""
WHOLE = 0.05
"""Bins narrower than this that hold a whole number hold nothing else."""
SHOWN_BEYOND = 0.01
"""Share beyond an end from which it has a bar of its own."""


def drift_page(
    *,
    names: tuple[str, str],
    profiles: tuple[Profile, Profile],
    drifts: Sequence[FeatureDrift],
    verdict: DriftVerdict,
    left_out: Mapping[str, str] = MappingProxyType({}),
    section: str = "",
    headline: str = "",
    kl: bool = False,
) -> str:
    """One self-contained HTML page; all texts are escaped.

    Args:
        names: what the reference and the current rows are called.
        profiles: of both, on one grid.
        drifts: statistics by feature, the worst first.
        verdict: on all of them.
        left_out: column -> why it wasn't compared.
        section: HTML under the verdict, its texts escaped.
        headline: the answer in a line; by default the verdict's.
        kl: whether to show Kullback-Leibler.
    """
    head = html.escape(headline or {True: "No drift", False: "Drift", None: "Cannot judge"}[verdict.passed])
    drawn = [d for d in drifts if d.kind is not None and d.n_current][:DRAWN]
    cards = "".join(_card(d, profiles, verdict) for d in drawn)
    sides = " against ".join(
        f"{profile.rows:,} rows of {html.escape(name)}"
        for name, profile in zip(reversed(names), reversed(profiles), strict=True)
    )
    rest = "; ".join(f"{name} ({why})" for name, why in left_out.items())
    note = f"<p class=intro>Left out: {html.escape(rest)}.</p>" if rest else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{head}: {html.escape(names[1])}</title>'
        f"<style>{style()}</style></head><body><p class=eyebrow>{sides}</p><h1>{head}</h1>"
        f"<p class=lead>{html.escape(verdict.reason)}</p>{note}{section}"
        "<section><h2>Features</h2><p class=intro>The worst first. Hold the pointer over a number to see its largest "
        f"error by binning.</p><div class=scroll>{_table(drifts, verdict, kl=kl)}</div></section>"
        "<section><h2>The worst, drawn</h2><p class=intro><i class=ref></i>reference <i class=cur></i>current. "
        f"Shares of the known values, by bins of equal width.</p><div class=cards>{cards}</div></section></body></html>"
    )


def _table(drifts: Sequence[FeatureDrift], verdict: DriftVerdict, *, kl: bool) -> str:
    heads = ["feature", "kind", "PSI", *(["KL"] if kl else []), "KS", "KS or χ² p", "Wasserstein, sd", "Jensen-Shannon"]
    heads += ["missing, change", "new categories", "outside the range", "verdict"]
    rows = []
    for d in drifts:
        p = d.ks_p if d.ks_p is not None else d.chi2_p
        drifted = d.feature in verdict.findings
        word = "drifted" if drifted else "stable" if d.why is None else "cannot judge"
        finding = verdict.findings.get(d.feature) or d.why or ""
        cells = [
            _cell(d.psi, d.psi_error),
            *([_cell(d.kl, d.kl_error)] if kl else []),
            _cell(d.ks, d.ks_error),
            _cell(p, formatter=p_figure),
            _cell(d.wasserstein, d.wasserstein_error),
            _cell(d.js, d.js_error),
            _cell(d.missing_change, formatter="{:.1%}".format),
            _cell(d.new_share, formatter="{:.1%}".format),
            _cell(d.outside_share, formatter="{:.1%}".format),
        ]
        rows.append(
            f'<tr class="{"bad" if drifted else ""}"><th scope=row>{html.escape(d.feature)}</th><td>{d.kind or ""}</td>'
            f'{"".join(cells)}<td title="{html.escape(finding)}">{word}</td></tr>'
        )
    top = "".join(f"<th scope=col>{html.escape(head)}</th>" for head in heads)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cell(value: float | None, error: float | None = None, *, formatter: Callable[[float], str] = figure) -> str:
    if value is None:
        return "<td></td>"
    text = html.escape(formatter(value))
    title = "" if error is None else f' title="error at most {error:.2g}"'
    return f"<td class=num{title}>{text}</td>"


# --- drawings ----------------------------------------------------------------------------------------------


def _card(drift: FeatureDrift, profiles: tuple[Profile, Profile], verdict: DriftVerdict) -> str:
    text = verdict.findings.get(drift.feature, f"{drift.feature} PSI {figure(drift.psi or 0.0)}")
    return (
        f"<figure><figcaption><b>{html.escape(drift.feature)}</b><br>"
        f"{html.escape(text.removeprefix(drift.feature + ' '))}</figcaption>{drawing(drift.feature, profiles)}</figure>"
    )


def drawing(feature: str, profiles: tuple[Profile, Profile]) -> str:
    """The distributions of a feature on both sides, as SVG; empty for a feature that cannot be judged."""
    grid = profiles[0].grid.features[feature]
    if not isinstance(grid, NumericGrid | CategoryGrid):
        return ""
    p, q = (counts / max(1, counts.sum()) for counts in (profile.counts[feature] for profile in profiles))
    return _histogram(grid, p, q) if isinstance(grid, NumericGrid) else _categories(grid, p, q)


def histogram(grid: NumericGrid, p: Array, q: Array) -> tuple[Array, Array, Array]:
    """Shares in bars of equal width, from shares on the grid.

    Args:
        grid: of the feature, m bins.
        p: reference shares, shape (m + 2,).
        q: current shares, likewise.

    Returns:
        Borders of the bars, shape (k + 1,), and the shares in them of both sides, shape (k,); what lies beyond
        the borders is missing from their sums.
    """
    ends = [np.cumsum(side)[:-1] for side in (p, q)]  # up to each edge
    first = [max(int(np.searchsorted(end, TAIL, side="right")) - 1, 0) for end in ends]
    last = [min(int(np.searchsorted(end, 1.0 - TAIL)), end.size - 1) for end in ends]
    low, high = float(grid.edges[min(first)]), float(grid.edges[max(last)])
    filled = (p[1:-1] + q[1:-1]) > 0
    borders = np.linspace(low, high, min(BARS, max(int(filled.sum()), 1)) + 1)
    if filled.sum() > BARS and (room := _around_whole_numbers(grid.edges[:-1][filled], grid.edges[1:][filled])):
        # Bars that hold as many of them each, or the drawing would have teeth.
        width = np.ceil((high - low) / BARS)
        borders = np.ceil(low) - room + width * np.arange(int(np.ceil((high - low + room) / width)) + 1)
    bars = [np.diff(np.interp(borders, grid.edges, end)) for end in ends]
    return borders, bars[0], bars[1]


def _around_whole_numbers(left: Array, right: Array) -> float:
    """How far bins reach around the whole number that each of them holds; 0 if some hold none, or more than one."""
    room = float((right - left).max())
    return room if room < WHOLE and bool((np.ceil(left) < right).all()) else 0.0


def _histogram(grid: NumericGrid, p: Array, q: Array) -> str:
    borders, ref, cur = histogram(grid, p, q)
    top = max(float(ref.max()), float(cur.max())) or 1.0
    below, above = _beyond(grid, p, q, borders)
    # What lies beyond is one more bar at that end, as high as the drawing at most: the words say how much it is.
    at_ends = [max(end) >= SHOWN_BEYOND for end in (below, above)]
    bars = (borders.size - 1) + sum(at_ends)
    x = np.linspace(0, _WIDTH, bars + 1)
    steps = []
    for side, low, high in zip((ref, cur), below, above, strict=True):
        shares = [*([low] if at_ends[0] else []), *side, *([high] if at_ends[1] else [])]
        y = _HEIGHT * (1.0 - np.minimum(np.array(shares) / top, 1.0))
        points = " ".join(f"L{a:.1f},{v:.1f}L{b:.1f},{v:.1f}" for a, b, v in zip(x[:-1], x[1:], y, strict=True))
        steps.append(f"M0,{_HEIGHT}{points}L{_WIDTH},{_HEIGHT}")
    tails = [
        f"{where} {border:.4g}: {end[0]:.1%} of the reference, {end[1]:.1%} of the current"
        for where, border, end in (("below", borders[0], below), ("above", borders[-1], above))
        if max(end) >= 0.001
    ]
    left, right = x[1] * at_ends[0], x[-1] - x[1] * at_ends[1]
    return (
        f'<svg class=chart viewBox="0 0 {_WIDTH} {_HEIGHT + 18}" role=img aria-label="Histogram of both">'
        f'<path class=ref d="{steps[0]}Z"/><path class=cur d="{steps[1]}"/>'
        f"<line x1=0 x2={_WIDTH} y1={_HEIGHT} y2={_HEIGHT} />"
        f"<text x={left:.1f} y={_HEIGHT + 15}>{borders[0]:.4g}</text>"
        f"<text x={right:.1f} y={_HEIGHT + 15} text-anchor=end>{borders[-1]:.4g}</text></svg>"
        f"<p class=small>{'; '.join(tails)}</p>"
    )


def _beyond(grid: NumericGrid, p: Array, q: Array, borders: Array) -> tuple[list[float], list[float]]:
    """Shares of reference and current below the first border, and above the last."""
    ends = [np.cumsum(side)[:-1] for side in (p, q)]
    below = [float(np.interp(borders[0], grid.edges, end)) for end in ends]
    above = [max(0.0, 1.0 - float(np.interp(borders[-1], grid.edges, end))) for end in ends]
    return below, above


def _categories(grid: CategoryGrid, p: Array, q: Array) -> str:
    order = np.argsort(-np.maximum(p[:-1], q[:-1]), kind="stable")
    shown, rest = order[:_MAX_CATEGORIES], order[_MAX_CATEGORIES:]
    rows = [(grid.categories[i], float(p[i]), float(q[i])) for i in shown]
    if rest.size:
        rows.append((f"{rest.size} others", float(p[rest].sum()), float(q[rest].sum())))
    if q[-1]:
        rows.append(("new ones", 0.0, float(q[-1])))
    top = max(max(a, b) for _, a, b in rows)
    return "".join(
        f'<div class=bar><span title="{html.escape(name)}">{html.escape(name)}</span>'
        f'<div><i class=ref style="width:{100 * a / top:.1f}%"></i><i class=cur style="width:{100 * b / top:.1f}%"></i>'
        f"</div><small>{a:.1%} → {b:.1%}</small></div>"
        for name, a, b in rows
    )


def style() -> str:
    """The look that pages of distributions share, as CSS."""
    light, dark = ("".join(f"--{role}:{colour};" for role, colour in palette.items()) for palette in (LIGHT, DARK))
    return (
        f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}@media print{{:root{{{light}}}}}"
        f"html{{background:var(--paper);color:var(--ink);font:16px/1.55 {FONT}}}"
        "body{margin:0 auto;padding:48px 32px;max-width:1104px}"
        "h1{font-size:34px;line-height:1.2;margin:6px 0 14px}h2{font-size:20px;margin:0 0 6px}section{margin-top:48px}"
        ".eyebrow,.intro,.small,small,figcaption{color:var(--muted);font-size:14px;margin:0}"
        ".lead{font-size:18px;max-width:70ch;overflow-wrap:anywhere}.intro{margin-bottom:14px}"
        ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:14px;width:100%}"
        "thead th{color:var(--muted);font-weight:500;text-align:right;vertical-align:bottom;padding:0 8px 7px}"
        "thead th:first-child,thead th:nth-child(2),thead th:last-child,tbody th{text-align:left}"
        "td,tbody th{border-top:1px solid var(--rule);padding:6px 8px;font-weight:400;white-space:nowrap}"
        ".num{text-align:right;font-variant-numeric:tabular-nums}.bad td:last-child{color:var(--bad);font-weight:600}"
        ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:36px}figure{margin:0}"
        "figcaption{margin-bottom:8px;overflow-wrap:anywhere}figcaption b{color:var(--ink)}"
        ".chart{width:100%;height:auto}"
        ".chart .ref{fill:var(--fill)}.chart .cur{fill:none;stroke:var(--auto);stroke-width:2}"
        ".chart line{stroke:var(--rule)}.chart text{font-size:12px;fill:var(--muted)}"
        ".bar{display:grid;grid-template-columns:90px 1fr 110px;gap:8px;align-items:center;font-size:13px}"
        ".bar span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.bar small{font-size:12px}"
        ".bar i{display:block;height:7px;margin:1px 0}i.ref{background:var(--fill)}i.cur{background:var(--auto)}"
        "p i{display:inline-block;width:14px;height:10px;margin-right:6px}"
    )
