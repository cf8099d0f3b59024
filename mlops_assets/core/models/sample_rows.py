"""Rows of every kind of value that a model may meet, whatever its training set held.

Here: those rows. Not here: who tries them: the fit of a transformer (`families.transformer`), and the online service
before a version answers (`serving.engine.arms`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlops_assets.core.models.recipe import Recipe

_SAMPLES = 32
"""Rows of random values; each kind and size of value occurs in some."""


def sample_rows(recipe: Recipe) -> list[dict[str, Any]]:
    """Nothing at all; zeros; then each end of the categories, new ones, gaps, and numbers of all sizes and signs."""
    rng = np.random.default_rng(recipe.seed)
    rows: list[dict[str, Any]] = [
        dict.fromkeys(recipe.names),
        {column.name: _ZERO[column.kind] for column in recipe.columns},
    ]
    for _ in range(_SAMPLES):
        row: dict[str, Any] = {}
        for column in recipe.columns:
            known = recipe.categories.get(column.name, ())
            if rng.random() < 0.1:
                row[column.name] = None
            elif column.kind == "categorical":
                row[column.name] = known[rng.integers(len(known))] if known and rng.random() < 0.9 else "never seen"
            elif column.kind == "boolean":
                row[column.name] = bool(rng.random() < 0.5)
            else:
                row[column.name] = float(rng.normal() * 10.0 ** rng.integers(-2, 5))
        rows.append(row)
    return rows


_ZERO: dict[str, Any] = {"numeric": 0.0, "boolean": False, "categorical": None}
"""A number may be 0 whatever its sign is otherwise, and a logarithm does not take it."""
