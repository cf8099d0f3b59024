"""The card of a model version: what it is, what it was judged on, what it was not, and how to make it again.

Here: the card's values, the limits that follow from them, and the card as a page and as Markdown. Not here: gathering
the values, where cards are kept (`steps.promote.cards`), the page's layout (`templates/`).

The sections are those of Mitchell et al. (2019), Model Cards for Model Reporting, as far as the platform knows them by
itself; what only a person knows (intended use, harm) belongs into the model's description. The same values give the
same bytes.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.core.performance.window_metrics import Estimate
from mlops_assets.core.promote.gate import RuleResult
from mlops_assets.core.record.gain import Gain
from mlops_assets.core.stats.intervals import DAY, HOURS, told_block
from mlops_assets.core.values.display import inert_markdown, markdown_text
from mlops_assets.pages.markdown import figure, markdown_table
from mlops_assets.pages.palette import DARK, FONT, LIGHT
from mlops_assets.pages.rendering import template

_TOP_FEATURES = 20
"""Features shown at once on the page; the rest is folded away."""


@dataclass(frozen=True)
class FeatureLine:
    """A feature: its share of the total gain of all splits, and what it is."""

    name: str
    importance: float
    description: str


@dataclass(frozen=True)
class Card:
    """All that a card tells; plain values.

    Attributes:
        model: the registered model.
        version: its number.
        description: what one prediction is.
        task: `binary`, `regression` or `multiclass`.
        metric: what it is judged by.
        made_at: the model's clock when it was judged.
        promoted: whether the gate let it through.
        judged: whether the gate could judge at all.
        reason: the gate's reason.
        decision: the decision that it was trained for.
        why: that decision's reasons; empty where a person ran it without one.
        data: name -> value: sets, hashes, windows, rows.
        features: the largest importance first.
        metrics: of the judged model on the gate window.
        slices: `column=value` -> the same metric within it.
        small_slices: slices that have too few rows -> rows.
        gains: against whom -> the gain with its interval, or why there is none.
        rules: the gate's rules.
        reference: what later windows are compared with; empty where it keeps none.
        limits: what it was not tested on, a sentence each.
        lineage: name -> values: dbt models, sources, code, libraries.
        reproduce: the command.
        blocks: what counts as one observation in its intervals: `day`, `6 hours`, or the name of a column.
    """

    model: str
    version: int
    description: str
    task: str
    metric: str
    made_at: str
    promoted: bool
    judged: bool
    reason: str
    decision: str
    why: Sequence[str]
    data: Mapping[str, str]
    features: Sequence[FeatureLine]
    metrics: Sequence[Estimate]
    slices: Mapping[str, Estimate]
    small_slices: Mapping[str, int]
    gains: Mapping[str, Gain | str]
    rules: Sequence[RuleResult]
    reference: Mapping[str, str]
    limits: Sequence[str]
    lineage: Mapping[str, Sequence[str]]
    reproduce: str
    blocks: str = DAY

    @property
    def verdict(self) -> str:
        """The gate's reason, without the word that stands before it anyway."""
        return self.reason

    @property
    def observed(self) -> str:
        """What its intervals count, as the head of a column: days, or blocks."""
        return "days" if self.blocks == DAY else "blocks"

    @property
    def observation(self) -> str:
        """What counts as one observation, in words."""
        return f"A {told_block(self.blocks)}" if self.blocks in (DAY, HOURS) else f"All rows of one {self.blocks}"

    @property
    def state(self) -> str:
        """What the gate said, in a word or two."""
        if not self.judged:
            return "promoted without judgement" if self.promoted else "not judged"
        return "promoted" if self.promoted else "rejected"


def limits(
    *,
    small_slices: Mapping[str, int],
    min_rows: int,
    unlabelled: float | None,
    months: Iterable[int],
    days: int,
    first: bool,
    refit: bool,
) -> list[str]:
    """What a version was not tested on.

    Args:
        small_slices: slices with too few rows to be judged -> rows.
        min_rows: how many rows a slice needs.
        unlabelled: share of the gate window's events without a label; None without events.
        months: the months (1 to 12) of the rows that it was fitted on.
        days: calendar days of the gate window with labelled rows.
        first: whether there was no champion to compare with.
        refit: whether what ships is a refit, and its twin was judged.
    """
    notes = []
    if small_slices:
        named = ", ".join(f"{name} ({rows:,})" for name, rows in small_slices.items())
        notes.append(f"Slices with fewer than {min_rows:,} labelled rows were not judged: {named}.")
    if unlabelled:
        notes.append(
            f"{unlabelled:.1%} of the gate window's events had no label when it was judged. If those differ from the "
            "others, its metrics do not speak of them."
        )
    unseen = [calendar.month_name[month] for month in sorted(set(range(1, 13)) - set(months))]
    if unseen:
        notes.append(f"It has seen no row of {_listed(unseen)}. What these months bring is unknown to it.")
    notes.append(f"It was judged on {days:,} days. Anything rarer than that did not show.")
    if first:
        notes.append("There was no champion to compare it with: it was held against a constant guess.")
    if refit:
        notes.append("What ships is the refit on all rows known then. The judged model is its twin without the newest.")
    return notes


