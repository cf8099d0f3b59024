"""The columns of a frame that names in a model's YAML stand for.

Here: looking them up. Not here: who asks (`blocks`, `promote.gate`, `gate_limits`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlops_assets.core.settings import ModelSettings


def slice_columns(model: ModelSettings, rows: pd.DataFrame) -> list[str]:
    """The columns that hold the slices of the YAML: the label model's own, or a feature's.

    Raises:
        ValueError: a slice names no column.
    """
    return columns_named(model, rows, model.monitoring.slices, by="monitoring.slices")


def columns_named(model: ModelSettings, rows: pd.DataFrame, names: Sequence[str], *, by: str) -> list[str]:
    """The columns that names of the YAML stand for: the label model's own, or a feature's.

    Raises:
        ValueError: a name is no column; `by` is the field that names it.
    """
    columns = []
    for name in names:
        matches = [column for column in rows.columns if column == name or column.endswith(f"__{name}")]
        if not matches:
            raise ValueError(
                f"{by} names {name!r}, which is neither a column of {model.label.model} nor a feature. "
                "Correct the name in the model's YAML."
            )
        columns.append(matches[0])
    return columns
