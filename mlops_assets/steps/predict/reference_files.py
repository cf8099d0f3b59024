"""What is kept of a version at its promotion, for every later window to be compared with.

Here: all of it in one call. Not here: each file (`references`, `slice_references`), who compares
(`watch.drift_report`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.steps.predict.references import write_days, write_labels, write_outcomes, write_reference
from mlops_assets.steps.predict.slice_references import profiled, write_slices
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData, TrainingSet
from mlops_assets.world.platform import Platform


def keep_reference(
    platform: Platform,
    data: ModelData,
    version: int,
    *,
    fitted: TrainingSet,
    gate_rows: pd.DataFrame,
    scores: np.ndarray,
) -> None:
    """Keep what a version was fitted on and how its judged twin did, as counts and samples.

    Args:
        platform: where.
        data: of the monitored model.
        version: of the model.
        fitted: what the version was fitted on; rows of excluded events are no part of a reference.
        gate_rows: the labelled rows of the gate window.
        scores: of the judged twin on them, shape (n,) or (n, k).
    """
    lake, model, columns = platform.lake, data.model, data.columns
    rows = data.usual(fitted.frame)
    write_days(lake, model, version, rows, columns=columns)
    write_labels(lake, model, version, rows[LABEL])
    slices = profiled(data, rows, columns=columns, as_of=fitted.known_by)
    write_slices(lake, model.name, version, slices)
    # The members of a fleet begin as its pooled model, each by what that said of its own rows.
    keys = [*data.keys, EVENT_TIME] if isinstance(model, FleetSettings) else []
    write_outcomes(lake, model, version, gate_rows, scores=scores, columns=columns, keys=keys)
    # The reference comes last: with it all of them are there.
    write_reference(lake, model.name, version, rows, columns=columns, scores=scores)
