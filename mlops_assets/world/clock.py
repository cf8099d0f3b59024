"""What time it is in a home.

Here: the two clocks, `wall` and `data`. Not here: anything that acts on the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake


class NoDataYet(Exception):
    """The data clock has nothing to read: a required source has no good partition."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """The one clock of a home; freshness, online ttl, age and cooldown read it and nothing else.

    Attributes:
        lake: the lake whose home says which clock, and whose sources move the data clock.
    """

    lake: Lake

    def now(self, sources: Iterable[SourceSettings]) -> datetime:
        """The present moment for what depends on these sources, in UTC.

        With the data clock: the minimum over the partitioned, required sources of the end of the newest good
        partition, and never past the moment a replay has reached.

        Raises:
            NoDataYet: with the data clock, when a required source has nothing good yet.
        """
        settings = self.lake.home.settings
        if settings.clock == "wall":
            return datetime.now(UTC)
        ends = []
        for source in sources:
            if source.grain == "none" or not source.required:
                continue
            end = Intake(lake=self.lake, source=source).newest_end()
            if end is None:
                raise NoDataYet(
                    f"Source {source.name} has no good partition. Put its files into "
                    f"{self.lake.home.landing / source.name} (or release what is in quarantine: mlops quarantine list)."
                )
            ends.append(end)
        if not ends:
            raise NoDataYet("no partitioned, required source to tell the time by; declare one in defs/sources.")
        now = min(ends)
        return min(now, settings.until) if settings.until else now
