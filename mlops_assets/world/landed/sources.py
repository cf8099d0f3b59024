"""All sources of the platform together: what is pending, and what the features were built from.

Here: the comparison of landing, lake and the last build, from which the landing sensor derives its work.
Not here: one source's files (`intake`), starting runs (`assets.platform.sensors`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.source_groups import Group
from mlops_assets.core.sources.settings import Grain, SourceSettings, day_of
from mlops_assets.core.time.spans import Span, contiguous
from mlops_assets.world.atomic import write_text
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import WHOLE, Intake, LandedFile, Taken
from mlops_assets.world.landed.partitions import DamagedTaken, TakenRecord
from mlops_assets.world.project import PROJECT
from mlops_assets.world.settings_files import Declared, read_settings

DEFS = PROJECT.defs

GRAINS: tuple[Grain, ...] = ("day", "week", "month")

Fingerprints = dict[str, dict[str, str]]
"""Content of each partition by source and partition."""


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


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Every source declared in YAML, over one lake.

    Attributes:
        lake: the lake they are taken into.
        folder: where the YAML is; empty means the package's `defs/`.
    """

    lake: Lake
    folder: str = ""

    def settings(self) -> Declared[SourceSettings]:
        """The declared sources by name; a file is parsed again when it has changed."""
        return read_settings(Path(self.folder) if self.folder else DEFS, SourceSettings)

    def intakes(self) -> dict[str, Intake]:
        """Each source with its lake."""
        return {name: Intake(lake=self.lake, source=source) for name, source in self.settings().items()}

    def damaged(self) -> dict[str, str]:
        """Sources whose declaration or record of what was taken in cannot be read, each with why and what to do."""
        return self._read()[1]

    def whole(self) -> dict[str, Intake]:
        """Each source with its lake, but for those that are `damaged`: what they hold nobody knows.

        What was taken in is read once, here: to look again, ask again.
        """
        return self._read()[0]

    def _read(self) -> tuple[dict[str, Intake], dict[str, str]]:
        """Those that are whole, and why the others are not."""
        settings = self.settings()
        whole: dict[str, Intake] = {}
        damaged = {name: file.sentence for name, file in settings.unread.items()}
        for name, source in settings.items():
            try:
                whole[name] = Intake(lake=self.lake, source=source, known=TakenRecord(self.lake.home, name).entries())
            except DamagedTaken as error:
                damaged[name] = str(error)
        return whole, damaged

    def good(self) -> Fingerprints:
        """What the lake holds now, by source and partition, of the `whole` ones."""
        return {
            name: {key: _content(intake, key, entry) for key, entry in intake.good().items()}
            for name, intake in self.whole().items()
        }

    def newest_end(self) -> date | None:
        """The first day after the newest good partition of any source."""
        settings = self.settings()
        ends = [
            settings[name].end_of(day_of(max(good)))
            for name, good in self.good().items()
            if settings[name].grain != "none" and good
        ]
        return max(ends, default=None)

    @property
    def _built_file(self) -> Path:
        return self.lake.folder("_built.json")

    def built(self) -> Fingerprints:
        """What the features were last built from."""
        return json.loads(self._built_file.read_text()) if self._built_file.exists() else {}

    def mark_built(self, good: Fingerprints, span: Span | None) -> None:
        """Put on record that the features of `span` (None: all) stand on this content."""
        with (self.lake.folder(".built.lock")).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            built = self.built()
            for name, partitions in good.items():
                entries = built.setdefault(name, {})
                for partition, sha in partitions.items():
                    if _is_covered(partition, span, known=partition in entries):
                        entries[partition] = sha
            write_text(self._built_file, json.dumps(built, indent=1, sort_keys=True))

    def unbuilt(self) -> dict[str, list[str]]:
        """Partitions of which the lake holds rows that the features were not built from yet, by source.

        Of a source that nothing was ever built from there are none: no feature stands on it.
        """
        built = self.built()
        return {
            name: keys
            for name, good in self.good().items()
            if built.get(name) and (keys := [key for key, content in good.items() if built[name].get(key) != content])
        }

    def pending(self, groups: Sequence[Group] | None = None) -> list[Period]:
        """What has to be carried from landing to the reports, oldest first; empty when all is done."""
        return self.outlook(groups).periods

    def outlook(self, groups: Sequence[Group] | None = None) -> Outlook:
        """What has to be carried now, and what can't be yet and why.

        A changed unpartitioned table changes the features of every day: it gets a run over everything. Before
        the first build there is nothing to build again, and it goes with the first partitions.

        Args:
            groups: sources that belong together (`core.source_groups`): one group waits for none of the others. None:
            all do.
        """
        built = self.built()
        whole_ones, damaged = self._read()
        looks = {name: _look(intake, built.get(name, {})) for name, intake in whole_ones.items()}
        # Only what is joined with a source that is damaged waits for it.
        groups = groups or [frozenset([*whole_ones, *damaged])]
        whole = [group for group in groups if not group & damaged.keys()]
        together = [{n: look for n, look in looks.items() if n in group} for group in whole]
        # Tables that no partition belongs to wait for nobody: the first time they go with whatever goes first.
        guests = {
            name: look.work
            for of in together
            if all(look.grain == "none" for look in of.values()) and not any(built.get(name) for name in of)
            for name, look in of.items()
            if look.work
        }
        periods: list[Period] = []
        waiting = [why for name, why in damaged.items() if any(name in group for group in groups)]
        for mine in together:
            outlook = _outlook(mine, guests, is_built=any(built.get(name) for name in mine))
            guests = {} if outlook.periods else guests
            periods += outlook.periods
            waiting += outlook.waiting
        if guests and any(built.values()):
            periods.append(_period("none", None, None, guests, tuple(sorted(guests))))
        return Outlook(periods, waiting)


