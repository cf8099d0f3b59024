"""All sources of the platform together: what is pending, and what the features were built from.

Here: reading all sources and the last build. Not here: holding them against each other (`outlook`), one source's files
(`intake`), starting runs (`assets.platform.sensors`).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from shlex import quote

from mlops_assets.core.source_groups import Group
from mlops_assets.core.sources.settings import SourceSettings, day_of
from mlops_assets.core.time.spans import Span
from mlops_assets.world.atomic import write_text
from mlops_assets.world.files.state_files import DamagedFile, read_state
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake
from mlops_assets.world.landed.landed_files import may_read
from mlops_assets.world.landed.outlook import Outlook, Period, _is_covered, _period, content_of, look_of, outlook_of
from mlops_assets.world.landed.partitions import TakenRecord
from mlops_assets.world.project import PROJECT
from mlops_assets.world.settings_files import Declared, read_settings

DEFS = PROJECT.defs


Fingerprints = dict[str, dict[str, str]]
"""Content of each partition by source and partition."""


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
            folder = self.lake.home.landing / name
            if folder.exists() and not may_read(folder):
                damaged[name] = f"Nobody gave the right to list {folder}: chmod u+rx {quote(str(folder))}"
                continue
            try:
                whole[name] = Intake(lake=self.lake, source=source, known=TakenRecord(self.lake.home, name).entries())
            except DamagedFile as error:
                damaged[name] = str(error)
        return whole, damaged

    def good(self) -> Fingerprints:
        """What the lake holds now, by source and partition, of the `whole` ones."""
        return {
            name: {key: content_of(intake, key, entry) for key, entry in intake.good().items()}
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
        lost = "the next run builds the features of all days anew, and writes it"
        return read_state(self._built_file, Fingerprints, lost=lost) or {}

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
        looks = {name: look_of(intake, built.get(name, {})) for name, intake in whole_ones.items()}
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
            outlook = outlook_of(mine, guests, is_built=any(built.get(name) for name in mine))
            guests = {} if outlook.periods else guests
            periods += outlook.periods
            waiting += outlook.waiting
        if guests and any(built.values()):
            periods.append(_period("none", None, None, guests, tuple(sorted(guests))))
        return Outlook(periods, waiting)
