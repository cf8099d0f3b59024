"""What a window's inputs are compared with: `monitoring.drift.reference`.

Here: `reference_of` a window. Not here: what a champion was trained on, as kept at its promotion (`references`), the
statistics (`core.drift`), the verdict (`drift_causes`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

from mlops_assets.core.drift.day_counts import DayCounts
from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS, Grid
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.drift.settings import pinned_days
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.time.windows import Window, local_days, midnight
from mlops_assets.steps.predict.references import SAMPLE, SEED, Reference, kinds, read_reference
from mlops_assets.steps.predict.slice_references import Slices, profiled, read_slices
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform

_YEAR = timedelta(days=364)
"""Whole weeks, so that a Monday is held against a Monday; months go by the calendar."""


@dataclass(frozen=True)
class Against:
    """What a window is compared with.

    Attributes:
        reference: all rows of it.
        slices: the grid of its slices and the profile of each; None where the YAML names none, or why there are none.
        warming_up: why the verdict has to wait, if it has.
        days: what each of some pinned days held, for levels calibrated on them; None for another reference.
    """

    reference: Reference
    slices: Slices | CannotJudge | None = None
    warming_up: str = ""
    days: DayCounts | None = None


def reference_of(platform: Platform, model: ModelSettings, window: Window, version: int) -> Against:
    """What the window is compared with.

    The scores are always held against those of the gate window: there is no other window that the version has
    scored and was not fitted on.

    Raises:
        FileNotFoundError: the version has no reference.
    """
    kept = read_reference(platform.lake, model.name, version)
    wanted = model.monitoring.drift.reference
    if wanted == "promotion":
        return Against(kept, _kept_slices(platform, model, version))
    start, end = _last_year(model, window) if wanted == "season" else pinned_days(wanted)
    data = platform.data(model)
    events = data.events(start, end, as_of=min(window.start, midnight(end, model.timezone)))
    if len(events) < MIN_REFERENCE_ROWS:
        warming_up = (
            f"Warming up: {start} to {end - timedelta(days=1)} holds {len(events):,} of the {MIN_REFERENCE_ROWS} rows "
            "that a reference needs. What follows is against the rows that the champion was trained on, and no verdict:"
        )
        return Against(kept, _kept_slices(platform, model, version), warming_up)
    rows = data.with_features(events)
    columns = data.columns
    grid = Grid.from_reference(rows, kinds(columns))
    sample = rows.sample(min(SAMPLE, len(rows)), random_state=SEED).sort_index()
    reference = replace(
        kept, features=Profile.of(grid, rows), sample=sample[[EVENT_TIME, *(column.name for column in columns)]]
    )
    slices = profiled(data, rows, columns=columns, as_of=platform.now(model))
    if wanted == "season" or model.monitoring.drift.levels == "preset":
        return Against(reference, slices)
    days = DayCounts.of(rows, kinds(columns), local_days(rows[EVENT_TIME], model.timezone))
    return Against(reference, slices, days=days)


def _kept_slices(platform: Platform, model: ModelSettings, version: int) -> Slices | CannotJudge | None:
    if not model.monitoring.slices:
        return None
    try:
        return read_slices(platform.lake, model.name, version)
    except CannotJudge as why:
        return why


def _last_year(model: ModelSettings, window: Window) -> tuple[date, date]:
    """The days of the same window a year ago."""
    start, end = (moment.astimezone(model.zone).date() for moment in (window.start, window.end))
    if model.monitoring.window == "month":
        return start.replace(year=start.year - 1), end.replace(year=end.year - 1)
    return start - _YEAR, end - _YEAR
