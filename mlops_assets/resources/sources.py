"""All sources of the platform together: what is pending, and what the features were built from.

Here: the comparison of landing, lake and the last build, from which the landing sensor derives its work.
Not here: one source's files (`intake`), starting runs (`defs.sensors`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg

from mlops_assets.core.settings import Grain, SourceSettings, read_settings
from mlops_assets.core.spans import Span, contiguous
from mlops_assets.resources.atomic import write_text
from mlops_assets.resources.home import PROJECT_ROOT
from mlops_assets.resources.intake import WHOLE, Intake, Taken
from mlops_assets.resources.lake import Lake

DEFS = PROJECT_ROOT / "mlops_assets" / "defs"

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
        key: changes with the content, so that the same tick twice asks for the same run.
    """

    grain: Grain
    first: date | None
    last: date | None
    take_in: tuple[str, ...]
    key: str


class Sources(dg.ConfigurableResource):
    """Every source declared in YAML, over one lake.

    Attributes:
        lake: the lake they are taken into.
        folder: where the YAML is; empty means the package's `defs/`.
    """

    lake: Lake
    folder: str = ""

    def settings(self) -> dict[str, SourceSettings]:
        """The declared sources by name."""
        return read_settings(Path(self.folder) if self.folder else DEFS, SourceSettings)

    def intakes(self) -> dict[str, Intake]:
        """Each source with its lake."""
        return {name: Intake(lake=self.lake, source=source) for name, source in self.settings().items()}

    def good(self) -> Fingerprints:
        """What the lake holds now, by source and partition."""
        return {
            name: {partition: _content(intake, partition, entry) for partition, entry in intake.good().items()}
            for name, intake in self.intakes().items()
        }

    def newest_end(self) -> date | None:
        """The first day after the newest good partition of any source."""
        ends = [
            intake.source.end_of(date.fromisoformat(max(good)))
            for intake in self.intakes().values()
            if intake.source.grain != "none" and (good := intake.good())
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
                    if span is None or partition == WHOLE or span.start <= date.fromisoformat(partition) < span.end:
                        entries[partition] = sha
            write_text(self._built_file, json.dumps(built, indent=1, sort_keys=True))

    def pending(self) -> list[Period]:
        """What has to be carried from landing to the reports, oldest first; empty when all is done."""
        intakes, built = self.intakes(), self.built()
        work = {name: _work(intake, built.get(name, {})) for name, intake in intakes.items()}
        whole = {name: todo for name, todo in work.items() if intakes[name].source.grain == "none" and todo}
        periods: list[Period] = []
        for grain in ("day", "week", "month"):
            sources = {name: i for name, i in intakes.items() if i.source.grain == grain}
            if not sources:
                continue
            open_until = _closed_partitions(sources)
            keys = {date.fromisoformat(key) for name in sources for key in work[name]} & open_until
            following = next(iter(sources.values())).source.end_of
            for first, last in contiguous(keys, following):
                changed = {
                    name: {key: state for key, state in work[name].items() if first <= date.fromisoformat(key) <= last}
                    for name in sources
                }
                periods.append(_period(grain, first, last, {**changed, **whole}))
        if whole and not periods and any(built.values()):
            periods.append(_period("none", None, None, whole))
        return periods


def _work(intake: Intake, built: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Partition -> (`take in` or `build`, what identifies the content) for all that is not in the last build."""
    taken = intake.taken()
    landed = intake.landed()
    work = {key: ("take in", _identity(landed[key], taken.get(key))) for key in intake.pending()}
    for key, entry in intake.good().items():
        if key not in work and key in landed and built.get(key) != _content(intake, key, entry):
            work[key] = ("build", entry.sha256)
    return work


def _content(intake: Intake, key: str, entry: Taken) -> str:
    """What the lake's rows were made of: a quarantined correction has another hash than the rows that stay."""
    return entry.sha256 if entry.status == "good" else Lake.fingerprint(intake.raw_file(key))


def _identity(path: Path, taken: Taken | None) -> str:
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}:{taken.status if taken else 'new'}"


def _closed_partitions(sources: Mapping[str, Intake]) -> set[date]:
    """Partitions that every required source of a grain has (in landing or in the lake)."""
    required = [intake for intake in sources.values() if intake.source.required] or list(sources.values())
    closed: set[date] | None = None
    for intake in required:
        taken = intake.taken()
        bad = {key for key, entry in taken.items() if entry.status == "quarantined"} - set(intake.good())
        pending = set(intake.pending())
        have = {date.fromisoformat(key) for key in (set(intake.landed()) - bad) | (pending & bad)}
        closed = have if closed is None else closed & have
    return closed or set()


def _period(grain: Grain, first: date | None, last: date | None, changed: Mapping[str, Mapping[str, tuple[str, str]]]) -> Period:
    take_in = tuple(
        sorted(name for name, todo in changed.items() if any(what == "take in" for what, _ in todo.values()))
    )
    content = json.dumps([grain, str(first), str(last), {name: dict(todo) for name, todo in changed.items()}], sort_keys=True)
    return Period(grain, first, last, take_in, hashlib.sha256(content.encode()).hexdigest()[:16])
