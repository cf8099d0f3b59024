"""Whether a model has to be looked at: what its decision stands on, as a stamp, and when time alone changes it.

Here: the files and aliases that `evidence.gather` reads, and the moments that `core.decide` compares the clock with.
Not here: reading any of them, deciding. A thousand models are asked at every tick, so nothing is opened: times and
sizes of a dozen files a model, however long its history is. Whoever writes below a table gives the table's folder that
time (`world.atomic`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from mlops_assets.core.decide.agreed.triggers import OnSchedule
from mlops_assets.core.decide.triggers import age_due
from mlops_assets.core.record.entries import ACTED, Decision, Freeze, Snooze, only
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.time.quiet_hours import quiet_until
from mlops_assets.core.time.windows import midnight, parse_duration
from mlops_assets.world.landed.partitions import TakenRecord
from mlops_assets.world.platform import Platform, fitted_until, hold
from mlops_assets.world.runs.training_runs import TrainingRuns

Rested = tuple[str, str | None]
"""The stamp of what a decision stood on, and when time alone changes it (ISO 8601), if ever."""
_Stamp = tuple[int, int, int] | None
_DAY = timedelta(days=1)


class Revisions:
    """What stands in a home at one moment, for all of its models. What they share is looked at once."""

    def __init__(self, platform: Platform) -> None:
        """Look at what is shared by all: settings, dbt's models, the home, aliases of versions."""
        self._platform = platform
        self._lake = os.fspath(platform.home.lake)
        self._record, self._runs = platform.ledger.record, TrainingRuns(platform.home.root)
        self._stamps: dict[str, _Stamp] = {}
        self._sources: dict[tuple[str, ...], list[str]] = {}
        self._aliases = platform.registry.aliases()
        shared: list[str | Path] = [
            platform.home.settings_file,
            f"{self._lake}/_code.json",
            f"{self._lake}/_built.json",
        ]
        # What is agreed on for all trainings decides whether one starts at once or waits for its turn.
        agreed = platform.trainings_policy()
        parts = [platform.declared_stamp(), [self._of(path) for path in shared]]
        self._shared = _digest(*parts, *([agreed] if agreed else []))

    def of(self, model: ModelSettings) -> str:
        """Changes whenever something does that a decision on the model may stand on."""
        lake, name = self._lake, model.name
        files: list[str | Path] = [
            self._record.file(name),
            self._record.head_file(name),
            self._runs.file(name),
            f"{lake}/models/{name}",
            f"{lake}/labels/{model.label.model}",
            *self._platform.pipeline_places(model),
            *self._files_of_sources(model),
        ]
        stamps = [self._of(file) for file in files]
        pool = self._aliases.get(model.pool, {}) if isinstance(model, MemberSettings) else {}
        return _digest(self._shared, self._aliases.get(name, {}), pool, stamps, _below(f"{lake}/reports/{name}"))

    def _files_of_sources(self, model: ModelSettings) -> list[str]:
        """What was taken in of each source of a model, and its table: as a rule several models read the same."""
        read = (*model.features, model.label.model)
        if read not in self._sources:
            sources, home = sorted(self._platform.catalogue.sources_of(read)), self._platform.home
            taken = [os.fspath(TakenRecord(home, source).file) for source in sources]
            self._sources[read] = [*taken, *(f"{self._lake}/raw/{source}" for source in sources)]
        return self._sources[read]

    def _of(self, path: str | Path) -> _Stamp:
        key = os.fspath(path)
        if key not in self._stamps:
            self._stamps[key] = _stamp(key)
        return self._stamps[key]


def stamp_of_files(*files: Path) -> str:
    """Changes when one of these files does, or something below one of these tables."""
    return _digest([_stamp(os.fspath(file)) for file in files])


def _digest(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def _stamp(path: str) -> _Stamp:
    try:
        known = os.stat(path)  # noqa: PTH116  a thousand models at every tick: a Path costs more than the call
    except FileNotFoundError:
        return None
    return known.st_mtime_ns, known.st_size, known.st_ino


def _below(folder: str) -> list[tuple[str, int]]:
    """The tables of a folder, each with the time of what was written below it last."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries)
    except FileNotFoundError:
        return []


def changes_at(platform: Platform, model: ModelSettings, now: datetime) -> datetime | None:
    """When a decision may become another although nothing was written; None where the clock is that of the data.

    A day has gone by, or so much of it as the fraction in the longest delay of a label; hours of a window have; a
    freeze, a snooze, the cooldown, the budget's period or quiet hours end; a schedule or an age comes due.
    """
    if platform.home.settings.clock == "data":
        return None
    return min(moment for moment in _moments(platform, model, now) if moment > now)


def _moments(platform: Platform, model: ModelSettings, now: datetime) -> Iterator[datetime]:
    policy, today = model.retrain_policy, now.astimezone(model.zone).date()
    yield midnight(today + _DAY, model.timezone)
    yield midnight(today, model.timezone) + parse_duration(model.label.max_delay) % _DAY
    if model.monitoring.rhythm.hours is not None:
        yield model.monitoring.rhythm.next_to_close(now, model.timezone).end
    for kind in (Freeze, Snooze):
        if (standing := hold(platform, model.name, kind)) is not None:
            yield standing.until
    acted = [entry for entry in only(platform.ledger.entries(model.name), Decision) if entry.action in ACTED]
    for entry in acted:
        yield entry.at + policy.cooldown
        yield entry.at + policy.budget_period
    if policy.quiet_hours and (until := quiet_until(policy.quiet_hours, now, policy.timezone)) is not None:
        yield until
    if (since := fitted_until(platform.registry.champion(model.name))) is not None:
        trained = [entry.at for entry in acted if entry.action == "retrain"]
        for trigger in policy.on or ():
            if isinstance(trigger, OnSchedule):
                yield trigger.due(max([since, *trained]), now, policy.timezone)[0]
        if (due := age_due(since, policy, trained)) is not None:
            yield due


def is_due(seen: Rested | None, stamp: str, now: datetime) -> bool:
    """Whether a model has to be looked at, by what was seen of it when it was looked at last."""
    if seen is None:
        return True
    before, at = seen
    return stamp != before or (at is not None and datetime.fromisoformat(at) <= now)
