"""Evidently's drift page, drawn from a sample for people to look at.

Here: two frames in, one HTML page out. Evidently only draws: PSI and Kolmogorov-Smirnov that decide are
computed on all rows (`drift`), and its own verdict goes nowhere. Not here: where the page is written.

What it costs on two cores: the import 8 to 16 s, once per process (a third of it for nltk), and 220 MB; then
20 columns of 2,000 rows 1.5 to 4 s and 45 columns 5 to 7 s, about 0.6 times the stock preset. The page has
4.9 MB with 20 columns and 6.7 MB with 45; 4.4 MB are Evidently's own scripts.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlops_assets.core.values.extras import importing
from mlops_assets.pages.rendering import inline_json

MAX_COLUMNS = 20
_MAX_CATEGORIES = 30
"""Categories with a bar of their own; the rarer ones are one bar, `(others)`."""
_SAMPLE = 2000

_Kind = Literal["numeric", "categorical"]

_DATA = re.compile(r"^ *var (?:additional_graphs_)?metric_\w+ = .*;$", re.MULTILINE)
"""The two lines of Evidently's page with its data. JSON has no line breaks, so no value of the data can end one."""


def drift_report_html(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str] = (),
    sample: int = _SAMPLE,
    seed: int,
    limit: float = 0.2,
    max_columns: int = MAX_COLUMNS,
) -> str:
    """Evidently's data drift page of a sample, self-contained.

    Args:
        reference: the reference window; any number of rows, the columns among others.
        current: the current window.
        numeric: columns drawn as histograms, the most interesting first.
        categorical: columns drawn as bars by value, likewise.
        sample: rows drawn from each frame, without replacement.
        seed: of the sample.
        limit: the PSI at which Evidently colours a column.
        max_columns: columns drawn, the first of both lists in turn; what is left out is said on the page.

    Returns:
        The page. Columns without a value in one of the samples, or with the same one throughout, can't be
        drawn and are named on the page; if none is left, the page says only that.

    Raises:
        ValueError: a frame lacks one of the columns or has no rows.
        MissingExtra: Evidently is not installed.
    """
    columns = _in_turn(numeric, categorical)
    for name, frame in (("reference", reference), ("current", current)):
        missing = [column for column in columns if column not in frame.columns]
        if missing or frame.empty:
            what = f"lacks the columns {', '.join(missing)}" if missing else "has no rows"
            msg = f"the {name} window {what}: pass the features both windows have; nothing was written"
            raise ValueError(msg)
    left, right = (_sampled(frame, list(columns), sample, seed) for frame in (reference, current))
    kinds: dict[str, _Kind] = {}
    empty: list[str] = []
    constant: list[str] = []
    beyond: list[str] = []
    for column, kind in columns.items():
        pair = _prepared(left[column], right[column], kind)
        if any(side.notna().sum() == 0 for side in pair):
            empty.append(column)
        elif pd.concat(pair).nunique() < 2:
            constant.append(column)
        elif len(kinds) == max_columns:
            beyond.append(column)
        else:
            kinds[column] = kind
            left[column], right[column] = pair
    note = _note(len(left), len(right), limit=limit, empty=empty, constant=constant, beyond=beyond)
    if not kinds:
        return f'<!doctype html><html lang="en"><head><meta charset="utf-8"></head><body>{note}</body></html>'
    page = _drawn(left[list(kinds)], right[list(kinds)], kinds, limit)
    head, body, rest = page.partition("<body>")
    if not body:
        msg = "Evidently's page has no <body> to put the note in: install the version in requirements.lock"
        raise RuntimeError(msg)
    return head + body + note + rest


def _drawn(reference: pd.DataFrame, current: pd.DataFrame, kinds: Mapping[str, _Kind], limit: float) -> str:
    with importing("evidently", "Evidently"):
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

    class DrawnDrift(DataDriftPreset):  # type: ignore[misc] # Evidently ships no types
        """The preset without its single values: their plots take half the time and are never shown."""

        def generate_metrics(self, context: Any) -> Sequence[Any]:
            return []

    definition = DataDefinition(
        numerical_columns=[column for column, kind in kinds.items() if kind == "numeric"],
        categorical_columns=[column for column, kind in kinds.items() if kind == "categorical"],
    )
    preset = DrawnDrift(columns=list(kinds), method="psi", threshold=limit, include_tests=False)
    snapshot = Report([preset], include_tests=False).run(
        Dataset.from_pandas(current, data_definition=definition),
        Dataset.from_pandas(reference, data_definition=definition),
    )
    page, count = _DATA.subn(lambda match: inline_json(match[0]), str(snapshot.get_html_str(as_iframe=False)), count=2)
    if count != 2:
        msg = "Evidently's page does not hold its data where expected: install the version in requirements.lock"
        raise RuntimeError(msg)
    return page


def _in_turn(numeric: Sequence[str], categorical: Sequence[str]) -> dict[str, _Kind]:
    """The columns by rank, so that a limit on their number keeps the first of both kinds."""
    ranked: list[tuple[int, str, _Kind]] = [(rank, name, "numeric") for rank, name in enumerate(numeric)]
    ranked += [(rank, name, "categorical") for rank, name in enumerate(categorical)]
    return {name: kind for _, name, kind in sorted(ranked, key=lambda column: column[0])}


def _sampled(frame: pd.DataFrame, columns: list[str], sample: int, seed: int) -> pd.DataFrame:
    rows = np.arange(len(frame))
    if len(frame) > sample:
        rows = np.sort(np.random.default_rng(seed).choice(len(frame), size=sample, replace=False))
    return frame[columns].iloc[rows].reset_index(drop=True).copy()


def _prepared(left: pd.Series, right: pd.Series, kind: _Kind) -> tuple[pd.Series, pd.Series]:
    """Both sides as plain floats or plain text, what is missing as NaN."""
    if kind == "numeric":
        sides = [pd.to_numeric(side).astype("float64").replace([np.inf, -np.inf], np.nan) for side in (left, right)]
        return sides[0], sides[1]
    texts = [side.astype("object").where(side.notna()).map(str, na_action="ignore") for side in (left, right)]
    counts = pd.concat(texts).value_counts()
    if len(counts) > _MAX_CATEGORIES:
        # Ties are broken by name: the same rows give the same page.
        kept = sorted(counts.index, key=lambda name: (-counts[name], name))[:_MAX_CATEGORIES]
        texts = [side.where(side.isin(kept) | side.isna(), "(others)") for side in texts]
    return texts[0], texts[1]


def _note(
    n_reference: int,
    n_current: int,
    *,
    limit: float,
    empty: list[str],
    constant: list[str],
    beyond: list[str],
) -> str:
    sentences = [
        f"Drawn from samples of {n_reference:,} reference and {n_current:,} current rows; colours change at "
        f"PSI {limit:g}. Only the features that moved most are drawn, so the share that Evidently counts as drifted "
        "means nothing; the numbers that decide are computed on all rows and features, and stand above."
    ]
    sentences += [f"Without a value in one of the samples: {', '.join(empty)}."] if empty else []
    sentences += [f"The same value throughout: {', '.join(constant)}."] if constant else []
    sentences += [f"Not drawn to keep the page short: {', '.join(beyond)}."] if beyond else []
    style = "font:14px/1.5 sans-serif;color:#5b6570;max-width:70em;margin:16px 24px"
    return "".join(f'<p style="{style}">{html.escape(text)}</p>' for text in sentences)
