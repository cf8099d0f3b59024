"""The two drawings of the replay's page: the lives over time, and labels and volume.

Here: periods as plain values in, inline SVG out, whose colours are the page's variables, so that one drawing
is right in light, in dark and on paper. Not here: the tables of the page (its template), numbers in words
(`replay`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.pages.palette import LIGHT
from mlops_assets.pages.svg import blank, inline, place, svg_text, with_gaps, without_formulas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 1040
LEFT, RIGHT = 56, 132
LIVES = ("static", "always", "newest", "auto")
"""In the order they are drawn: the platform's own life lies on top."""
NAMES = {"auto": "platform", "always": "always", "newest": "newest", "static": "never"}
_STYLE: Mapping[str, Mapping[str, Any]] = {
    "static": {"linewidth": 1.8, "linestyle": (0, (5, 3)), "marker": "s", "markersize": 4.5},
    "always": {"linewidth": 1.8, "linestyle": (0, (1.5, 2)), "marker": "D", "markersize": 4.5},
    "newest": {"linewidth": 1.8, "linestyle": (0, (6, 2, 1.5, 2)), "marker": "^", "markersize": 4.5},
    "auto": {"linewidth": 3, "linestyle": "-", "marker": "o", "markersize": 7},
}
MARKS: Mapping[str, tuple[str, str]] = {
    "promoted": ("^", "auto"),
    "rejected": ("X", "bad"),
    "retrained": ("d", "muted"),
    "quarantine": ("s", "bad"),
    "revert": ("<", "auto"),
    "cannot_judge": ("v", "faint"),
}
"""Outcome of a decision -> marker and colour: shape says it too, for those who don't see the colour."""
MAX_WORDS = 13
"""With more periods than this, marks carry no words: they would run into each other."""


def day(moment: str) -> float:
    """An ISO date or time as days since year 1, the axis of all charts."""
    at = datetime.fromisoformat(moment)
    return at.toordinal() + (at.hour * 3600 + at.minute * 60 + at.second) / 86400


def lives_chart(periods: Sequence[Mapping[str, Any]], *, metric: str, places: int) -> str:
    """The metric of the lives by period, with what was decided at the end of each.

    Args:
        periods: as in `replay.json`, each with `outcome` (a key of `MARKS`, or empty) added.
        metric: the metric's name as people read it, with the way that is better.
        places: decimal places of the values.
    """
    figure = blank(_WIDTH, 392)
    axes = place(figure, left=LEFT, right=RIGHT, top=66, bottom=52)
    middle = [(day(p["start"]) + day(p["end"])) / 2 for p in periods]
    ends: dict[str, float] = {}
    for life in LIVES:
        values = [p.get(life) for p in periods]
        style = dict(_STYLE[life])
        if len(periods) > 2 * MAX_WORDS:
            style["markersize"] = 0 if life != "auto" else 3
        axes.plot(middle, with_gaps(values), color=LIGHT[life], clip_on=False, zorder=3 + LIVES.index(life), **style)
        if known := [v for v in values if v is not None]:
            ends[life] = known[-1]
    _limits(axes, [v for p in periods for life in LIVES if (v := p.get(life)) is not None])
    _time_axis(axes, periods)
    _end_labels(axes, ends, places=places)
    _marks(axes, periods)
    _champions(axes, periods)
    _bands(axes, periods)
    figure.text(0, 1 - 14 / 392, without_formulas(metric), size=12, color=LIGHT["muted"])
    titles = [_lives_told(p, places) for p in periods]
    return inline(svg_text(figure, salt="lives"), f"{metric} of the lives by period", titles)


def volume_chart(periods: Sequence[Mapping[str, Any]], *, label: str, as_share: bool) -> str:
    """The mean of the label above, rows with and without a label below.

    Args:
        periods: as in `replay.json`.
        label: what the upper line shows.
        as_share: whether it is a share (percent) or a value.
    """
    figure = blank(_WIDTH, 292)
    upper = place(figure, left=LEFT, right=RIGHT, top=30, bottom=168)
    middle = [(day(p["start"]) + day(p["end"])) / 2 for p in periods]
    means = [p.get("label_mean") for p in periods]
    size = 6 if len(periods) <= 2 * MAX_WORDS else 0
    upper.plot(middle, with_gaps(means), color=LIGHT["auto"], linewidth=2.4, marker="o", markersize=size, clip_on=False)
    _limits(upper, [m for m in means if m is not None])
    if as_share:
        upper.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _time_axis(upper, periods, words=False)
    lower = place(figure, left=LEFT, right=RIGHT, top=176, bottom=28)
    width = [0.86 * (day(p["end"]) - day(p["start"])) for p in periods]
    rows = [p.get("rows") or 0 for p in periods]
    lower.bar(middle, rows, width=width, color=LIGHT["fill"])
    lower.bar(middle, [p.get("labelled_rows") or 0 for p in periods], width=width, color=LIGHT["static"])
    lower.yaxis.set_major_locator(_few_ticks())
    lower.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    _time_axis(lower, periods)
    _bands(lower, periods)
    figure.text(0, 1 - 14 / 292, label, size=12, color=LIGHT["muted"])
    figure.text(0, 1 - 160 / 292, "Rows", size=12, color=LIGHT["muted"])
    for line, (words, colour) in enumerate((("with a label", "static"), ("without", "fill"))):
        y = (98 - 18 * line) / 292
        figure.text(1 - (RIGHT - 12) / _WIDTH, y, "■", size=12, color=LIGHT[colour])
        figure.text(1 - (RIGHT - 27) / _WIDTH, y, words, size=12, color=LIGHT["muted"])
    titles = [
        f"{p['label']}: {p.get('rows') or 0:,} rows, {p.get('labelled_rows') or 0:,} with a label" for p in periods
    ]
    return inline(svg_text(figure, salt="volume"), f"{label} and rows by period", titles)