def html(card: Card) -> str:
    """The card as one page that needs neither network nor script; all texts are escaped."""
    from markupsafe import Markup

    page: str = template("model_card.html.j2").render(
        card=card,
        headline=next((m for m in card.metrics if m.metric == card.metric), None),
        metric_rows=[_metric_row(estimate.metric, estimate) for estimate in card.metrics],
        slice_rows=_with_tracks(card.slices),
        gain_rows=_gain_rows(card),
        largest=max((feature.importance for feature in card.features), default=0.0) or 1.0,
        top=_TOP_FEATURES,
        figure=figure,
        light=LIGHT,
        dark=DARK,
        font=Markup(FONT),
    )
    return page


def markdown(card: Card) -> str:
    """The card as Markdown, for MLflow, Dagster and pull requests."""
    metric_header = ["metric", "value", "lower", "upper", "rows", card.observed, "why not"]
    parts = [
        f"# {card.model}, version {card.version}: {card.state}",
        markdown_text(card.description),
        f"**{card.state.capitalize()}** at {card.made_at}. {markdown_text(card.verdict)}",
        "## Decision",
        f"`{card.decision}`" + (f": {markdown_text(' '.join(card.why))}" if card.why else ""),
        "## Data",
        markdown_table(list(card.data.items()), header=["what", "value"]),
        "## Metrics",
        f"Of the judged model on the gate window, which it was not fitted on. {card.observation} counts as one "
        "observation; intervals at 95 %.",
        markdown_table([_metric_row(estimate.metric, estimate) for estimate in card.metrics], header=metric_header),
    ]
    if card.slices:
        rows = [_metric_row(name, estimate) for name, estimate in card.slices.items()]
        parts += ["### By slice", markdown_table(rows, header=["slice", *metric_header[1:]])]
    parts += [
        "## Gate",
        markdown_table(_gain_rows(card), header=["against", "gain", *metric_header[2:]]),
        markdown_table(
            [(r.name, "passed" if r.passed else "failed", r.value, r.limit, r.sentence) for r in card.rules],
            header=["rule", "result", "value", "limit", "what was found"],
        ),
        "## Features",
        markdown_table(
            [(f.name, f"{f.importance:.1%}", f.description) for f in card.features],
            header=["feature", "share of gain", "what it is"],
        ),
        "## Limits",
        "\n".join(f"- {markdown_text(limit)}" for limit in card.limits),
        "## Drift reference",
        markdown_table(list(card.reference.items()), header=["what", "value"])
        if card.reference
        else "None: it is kept when a version is promoted.",
        "## Lineage",
        markdown_table([(name, ", ".join(values)) for name, values in card.lineage.items()], header=["what", "value"]),
        "## Make it again",
        f"```\n{card.reproduce}\n```",
    ]
    return inert_markdown("\n\n".join(parts) + "\n")


def _metric_row(name: str, estimate: Estimate) -> tuple[Any, ...]:
    return name, estimate.value, estimate.lower, estimate.upper, estimate.n, estimate.n_blocks, estimate.why or ""


def _gain_rows(card: Card) -> list[tuple[Any, ...]]:
    return [
        (name, f"{g.gain:+.4f}", f"{g.lower:+.4f}", f"{g.upper:+.4f}", g.rows, g.days, "")
        if isinstance(g, Gain)
        else (name, None, None, None, None, None, g)
        for name, g in card.gains.items()
    ]


def _with_tracks(slices: Mapping[str, Estimate]) -> list[tuple[tuple[Any, ...], dict[str, float] | None]]:
    """Each slice with where its interval and value lie between the lowest and the highest bound, in percent."""
    bounds = [b for metric in slices.values() for b in (metric.lower, metric.upper, metric.value) if b is not None]
    low, span = (min(bounds), (max(bounds) - min(bounds)) or 1.0) if bounds else (0.0, 1.0)

    def at(value: float) -> float:
        return round(100.0 * (value - low) / span, 2)

    out: list[tuple[tuple[Any, ...], dict[str, float] | None]] = []
    for name, metric in slices.items():
        track = None
        if metric.value is not None and metric.lower is not None and metric.upper is not None:
            left = at(metric.lower)
            track = {"left": left, "width": round(at(metric.upper) - left, 2), "value": at(metric.value)}
        out.append((_metric_row(name, metric), track))
    return out


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
