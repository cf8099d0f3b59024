"""The columns of a frame that names in a model's YAML stand for.

Here: looking them up. Not here: who asks (`blocks`, `promote.gate`, `gate_limits`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from mlops_assets.core.decide.agreed.triggers import OnDrift
from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.limits.ranges import WrongSetting
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import FleetSettings
from mlops_assets.core.stats.intervals import DAY


def slice_columns(model: ModelSettings, rows: pd.DataFrame) -> list[str]:
    """The columns that hold the slices of the YAML: the label model's own, or a feature's.

    Raises:
        WrongSetting: a slice names no column.
    """
    return columns_named(model, rows, model.monitoring.slices, by="monitoring.slices")


def refuse_unknown_columns(model: ModelSettings, catalogue: Catalogue) -> None:
    """Look up every name of a column in a model's YAML, before there are rows.

    Raises:
        WrongSetting: a name is no column of the label model, and no feature of the views that the model reads.
    """
    label = catalogue.label_model(model.label.model)
    of_label = [*label.entities, *label.columns]
    parts = {"label.only": [*model.label.only], "per": [model.per] if isinstance(model, FleetSettings) else []}
    for by, part in parts.items():
        if strange := [name for name in part if name not in of_label]:
            raise WrongSetting(
                f"{by} names {strange[0]!r}, which is no column of {label.name}: it has {', '.join(of_label)}. Correct "
                "the name in the model's YAML, or add the column to the dbt model."
            )
    features = [f"{view}__{f.name}" for view in model.features for f in catalogue.view(view).features]
    known, monitoring = [*of_label, *features], model.monitoring
    blocks = [] if monitoring.performance.blocks == DAY else [monitoring.performance.blocks]
    for by, names in (
        ("monitoring.slices", monitoring.slices),
        ("monitoring.fairness.by", monitoring.fairness.by),
        ("monitoring.performance.blocks", blocks),
    ):
        _columns_named(model, known, names, by=by)
    for trigger in model.retrain.on or ():
        watched = trigger.features if isinstance(trigger, OnDrift) else ()
        if strange := [name for name in watched if name not in features]:
            raise WrongSetting(
                f"retrain.on: drift: {strange[0]} is not a feature of {', '.join(model.features)}. Correct the name in "
                "the model's YAML."
            )


def columns_named(model: ModelSettings, rows: pd.DataFrame, names: Sequence[str], *, by: str) -> list[str]:
    """The columns that names of the YAML stand for: the label model's own, or a feature's.

    Raises:
        WrongSetting: a name is no column; `by` is the field that names it.
    """
    return _columns_named(model, list(rows.columns), names, by=by)


def _columns_named(model: ModelSettings, known: Sequence[str], names: Sequence[str], *, by: str) -> list[str]:
    columns = []
    for name in names:
        matches = [column for column in known if column == name or column.endswith(f"__{name}")]
        if not matches:
            raise WrongSetting(
                f"{by} names {name!r}, which is neither a column of {model.label.model} nor a feature. "
                "Correct the name in the model's YAML."
            )
        columns.append(matches[0])
    return columns
