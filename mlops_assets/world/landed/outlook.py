"""What one group of sources has to carry, and what the rest waits for.

Here: landing, lake and the last build held against each other, partition by partition. Not here: reading them
(`sources`), starting runs (`assets.platform.sensors`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.sources.settings import Grain, SourceSettings, day_of
from mlops_assets.core.time.spans import Span, contiguous
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake, Taken
from mlops_assets.world.landed.landed_files import WHOLE, LandedFile

GRAINS: tuple[Grain, ...] = ("day", "week", "month")
_Work = Mapping[str, tuple[str, str]]
"""Partition -> (`take in` or `build`, its content's identity)."""


@dataclass(frozen=True)
class Period:
    """A closed, unbroken range of partitions that something has to be done for.

    Attributes:
        grain: of the partitions; `none` when only unpartitioned sources changed.
        first: first partition (None with grain `none`).
        last: last partition, included.
        take_in: sources whose files have to be taken in, the others are in the lake already.
        sources: the group of sources that it is about; what is built from them is built.
        key: changes with the content, so that the same tick twice asks for the same run.
    """

    grain: Grain
    first: date | None
    last: date | None
    take_in: tuple[str, ...]
    sources: tuple[str, ...]
    key: str


@dataclass(frozen=True)
class Outlook:
    """What can be carried now, and what the rest waits for, in sentences."""

    periods: list[Period]
    waiting: list[str]


def outlook_of(looks: Mapping[str, SourceLook], guests: Mapping[str, _Work], *, is_built: bool) -> Outlook:
    """What one group of sources has to carry.

    Args:
        looks: its sources.
        guests: work on other, unpartitioned tables, that its first run takes along.
        is_built: whether something was built from the group before.
    """
    is_partitioned = any(look.grain != "none" for look in looks.values())
    absent = {name for name, look in looks.items() if look.is_awaited_whole and is_partitioned}
    waiting = [_absent(looks[name], sorted(looks.keys() - absent)) for name in sorted(absent)]
    waiting += [file.no_right for look in looks.values() for file in look.no_right.values()]
    if absent:
        # Features are joined from all of them: to build without one would publish half of a feature.
        return Outlook([], waiting)
    group = tuple(sorted(looks))
    whole = {name: look.work for name, look in looks.items() if look.grain == "none" and look.work}
    periods: list[Period] = []
    if whole and is_built:
        periods.append(_period("none", None, None, whole, group))
        whole = {}
    for grain in GRAINS:
        sources = {name: look for name, look in looks.items() if look.grain == grain}
        keys, held = _open(sources)
        waiting += held
        for first, last in _ranges(keys, sources):
            changed = {name: look.between(first, last) for name, look in sources.items()}
            periods.append(_period(grain, first, last, {**changed, **whole, **guests}, (*group, *guests)))
            guests = {}
    return Outlook(periods, waiting)


def _is_covered(partition: str, span: Span | None, *, known: bool) -> bool:
    """Whether a build of `span` brought the features up to this partition.

    A build of some days has not done so for an unpartitioned table that had been built on before: the
    features of all other days still stand on its old content.
    """
    if span is None:
        return True
    if partition == WHOLE:
        return not known
    return span.start <= day_of(partition) < span.end


@dataclass(frozen=True)
class SourceLook:
    """One source at one moment: what has to be done for which partition, and which it has at all.

    Attributes:
        intake: the source.
        work: partition -> (`take in` or `build`, its content's identity) of all that the last build lacks.
        have: partitions whose rows are in the lake, or whose file is to be taken in.
        quarantined: partitions whose newest file is bad; some of them have older rows in the lake.
        no_right: partitions whose file nobody may read.
    """

    intake: Intake
    work: _Work
    have: frozenset[str]
    quarantined: frozenset[str]
    no_right: Mapping[str, LandedFile]

    @property
    def source(self) -> SourceSettings:
        """Its settings."""
        return self.intake.source

    @property
    def grain(self) -> Grain:
        """How often it lands."""
        return self.source.grain

    @property
    def is_awaited_whole(self) -> bool:
        """An unpartitioned table that everything waits for: it never came, or only a bad one did."""
        return self.grain == "none" and self.source.required and not self.have

    def awaits(self, partition: date) -> bool:
        """Whether others wait for this partition: it is one of a required source that has begun and is not over."""
        return self.source.required and self.source.has_partition(partition)

    @property
    def takes_in(self) -> bool:
        """Whether files have to be taken in."""
        return any(what == "take in" for what, _ in self.work.values())

    def between(self, first: date, last: date) -> dict[str, tuple[str, str]]:
        """Its work in a range of partitions, both included."""
        return {key: todo for key, todo in self.work.items() if first <= day_of(key) <= last}


def look_of(intake: Intake, built: Mapping[str, str]) -> SourceLook:
    """A source, held against what was built from it."""
    state = intake.state()
    until = intake.lake.home.settings.until
    good = {key: entry for key, entry in state.good.items() if intake.is_visible(key, until)}
    work = {
        key: ("take in", _identity(state.landed[key], state.taken.get(key), lost=key not in good))
        for key in state.pending
    }
    quarantined = {key for key, entry in state.taken.items() if entry.status == "quarantined"} - set(work)
    for key, entry in good.items():
        if key not in work and built.get(key) != (content := content_of(intake, key, entry)):
            work[key] = ("build", _identity(entry) if entry.status == "good" else content)
    return SourceLook(intake, work, frozenset([*good, *work]), frozenset(quarantined), state.no_right)


def content_of(intake: Intake, key: str, entry: Taken) -> str:
    """What the lake's rows were made of: a quarantined correction has another hash than they."""
    return entry.sha256 if entry.status == "good" else Lake.fingerprint(intake.raw_file(key))


def _identity(file: LandedFile | Taken, taken: Taken | None = None, *, lost: bool = False) -> str:
    """A landed file's content, without reading it: the same before it is taken in and after.

    So a tick in the middle of a run asks for the run that is under way, by the same key. What a person
    released, and what the lake has lost, is another matter than the file's first try.
    """
    name = file.file if isinstance(file, Taken) else file.name
    identity = f"{name}:{file.size}:{file.mtime_ns}"
    if isinstance(file, Taken):
        return f"{identity}:released" if file.reason else identity
    if taken is not None and taken.status == "released":
        return f"{identity}:released"
    return f"{identity}:lost since {taken.at}" if taken is not None and taken.status == "good" and lost else identity


def _open(sources: Mapping[str, SourceLook]) -> tuple[set[date], list[str]]:
    """Partitions with work that no required source holds back; and of the others, what they wait for."""
    keys = {day_of(key) for look in sources.values() for key in look.work}
    closed, held = set(keys), []
    for look in sources.values():
        have = {day_of(key) for key in look.have}
        if missing := sorted(key for key in keys - have if look.awaits(key)):
            closed -= set(missing)
            held.append(_held(look, missing))
    return closed, held


def _ranges(keys: set[date], sources: Mapping[str, SourceLook]) -> list[tuple[date, date]]:
    """Unbroken ranges, cut around what a source with files to take in has in quarantine.

    A run looks again at every partition of its range: one that is known to be bad would stop the good ones
    around it. Of a day whose hours come one by one it leaves the known bad hours out.
    """
    if not keys:
        return []
    following = next(iter(sources.values())).source.end_of
    known = {
        day_of(key)
        for look in sources.values()
        if look.takes_in and not look.source.is_hourly
        for key in look.quarantined
    }
    return sorted([*contiguous(keys - known, following), *((key, key) for key in keys & known)])


def _absent(look: SourceLook, others: Sequence[str]) -> str:
    if look.no_right:
        what = ""
    elif look.quarantined:
        what = f"Its file is in quarantine (mlops quarantine list, which says what to do): land {look.source.files} in"
    else:
        what = f"Put {look.source.files} into"
    wait = f"{others[0]} waits" if len(others) == 1 else f"{', '.join(others[:-1])} and {others[-1]} wait"
    return f"{wait} for {look.source.name}. {what and f'{what} {look.intake.folder}.'}".strip()


def _held(look: SourceLook, missing: list[date]) -> str:
    name = look.source.name
    quarantined = {day_of(key) for key in look.quarantined}
    bad = [key for key in missing if key in quarantined]
    absent = [key for key in missing if key not in quarantined]
    sentences = []
    if absent:
        sentences.append(f"{_named(absent)} waits for files of {name} in {look.intake.folder}.")
    if bad:
        sentences.append(f"{_named(bad)} waits for {name}, whose file is in quarantine: mlops quarantine list.")
    return " ".join(sentences)


def _named(keys: list[date]) -> str:
    return str(keys[0]) if len(keys) == 1 else f"{keys[0]} to {keys[-1]} ({counted(len(keys), 'partition')})"


def _period(
    grain: Grain,
    first: date | None,
    last: date | None,
    changed: Mapping[str, _Work],
    group: tuple[str, ...],
) -> Period:
    take_in = tuple(
        sorted(name for name, todo in changed.items() if any(what == "take in" for what, _ in todo.values()))
    )
    content = {name: {key: what for key, (_, what) in todo.items()} for name, todo in changed.items() if todo}
    payload = json.dumps([grain, str(first), str(last), content], sort_keys=True)
    return Period(grain, first, last, take_in, group, hashlib.sha256(payload.encode()).hexdigest()[:16])
