"""The page of `mlops feature-report`: one file to attach to a pull request, without network or script.

Here: the values of the report in, HTML out. Not here: the layout (`templates/`), the values (`feature_report`).
"""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.core.record.plain_values import counted, metric_name
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.pages.drift import style
from mlops_assets.pages.feature_report import ModelChange, ViewChange
from mlops_assets.pages.rendering import template

_WIDTH, _HEIGHT = 180, 36
"""Of a line of drift over time."""


def feature_report_page(
    views: Sequence[ViewChange],
    models: Sequence[ModelChange],
    *,
    against: str,
    notes: Sequence[str],
    uncompared: Sequence[str] = (),
) -> str:
    """One self-contained HTML page; all texts are escaped.

    Args:
        views: feature views that the change touches.
        models: monitored models that read them.
        against: the git ref.
        notes: sentences on what the report was made from.
        uncompared: feature views that differ and have no rows to be compared on.
    """
    page: str = template("feature_report.html.j2", share=share, gain=gain, line=line).render(
        views=views,
        models=models,
        against=against,
        told=notes,
        style=style(),
        lead=lead(views, models, uncompared),
        heading=", ".join((*(view.view for view in views), *uncompared)) or "No feature view",
    )
    return page


def lead(views: Sequence[ViewChange], models: Sequence[ModelChange], uncompared: Sequence[str] = ()) -> str:
    """The change in a sentence; `uncompared` are the views that differ and have no rows to be compared on."""
    if not views and not uncompared:
        return "No feature view has changed."
    sentences = []
    if views:
        counts = {
            state: sum(change.state == state for view in views for change in view.features)
            for state in ("new", "gone", "changed")
        }
        features = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no feature changes"
        sentences.append(f"{counted(len(views), 'feature view')}: {features}.")
    if uncompared:
        sentences.append(f"Cannot judge {', '.join(uncompared)}: no rows to compare.")
    by_model = {change.model: gain(change.against_before) or "cannot judge" for change in models}
    if gains := "; ".join(f"{model}: {of}" for model, of in by_model.items()):
        sentences.append(f"Gain of the models: {gains}.")
    return " ".join(sentences)


def share(value: float | None) -> str:
    """A share in percent; empty where there is none."""
    return "" if value is None else f"{value:.2%}"


def gain(value: Paired | None) -> str:
    """A gain with its interval; empty where there is none."""
    if value is None:
        return ""
    return f"{metric_name(value.metric)} {value.gain:+.4f} ({value.lower:+.4f} to {value.upper:+.4f})"


def line(sides: tuple[Sequence[float | None], Sequence[float | None]]) -> str:
    """PSI over the windows as an SVG of two lines, before and after, with the largest value in words."""
    known = [value for side in sides for value in side if value is not None]
    if not known:
        return ""
    top = max(*known, 0.2)
    drawn = "".join(
        f'<polyline class="{name}" points="{points}"/>'
        for name, side in zip(("before", "after"), sides, strict=True)
        if (points := _points(side, top))
    )
    label = f"PSI against the first window, {max(known):.2f} at most"
    return f'<svg class="line" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{drawn}</svg>'


def _points(side: Sequence[float | None], top: float) -> str:
    step = _WIDTH / max(1, len(side) - 1)
    return " ".join(
        f"{number * step:.1f},{_HEIGHT - 2 - (_HEIGHT - 4) * value / top:.1f}"
        for number, value in enumerate(side)
        if value is not None
    )
