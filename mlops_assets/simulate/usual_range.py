"""What is replayed when nobody says from when to when: the newest two thirds of what has landed.

Here: choosing start, end and period. Not here: the replay (`replay`).
"""

from __future__ import annotations

from datetime import date, timedelta

from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import day_of
from mlops_assets.core.time.windows import midnight, parse_duration, window_at
from mlops_assets.simulate.replay import CannotReplay
from mlops_assets.world.platform import Platform

MOST_PERIODS = 24
"""With a longer history, the newest so many."""


def usual_period(platform: Platform, model: ModelSettings, every: str | None) -> tuple[date, date, str]:
    """Start, end and length of a period that suit what has landed for a model.

    The first third trains the first champion; or twice the gate's window and the longest wait for a label, if that is
    longer: labels must have come both for what is trained on and for what is judged.

    Raises:
        CannotReplay: nothing has landed, or too little.
    """
    first, end = _landed(platform, model)
    days = (end - first).days
    chosen = every or ("month" if days > 180 else "week" if days > 28 else "day")
    needed = 2 * (parse_duration(model.gate.window) + parse_duration(model.label.max_delay)).days
    start = first + timedelta(days=max(days // 3, min(needed, 2 * days // 3)))
    step = {"month": 31, "week": 7, "day": 1}[chosen]
    start = max(start, end - timedelta(days=MOST_PERIODS * step))
    # From the next whole period on.
    whole = window_at(midnight(start, model.timezone), chosen, model.timezone)
    if whole.start < midnight(start, model.timezone):
        start = whole.end.astimezone(model.zone).date()
    if start >= end:
        raise CannotReplay(
            f"only {days} days have landed for {model.name} ({first} to {end}): too few for a first champion and a "
            f"{chosen} after it. Land more history, or give --start, --end and a shorter --every."
        )
    return start, end, chosen


def _landed(platform: Platform, model: ModelSettings) -> tuple[date, date]:
    """The first day that has landed of every required source, and the day after the last."""
    firsts, ends = [], []
    for name, intake in platform.sources.intakes().items():
        if name not in platform.group_of(model) or intake.source.grain == "none" or not intake.source.required:
            continue
        keys = [day_of(key) for key in intake.landed_files()]
        if not keys:
            raise CannotReplay(f"nothing has landed of {name}: put {intake.source.files} into {intake.folder} first.")
        firsts.append(min(keys))
        ends.append(intake.source.end_of(max(keys)))
    return max(firsts), min(ends)
