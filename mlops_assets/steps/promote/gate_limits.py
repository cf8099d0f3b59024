"""The figures of the gate's limits: groups, calibration, the file and the speed of what ships.

Here: measuring what `core.promote.gate_limits` judges. Not here: those rules, the comparison with the champion
(`gate`), last year's season (`season`), golden sets (`golden`).
"""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.models.model import Model
from mlops_assets.core.promote.gate import RuleResult
from mlops_assets.core.promote.gate_limits import calibration_rules, fairness_rule, latency_rule, size_rule
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.promote.golden import golden_rules
from mlops_assets.steps.watch.fairness_report import differences
from mlops_assets.world.blocks import judged_blocks
from mlops_assets.world.model_data import LABEL
from mlops_assets.world.platform import Platform

TIMED, WARM_UP = 300, 20
"""Predictions that are timed, and those before them that are not."""


def rules_on_rows(model: ModelSettings, rows: pd.DataFrame, challenger: Any, champion: Any) -> list[RuleResult]:
    """Fairness and calibration on the gate's rows; `champion` are its scores, None without one."""
    new = differences(model, rows, challenger)
    old = differences(model, rows, champion) if champion is not None else None
    blocks, by = judged_blocks(model, rows)
    return [
        *(fairness_rule(new, old, model.monitoring.fairness.limit(model.task)) if new else []),
        *calibration_rules(
            model.gate,
            rows[LABEL].to_numpy(),
            challenger,
            champion,
            blocks,
            by=by,
        ),
    ]


def rules_of_what_ships(
    platform: Platform, model: ModelSettings, shipped: Model, rows: pd.DataFrame, as_of: datetime
) -> list[RuleResult]:
    """Size, latency and the golden set, of the very model that would go into production."""
    timed = single_predictions(shipped, rows) if model.gate.max_latency_ms is not None and len(rows) else None
    return [
        *size_rule(model.gate, len(shipped.content)),
        *(latency_rule(model.gate, float(np.quantile(timed, 0.99)), len(timed)) if timed is not None else []),
        *golden_rules(platform, model, shipped, platform.data(model).day(as_of)),
    ]


def single_predictions(model: Model, rows: pd.DataFrame) -> np.ndarray:
    """Milliseconds of single predictions, in process: from one row of a frame to its score.

    Feature look-ups and the network are not in it.
    """
    places = np.linspace(0, len(rows) - 1, TIMED + WARM_UP).round().astype(int)
    took = []
    for place in np.random.default_rng(0).permutation(places).tolist():
        row = rows.iloc[[place]]
        start = time.perf_counter()
        model.predict(row)
        took.append(1000.0 * (time.perf_counter() - start))
    return np.array(took[WARM_UP:])