def ticks(periods: Sequence[Mapping[str, Any]]) -> list[str]:
    """Short names of the periods, the year where it begins: `Apr 2013`, `May` or `1 Apr 2013`, `8 Apr`."""
    starts = [datetime.fromisoformat(p["start"]) for p in periods]
    monthly = all(s.day == 1 for s in starts) and len({(s.year, s.month) for s in starts}) == len(starts)
    out, year = [], None
    for start in starts:
        name = f"{start:%b}" if monthly else f"{start.day} {start:%b}"
        out.append(name if start.year == year else f"{name} {start.year}")
        year = start.year
    return out


def _time_axis(axes: Axes, periods: Sequence[Mapping[str, Any]], *, words: bool = True) -> None:
    first, last = day(periods[0]["start"]), day(periods[-1]["end"])
    axes.set_xlim(first, last)
    step = -(-len(periods) // MAX_WORDS)
    shown = list(zip(periods, ticks(periods), strict=True))[::step] if words else []
    middle = [(day(p["start"]) + day(p["end"])) / 2 for p, _ in shown]
    axes.set_xticks(middle, [name for _, name in shown], size=12)
    axes.tick_params(axis="y", labelsize=12)


def _limits(axes: Axes, values: Iterable[float]) -> None:
    """A scale that shows the differences: padded by an eighth, never around a single value only."""
    known = sorted(values)
    low, high = (known[0], known[-1]) if known else (0.0, 1.0)
    room = (high - low) / 8 or abs(high) / 20 or 1.0
    axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_locator(_few_ticks())


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])


def _end_labels(axes: Axes, ends: Mapping[str, float], *, places: int) -> None:
    """Each line's name and last value at its right end, pushed apart where they would overlap."""
    low, high = axes.get_ylim()
    height = axes.get_position().height * 392
    pixels = {life: (value - low) / (high - low) * height for life, value in ends.items()}
    at = -1e9
    for life in sorted(pixels, key=lambda name: pixels[name]):
        at = max(pixels[life], at + 18)
        axes.annotate(
            f"{NAMES[life]} {ends[life]:,.{places}f}", (1, at / height), (14, 0), xycoords="axes fraction",
            textcoords="offset points", va="center", size=13, color=LIGHT[life], annotation_clip=False,
            weight="bold" if life == "auto" else "normal",
        )  # fmt: skip


def _marks(axes: Axes, periods: Sequence[Mapping[str, Any]]) -> None:
    """What was decided when a period had closed, on a band above the lines, at the period's end."""
    over = axes.get_xaxis_transform()
    for period in periods:
        outcome = period.get("outcome")
        if not outcome:
            continue
        marker, role = MARKS[outcome]
        at = day(period["end"])
        axes.plot([at, at], [0, 1.04], transform=over, color=LIGHT[role], linewidth=1, alpha=0.45, clip_on=False)
        axes.plot(at, 1.075, marker=marker, markersize=9, transform=over, color=LIGHT[role], clip_on=False,
                  markeredgecolor="none", linestyle="none")  # fmt: skip
        if len(periods) <= MAX_WORDS:
            axes.annotate(
                outcome.replace("_", " "), (at, 1.075), (0, 11), xycoords=over, textcoords="offset points",
                ha="center", size=12, color=LIGHT[role], annotation_clip=False,
            )  # fmt: skip


def _champions(axes: Axes, periods: Sequence[Mapping[str, Any]]) -> None:
    """Under the axis: which version of the champion scored which periods."""
    over = axes.get_xaxis_transform()
    begin = 0
    for index, period in enumerate(periods):
        last = index == len(periods) - 1
        version = period.get("champion_version")
        if not last and periods[index + 1].get("champion_version") == version:
            continue
        first, end = day(periods[begin]["start"]), day(period["end"])
        inset = (day(periods[-1]["end"]) - day(periods[0]["start"])) * 0.003
        axes.plot([first + inset, end - inset], [-0.125, -0.125], transform=over, color=LIGHT["auto"],
                  linewidth=2, clip_on=False, solid_capstyle="butt")  # fmt: skip
        words = "" if version is None else f"champion v{version}" if begin == 0 else f"v{version}"
        axes.annotate(words, ((first + end) / 2, -0.125), (0, -14), xycoords=over, textcoords="offset points",
                      ha="center", size=12, color=LIGHT["auto"], annotation_clip=False)  # fmt: skip
        begin = index + 1


def _bands(axes: Axes, periods: Sequence[Mapping[str, Any]]) -> None:
    """An unseen band over each period, which carries its tooltip."""
    for index, period in enumerate(periods):
        band = axes.axvspan(day(period["start"]), day(period["end"]), facecolor="none", edgecolor="none", zorder=9)
        band.set_gid(f"band-{index}")


def _lives_told(period: Mapping[str, Any], places: int) -> str:
    lives = [
        f"{NAMES[life]} {'no value' if period.get(life) is None else format(period[life], f',.{places}f')}"
        for life in reversed(LIVES)
    ]
    return f"{period['label']}: {', '.join(lives)}"
