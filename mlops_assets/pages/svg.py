"""Small static pictures: matplotlib figures as SVG text, and bars and lines as Markdown images.

Here: what needs no script to be seen (the Markdown on a materialization, the replay's page). matplotlib's
object API is used, never pyplot, so nothing global is left behind; the same input gives the same bytes. Not
here: what is drawn of a training (`figures`), the colours (`palette`).
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING

from mlops_assets.pages.palette import FONT, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 640
"""Width of a Markdown image in CSS pixels: what Dagster's side panel shows without scaling."""

_POINTS_PER_INCH = 72
_RENDERING = Lock()
"""matplotlib reads the settings of its SVG writer from one global dictionary."""


def markdown_bars(rows: Sequence[tuple[str, float | None]], *, limit: float | None, title: str) -> str:
    """Horizontal bars as a Markdown image; the title is its alternative text. See `bars`."""
    return markdown_image(bars(rows, limit=limit, title=title), title)


def bars(rows: Sequence[tuple[str, float | None]], *, limit: float | None, title: str) -> str:
    """Horizontal bars as SVG, in the order given, the first on top.

    Args:
        rows: (name, value); None is written as n/a and has no bar.
        limit: drawn as a dotted line; bars over it stand out. None for no limit.
        title: above the bars.
    """
    height = 48 + 22 * max(len(rows), 1)
    figure = blank(WIDTH, height)
    axes = place(figure, left=190, right=56, top=34, bottom=8)
    for position, (_, value) in enumerate(rows):
        over = value is not None and limit is not None and value > limit
        axes.barh(position, value or 0.0, height=0.62, color=LIGHT["bad" if over else "auto"])
        label = "n/a" if value is None else f"{value:.3g}"
        # A negative number stands right of the zero line: left of its bar are the names.
        axes.annotate(
            label, (max(value or 0.0, 0.0), position), (5, 0), textcoords="offset points", va="center", size=11,
            color=LIGHT["ink"], bbox={"facecolor": LIGHT["paper"], "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
    if limit is not None:
        axes.axvline(limit, color=LIGHT["ink"], linewidth=1, linestyle=(0, (2, 2)))
    known = [value for _, value in rows if value is not None]
    if min(known, default=0.0) < 0.0:
        axes.axvline(0.0, color=LIGHT["rule"], linewidth=1)
    axes.set_xlim(min([0.0, *known]), max([*known, (limit or 0.0) * 1.1, 0.0]) or 1.0)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [_short(name, 27) for name, _ in rows], size=11)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    write_title(figure, title if limit is None else f"{title} (limit {limit:g})")
    return svg_text(figure)


def markdown_intervals(rows: Sequence[tuple[str, float, float, float]], *, title: str) -> str:
    """Values with their intervals and the zero line as a Markdown image, in the order given, the first on top.

    Args:
        rows: (name, value, lower, upper); what is wholly below zero stands out.
        title: above them, and the image's alternative text.
    """
    figure = blank(WIDTH, 62 + 26 * max(len(rows), 1))
    axes = place(figure, left=190, right=24, top=34, bottom=26)
    for position, (_, value, lower, upper) in enumerate(rows):
        colour = LIGHT["bad" if upper < 0.0 else "auto"]
        axes.plot([lower, upper], [position, position], color=LIGHT["fill"], linewidth=6, solid_capstyle="butt")
        axes.plot([value], [position], color=colour, marker="o", markersize=6)
    axes.axvline(0.0, color=LIGHT["ink"], linewidth=1, linestyle=(0, (2, 2)))
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), [_short(name, 27) for name, *_ in rows], size=11)
    axes.grid(visible=False)
    write_title(figure, title)
    return markdown_image(svg_text(figure), title)


