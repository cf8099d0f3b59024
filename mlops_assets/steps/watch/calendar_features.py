"""Features that go by the calendar: which a window leaves out of its comparison, and why.

Here: what feature views declare (`cycle`), and what the reference shows by itself. Not here: the rules
(`core.time.calendar_cycles`), the comparison (`drift_report`).
"""

from __future__ import annotations

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.calendar_cycles import Cycle, lacks_weekdays, part_of_cycle, weekly
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.watch.day_profiles import WindowSeen
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform


def calendar_features(
    platform: Platform, model: ModelSettings, window: Window, window_seen: WindowSeen
) -> dict[str, str]:
    """Feature -> why it is left out, of those that go by a longer cycle than the window, or than its rows."""
    cycles = declared_cycles(platform, model)
    reference, rows = window_seen.against.reference.sample, window_seen.sample
    has_times = EVENT_TIME in reference
    lacks = has_times and lacks_weekdays(reference[EVENT_TIME], rows[EVENT_TIME], tz=model.timezone)
    if has_times and part_of_cycle("week", window, lacks_weekdays=lacks):
        names = [str(name) for name in reference if name in rows and name not in {EVENT_TIME, *cycles}]
        cycles |= dict.fromkeys(weekly(reference, rows, names, time=EVENT_TIME, tz=model.timezone), "week")
    whys = {name: part_of_cycle(cycle, window, lacks_weekdays=lacks) for name, cycle in cycles.items()}
    return {name: why for name, why in whys.items() if why}


def declared_cycles(platform: Platform, model: ModelSettings) -> dict[str, Cycle]:
    """The features whose views say that the time of their row determines them, each with its cycle."""
    return {
        f"{view}__{feature.name}": feature.cycle
        for view in model.features
        for feature in platform.catalogue.view(view).features
        if feature.cycle
    }