def _outlook(looks: Mapping[str, _Look], guests: Mapping[str, _Work], *, is_built: bool) -> Outlook:
    """What one group of sources has to carry.

    Args:
        looks: its sources.
        guests: work on other, unpartitioned tables, that its first run takes along.
        is_built: whether something was built from the group before.
    """
    is_partitioned = any(look.grain != "none" for look in looks.values())
    absent = {name for name, look in looks.items() if look.is_awaited_whole and is_partitioned}
    waiting = [_absent(looks[name], sorted(looks.keys() - absent)) for name in sorted(absent)]
    if waiting:
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


_Work = Mapping[str, tuple[str, str]]
"""Partition -> (`take in` or `build`, its content's identity)."""


@dataclass(frozen=True)
class _Look:
    """One source at one moment: what has to be done for which partition, and which it has at all.

    Attributes:
        intake: the source.
        work: partition -> (`take in` or `build`, its content's identity) of all that the last build lacks.
        have: partitions whose rows are in the lake, or whose file is to be taken in.
        quarantined: partitions whose newest file is bad; some of them have older rows in the lake.
    """

    intake: Intake
    work: _Work
    have: frozenset[str]
    quarantined: frozenset[str]

    @property
    def source(self) -> SourceSettings:
        return self.intake.source

    @property
    def grain(self) -> Grain:
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
        return any(what == "take in" for what, _ in self.work.values())

    def between(self, first: date, last: date) -> dict[str, tuple[str, str]]:
        return {key: todo for key, todo in self.work.items() if first <= day_of(key) <= last}


def _look(intake: Intake, built: Mapping[str, str]) -> _Look:
    state = intake.state()
    until = intake.lake.home.settings.until
    good = {key: entry for key, entry in state.good.items() if intake.is_visible(key, until)}
    work = {
        key: ("take in", _identity(state.landed[key], state.taken.get(key), lost=key not in good))
        for key in state.pending
    }
    quarantined = {key for key, entry in state.taken.items() if entry.status == "quarantined"} - set(work)
    for key, entry in good.items():
        if key not in work and built.get(key) != (content := _content(intake, key, entry)):
            work[key] = ("build", _identity(entry) if entry.status == "good" else content)
    return _Look(intake, work, frozenset([*good, *work]), frozenset(quarantined))


def _content(intake: Intake, key: str, entry: Taken) -> str:
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


def _open(sources: Mapping[str, _Look]) -> tuple[set[date], list[str]]:
    """Partitions with work that no required source holds back; and of the others, what they wait for."""
    keys = {day_of(key) for look in sources.values() for key in look.work}
    closed, held = set(keys), []
    for look in sources.values():
        have = {day_of(key) for key in look.have}
        if missing := sorted(key for key in keys - have if look.awaits(key)):
            closed -= set(missing)
            held.append(_held(look, missing))
    return closed, held


def _ranges(keys: set[date], sources: Mapping[str, _Look]) -> list[tuple[date, date]]:
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


def _absent(look: _Look, others: Sequence[str]) -> str:
    if look.quarantined:
        what = f"Its file is in quarantine (mlops quarantine list, which says what to do): land {look.source.files} in"
    else:
        what = f"Put {look.source.files} into"
    wait = f"{others[0]} waits" if len(others) == 1 else f"{', '.join(others[:-1])} and {others[-1]} wait"
    return f"{wait} for {look.source.name}. {what} {look.intake.folder}."


def _held(look: _Look, missing: list[date]) -> str:
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
