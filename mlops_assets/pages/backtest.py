"""The page of `mlops backtest`: the recommendation, the frontier, every policy's windows, one table.

Here: a backtest in, one page out that needs neither network nor script. Not here: the layout (`templates/`), the
comparison (`backtest`), where the page is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_assets.core.simulate.backtest import Backtest, Tried
from mlops_assets.pages.palette import DARK, FONT, LIGHT
from mlops_assets.pages.rendering import template
from mlops_assets.pages.svg import blank, inline, place, svg_text, with_gaps, without_formulas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 504
"""Of one frontier; two stand side by side."""
_HEIGHT = 300
LINE = 15
"""Pixels between two names."""
LINES_HEIGHT = 320


def backtest_page(backtest: Backtest, *, model: str, notes: Sequence[str]) -> str:
    """One self-contained HTML page; all texts are escaped.

    Args:
        backtest: the present policy first.
        model: its name.
        notes: sentences on what it was made from.
    """
    charts = [frontier_chart(backtest, x=x, y="metric") for x in ("trainings", "seconds")]
    if any(policy.money is not None for policy in backtest.tried):
        charts += [frontier_chart(backtest, x=x, y="money") for x in ("trainings", "seconds")]
    page: str = template("backtest.html.j2").render(
        found=backtest,
        model=model,
        told=notes,
        charts=charts,
        lines=lines_chart(backtest),
        light=LIGHT,
        dark=DARK,
        font=FONT,
    )
    return page


def frontier_chart(backtest: Backtest, *, x: str, y: str) -> str:
    """What policies cost against what they are worth: one point each, those on the frontier filled.

    Args:
        backtest: the backtest.
        x: `trainings` or `seconds`.
        y: `metric` or `money`.
    """
    figure = blank(_WIDTH, _HEIGHT)
    axes = place(figure, left=60, right=10, top=30, bottom=48)
    points: dict[tuple[float, float], list[Tried]] = {}
    for policy in backtest.tried:
        if getattr(policy, y) is not None:
            points.setdefault((getattr(policy, x), getattr(policy, y)), []).append(policy)
    for (at, value), them in points.items():
        role = _role(them, backtest)
        filled = LIGHT[role] if any(policy.on_frontier for policy in them) else LIGHT["paper"]
        axes.plot(at, value, marker="o", markersize=8, color=filled, markeredgecolor=LIGHT[role], linestyle="none",
                  zorder=3, clip_on=False)  # fmt: skip
    most, values = max(at for at, _ in points), [value for _, value in points]
    room = (max(values) - min(values)) / 8 or abs(values[0]) / 20 or 1.0
    axes.set_xlim(-0.03 * (most or 1.0), 1.03 * (most or 1.0))
    axes.set_ylim(min(values) - room, max(values) + room)
    _names(axes, points, backtest)
    axes.set_xlabel("trainings" if x == "trainings" else "CPU seconds of fits", color=LIGHT["muted"], size=12)
    head = backtest.metric if y == "metric" else "money per row"
    figure.text(0, 1 - 14 / _HEIGHT, without_formulas(head), size=12, color=LIGHT["muted"])
    description = f"{head} by {'trainings' if x == 'trainings' else 'CPU seconds'} of each policy"
    return inline(svg_text(figure, salt=f"{x}-{y}"), description, [])


def _role(them: Sequence[Tried], backtest: Backtest) -> str:
    names = {policy.name for policy in them}
    if backtest.tried[0].name in names:
        return "auto"
    return "always" if backtest.recommendation.name in names else "static"


def _names(axes: Axes, points: dict[tuple[float, float], list[Tried]], backtest: Backtest) -> None:
    """The names of a point's policies on the side of it that has more room, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    middle = sum(axes.get_xlim()) / 2
    pixels = axes.get_position().height * _HEIGHT
    below = -1e9
    for (at, value), them in sorted(points.items(), key=lambda item: item[0][1]):
        wanted = (value - low) / (high - low) * pixels
        below = max(wanted, below + LINE)
        role = _role(them, backtest)
        right = at < middle
        axes.annotate(
            without_formulas(", ".join(p.name for p in them)), (at, value), (10 if right else -10, below - wanted),
            textcoords="offset points", va="center", ha="left" if right else "right", size=11,
            color=LIGHT["muted" if role == "static" else role], annotation_clip=False,
            weight="bold" if role == "auto" else "normal",
        )  # fmt: skip


def lines_chart(backtest: Backtest) -> str:
    """The metric by window: the present policy and the recommended one on top, the others faint."""
    figure = blank(2 * _WIDTH, LINES_HEIGHT)
    axes = place(figure, left=60, right=150, top=30, bottom=34)
    at = range(len(backtest.windows))
    below, ends = -1e9, []
    for policy in reversed(backtest.tried):
        role = _role([policy], backtest)
        faint = role == "static" and policy.name != "never"
        axes.plot(
            at, with_gaps(policy.by_window), color=LIGHT["fill" if faint else role], linewidth=1.2 if faint else 2.4,
            linestyle=(0, (5, 3)) if policy.name == "never" else "-", zorder=2 if faint else 3,
        )  # fmt: skip
        known = [value for value in policy.by_window if value is not None]
        if not faint and known:
            ends.append((known[-1], policy.name, role))
    low, high = axes.get_ylim()
    pixels = axes.get_position().height * LINES_HEIGHT
    for value, name, role in sorted(ends):
        below = max((value - low) / (high - low) * pixels, below + LINE)
        axes.annotate(
            without_formulas(name), (1, below / pixels), (8, 0), xycoords="axes fraction", textcoords="offset points",
            va="center", size=12, color=LIGHT[role], annotation_clip=False,
        )  # fmt: skip
    step = -(-len(backtest.windows) // 8)
    axes.set_xticks(list(at)[::step], [window.partition("..")[0] for window in backtest.windows[::step]], size=12)
    figure.text(0, 1 - 14 / LINES_HEIGHT, without_formulas(backtest.metric), size=12, color=LIGHT["muted"])
    return inline(svg_text(figure, salt="windows"), f"{backtest.metric} by window of each policy", [])
