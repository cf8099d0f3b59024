"""The slices of what a version was trained on, so that a window's slices can be compared with their own past.

Here: which columns are slices of some rows, and keeping their profiles with a version. Not here: the statistics
(`core.drift.local`), the reference of all rows (`references`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from mlops_assets.core.drift.grid import Grid
from mlops_assets.core.drift.local import SliceReference, slice_grid, slice_references
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.steps.predict.references import kinds, reference_folder
from mlops_assets.world.atomic import write_text
from mlops_assets.world.columns import slice_columns
from mlops_assets.world.files.state_files import read_state_by
from mlops_assets.world.lake import Lake
from mlops_assets.world.model_data import EVENT_TIME, ModelData

FILE = "slices.json"


@dataclass(frozen=True)
class Slices:
    """Slices of a reference: the grid of their features, and `column=value` -> what the slice was like."""

    grid: Grid
    references: Mapping[str, SliceReference]


def slices_of(data: ModelData, rows: pd.DataFrame, *, as_of: datetime) -> dict[str, Any]:
    """Column -> values of each slice of the YAML, in the order of the rows.

    Training sets hold keys and features; other columns of the label model are looked up by event.

    Raises:
        ValueError: a slice names no column.
    """
    wanted = data.model.monitoring.slices
    known = [str(column) for column in rows.columns]
    if any(not any(column == name or column.endswith(f"__{name}") for column in known) for name in wanted):
        keys = [*data.keys, EVENT_TIME]
        first, last = data.day(rows[EVENT_TIME].min()), data.day(rows[EVENT_TIME].max())
        events = data.events(first, last + timedelta(days=1), as_of=as_of)
        more = [column for column in events.columns if column in wanted and column not in rows.columns]
        rows = rows[keys].merge(events[[*keys, *more]], on=keys, how="left", validate="one_to_one")
    return {name: rows[name].to_numpy() for name in slice_columns(data.model, rows)}


def profiled(
    data: ModelData, rows: pd.DataFrame, *, columns: Sequence[FeatureColumn], as_of: datetime
) -> Slices | None:
    """The slices of a reference that are large enough to be compared with; None where the YAML names none.

    Args:
        data: of the monitored model.
        rows: of the reference, in the order of time.
        columns: the features.
        as_of: by when the rows were known.
    """
    if not data.model.monitoring.slices:
        return None
    grid = slice_grid(rows, kinds(columns))
    return Slices(grid, slice_references(grid, rows, slices_of(data, rows, as_of=as_of)))


def write_slices(lake: Lake, model: str, version: int, slices: Slices | None) -> None:
    """Keep the slices of what a version was fitted on."""
    if slices is not None:
        kept = {name: {"profile": ref.profile.to_json(), "usual": ref.usual} for name, ref in slices.references.items()}
        text = json.dumps({"grid": slices.grid.to_json(), "slices": kept})
        write_text(reference_folder(lake, model, version) / FILE, text)


def read_slices(lake: Lake, model: str, version: int) -> Slices:
    """The slices of a version.

    Raises:
        CannotJudge: the version has none.
    """
    path = reference_folder(lake, model, version) / FILE
    slices = read_state_by(path, _slices_of, lost="slices are not watched until the next promotion")
    if slices is None:
        raise CannotJudge(
            f"version {version} was promoted without profiles of its slices", "The next promotion keeps them"
        )
    return slices


def _slices_of(kept: dict[str, Any]) -> Slices:
    grid = Grid.from_json(kept["grid"])
    pairs = {name: (Profile.from_json(ref["profile"], grid), ref["usual"]) for name, ref in kept["slices"].items()}
    return Slices(grid, {name: SliceReference(profile, usual) for name, (profile, usual) in pairs.items()})
