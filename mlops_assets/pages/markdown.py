"""Numbers as text that people read: Markdown tables and short figures.

Here: pure formatting; an answer that could not be given is told like one that was. Not here: plots (`figures`), what
the numbers mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.values.display import markdown_cell


def markdown_table(rows: Iterable[Sequence[Any]], *, header: Sequence[str], without_empty: bool = False) -> str:
    """Rows as a Markdown table; numbers are shortened, None is an empty cell, texts stand as they are.

    Args:
        rows: as many cells each as the header has.
        header: names of the columns.
        without_empty: leave out columns in which no row has anything to say.
    """
    cells = [[markdown_cell(figure(cell)) for cell in row] for row in rows]
    shown = [n for n in range(len(header)) if not (without_empty and cells) or any(row[n] for row in cells)]
    table = pd.DataFrame([[row[n] for n in shown] for row in cells], columns=[markdown_cell(header[n]) for n in shown])
    return table.to_markdown(index=False, disable_numparse=True)


def figure(value: Any) -> str:
    """A value as a person reads it: 0.7041, 12,345, 1.2e-05."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if value != value:
        return "n/a"
    return f"{value:,.4f}" if 1e-4 <= abs(value) < 1e6 or value == 0 else f"{value:.3g}"


def answered(answer: Any) -> dict[str, Any]:
    """An answer (a dataclass with a `sentence`), or why there is none, as plain values."""
    if isinstance(answer, CannotJudge):
        return {"cannot": {"why": answer.why, "remedy": answer.remedy}}
    return {**asdict(answer), "sentence": answer.sentence}


def answer_in_words(answer: Any) -> str:
    """The same as a sentence."""
    return f"{answer}." if isinstance(answer, CannotJudge) else str(answer.sentence)
