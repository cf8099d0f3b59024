"""What counts as one observation in the intervals of a performance report: `monitoring.performance.blocks`.

Here: the block of each row. Not here: intervals by blocks (`core.judging`), the gate and the probe, which judge by
days.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
from numpy.typing import NDArray

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.windows import local_days
from mlops_assets.resources.gate_limits import columns_named
from mlops_assets.resources.model_data import EVENT_TIME


def blocks_of(model: ModelSettings, rows: pd.DataFrame) -> NDArray[Any]:
    """The block of each row, shape (n,): its local day, or what it has in the column that the YAML names.

    Rows without a value there are one block.

    Raises:
        ValueError: the name is no column.
    """
    name = model.monitoring.performance.blocks
    if name == "day":
        return local_days(rows[EVENT_TIME], model.timezone)
    (column,) = columns_named(model, rows, [name], by="monitoring.performance.blocks")
    codes, _ = pd.factorize(rows[column])
    return codes