def markdown_lines(
    labels: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    title: str,
    limits: Sequence[float | None] | None = None,
    bounds: tuple[Sequence[float | None], Sequence[float | None]] | None = None,
) -> str:
    """One line per series over the same labels, as a Markdown image.

    Args:
        labels: the horizontal axis, in order.
        series: name -> values, one per label; None breaks the line.
        title: above the lines, and the image's alternative text.
        limits: of the first series, one per label, drawn dotted.
        bounds: lower and upper bound of the first series, drawn as an area.

    Raises:
        ValueError: a series is not as long as the labels.
    """
    for name, values in series.items():
        if len(values) != len(labels):
            msg = f"series {name!r} has {len(values)} values for {len(labels)} labels: pass one per label"
            raise ValueError(msg)
    figure = blank(WIDTH, 240)
    axes = place(figure, left=56, right=110, top=38, bottom=30)
    at = range(len(labels))
    if bounds is not None:
        low, high = (with_gaps(side) for side in bounds)
        axes.fill_between(at, low, high, color=LIGHT["fill"], linewidth=0)
    for (name, values), role in zip(series.items(), ("auto", "always", "static", "bad", "muted"), strict=False):
        axes.plot(at, with_gaps(values), color=LIGHT[role], linewidth=2, marker="o", markersize=4)
        last = max((i for i, v in enumerate(values) if v is not None), default=None)
        if last is not None:
            axes.annotate(
                _short(name, 16), (last, values[last]), (8, 0), textcoords="offset points", va="center",
                size=11, color=LIGHT[role],
            )  # fmt: skip
    if limits is not None:
        axes.step(at, with_gaps(limits), where="mid", color=LIGHT["ink"], linewidth=1, linestyle=(0, (2, 2)))
    step = -(-len(labels) // 6) or 1
    # Of a window of days its first one is enough to know it by.
    axes.set_xticks(list(at)[::step], [_short(label.partition("..")[0], 12) for label in labels[::step]])
    axes.set_xlim(-0.5, len(labels) - 0.5)
    write_title(figure, title)
    return markdown_image(svg_text(figure), title)


def markdown_image(svg: str, alternative: str) -> str:
    """An SVG text as a Markdown image that carries its own data."""
    data = base64.b64encode(svg.encode()).decode()
    without_formulas = re.sub(r"[^\w .,:()%-]", " ", alternative)
    return f"![{without_formulas}](data:image/svg+xml;base64,{data})"


def blank(width: float, height: float) -> Figure:
    """An empty figure of this size in CSS pixels (one SVG unit each)."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), facecolor=LIGHT["paper"])
    FigureCanvasSVG(figure)
    return figure


def place(figure: Figure, *, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes in the house style with these margins in pixels: no frame, hairline grid, quiet ticks."""
    width, height = (side * _POINTS_PER_INCH for side in figure.get_size_inches())
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    axes = figure.add_axes(box, facecolor="none")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=LIGHT["rule"], linewidth=1)
    axes.tick_params(length=0, labelcolor=LIGHT["muted"], labelsize=11, pad=6)
    axes.grid(axis="y", color=LIGHT["rule"], linewidth=1)
    axes.set_axisbelow(True)
    return axes


def svg_text(figure: Figure, *, salt: str = "mlops") -> str:
    """The figure as an `<svg>` element, without prolog, dates or random ids; text stays text.

    Args:
        figure: made by `blank`.
        salt: goes into the ids, so that several pictures can stand in one page.
    """
    import matplotlib as mpl

    out = io.StringIO()
    with _RENDERING, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    text = text[text.index("<svg ") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # A style element of an inline picture would hold for the whole page around it.
    text = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    # matplotlib names its own font on every text; the picture has the reader's font, once. The short form
    # `font: bold 13px 'DejaVu Sans'` stands where the weight is not the usual one.
    text = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;\"]*", r"font-weight: \1; font-size: \2", text)
    text = re.sub(r"font-family:[^;\"]*; ?", "", text).replace("font-weight: ; ", "")
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    font = FONT.replace('"', "'")
    text = re.sub(r'<svg [^>]*?width="(\d+)(?:\.\d+)?pt" height="(\d+)(?:\.\d+)?pt"',
                  rf'<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="\1" height="\2" '
                  rf'style="font-family: {font}"', text, count=1)  # fmt: skip
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{salt}-", text)
    return re.sub(r"\n\s*", "\n", text)


def inline(svg: str, description: str, titles: Sequence[str]) -> str:
    """The drawing for use inside a page: colours become variables, bands get their tooltips."""
    for role, colour in LIGHT.items():
        svg = svg.replace(f": {colour}", f": var(--{role})")
    # The page's own paper and font hold here; the text scales with the drawing.
    svg = re.sub(r'width="\d+" height="\d+" style="[^"]*"', 'class="chart" role="img"', svg, count=1)
    svg = svg.replace(">", f' aria-label="{html.escape(description)}">', 1)

    def with_title(match: re.Match[str]) -> str:
        return f'<g class="band"><title>{html.escape(titles[int(match.group(1))])}</title>'

    return re.sub(r'<g id="[a-z]+-band-(\d+)">', with_title, svg)


def with_gaps(values: Sequence[float | None]) -> list[float]:
    """None as NaN: a gap in the line."""
    return [float("nan") if value is None else float(value) for value in values]


def without_formulas(text: str) -> str:
    """A text that matplotlib writes as it is: `$` would begin a formula."""
    return text.replace("$", r"\$")


def write_title(figure: Figure, title: str) -> None:
    """Put a title above a figure."""
    width, height = (side * _POINTS_PER_INCH for side in figure.get_size_inches())
    figure.text(8 / width, (height - 20) / height, without_formulas(title), size=13, color=LIGHT["ink"], weight="bold")


def _short(text: str, length: int) -> str:
    """Both ends of a long name: features of one history differ in their last letters (`_mean_7d`, `_mean_28d`)."""
    if len(text) <= length:
        return without_formulas(text)
    kept = length - 1
    return without_formulas(f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}")
