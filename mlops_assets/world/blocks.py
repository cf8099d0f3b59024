"""What counts as one observation in intervals: `monitoring.performance.blocks`.

Here: the block of each row, in one window and across windows. Not here: intervals by blocks (`core.stats.intervals`),
who judges by them (`watch.performance_report`, `promote.gate`, `decide.probe`, `outcomes`, `rollout.measurements`,
`backtest`, `cards`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.models.matrix import category
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import DAY
from mlops_assets.core.stats.observations import finer_where_few
from mlops_assets.core.time.windows import local_days, local_stretches
from mlops_assets.world.columns import columns_named
from mlops_assets.world.model_data import EVENT_TIME, ModelData

NUMBERS = 512
"""Of blocks that are kept on record: an interval on as many is as good as one on more."""


def blocks_of(model: ModelSettings, rows: pd.DataFrame) -> NDArray[Any]:
    """The block of each row, shape (n,): its local day, or what it has in the column that the YAML names.

    Rows without a value there are one block.

    Raises:
        ValueError: the name is no column.
    """
    name = model.monitoring.performance.blocks
    if name == DAY:
        return local_days(rows[EVENT_TIME], model.timezone)
    return _entities(model, rows, name)[0]


def judged_blocks(model: ModelSettings, rows: pd.DataFrame) -> tuple[NDArray[Any], str]:
    """The block of each row that a gate judges, and what a block is.

    Where people have agreed on what starts a candidate, it is judged when it comes: by hours where days are too few.

    Raises:
        ValueError: the name is no column.
    """
    blocks, by = blocks_of(model, rows), model.monitoring.performance.blocks
    if not model.retrain.on:
        return blocks, by
    return finer_where_few(blocks, by, lambda: local_stretches(rows[EVENT_TIME], model.timezone))


def blocks_of_events(data: ModelData, events: pd.DataFrame) -> NDArray[Any]:
    """The same of rows of the label model, to which features are joined only where the block is one of them.

    Raises:
        ValueError: the name is no column.
    """
    name = data.model.monitoring.performance.blocks
    return blocks_of(data.model, events if name == DAY or name in events else data.with_features(events))


def lasting_blocks_of(model: ModelSettings, rows: pd.DataFrame) -> NDArray[Any]:
    """The same, but an entity has the same number in all windows, so that several can be pooled.

    Where there are many, hundreds share a number: blocks of several whole entities are as valid, and few enough to
    keep on record. A hash decides, which knows nothing of the rows.

    Raises:
        ValueError: the name is no column.
    """
    name = model.monitoring.performance.blocks
    if name == DAY:
        return local_days(rows[EVENT_TIME], model.timezone)
    codes, values = _entities(model, rows, name)
    numbers = pd.util.hash_array(np.array([category(value) for value in values], dtype=object)) % NUMBERS
    return np.append(numbers.astype(np.int64), -1)[codes]


def _entities(model: ModelSettings, rows: pd.DataFrame, name: str) -> tuple[NDArray[Any], Any]:
    """The code of each row's entity, -1 without one, and the entities."""
    (column,) = columns_named(model, rows, [name], by="monitoring.performance.blocks")
    return pd.factorize(rows[column])
