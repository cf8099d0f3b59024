"""How far behind sources and feature views are, in time: the one measure of what is fresh.

Here: the lag of each source against what its YAML allows, and of each feature view against its sources. Not here: what
is told of it (`source_alarms`, `keep.standing`), Dagster's checks of it (`assets.platform.freshness`). Imports nothing
of Dagster's graph, so that `mlops status` may ask too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.sources.settings import SourceSettings, day_of
from mlops_assets.core.time.spans import Span
from mlops_assets.core.time.windows import parse_duration
from mlops_assets.world.platform import Platform


@dataclass(frozen=True)
class SourceLag:
    """How old the newest good data of a source is, by the home's clock.

    Attributes:
        end: of its newest good partition; None where none has come.
        now: by that clock.
        fresh_for: how old it may be, as the YAML says it.
        is_over: nothing more is to come, by its `end`.
    """

    end: datetime | None
    now: datetime
    fresh_for: str
    is_over: bool = False

    @property
    def age(self) -> timedelta | None:
        """How old it is; None where nothing has come."""
        return self.now - self.end if self.end else None

    @property
    def missed(self) -> timedelta:
        """By how much it is older than allowed; zero where it is not, or where nothing has ever come."""
        if self.age is None or self.is_over:
            return timedelta()
        return max(self.age - parse_duration(self.fresh_for), timedelta())

    @property
    def is_stale(self) -> bool:
        """Whether it is older than allowed, or has never come."""
        return not self.is_over and (self.age is None or self.missed > timedelta())

    def sentence(self, name: str) -> str:
        """What is to be said of a source of this name."""
        if self.end is None:
            return f"Source {name} is stale: its newest good partition has never come, allowed are {self.fresh_for}."
        ended = f"its newest good partition ended {self.end:%Y-%m-%d %H:%M} UTC, {hours_of(self.age)} hours ago"
        if self.is_over:
            return f"Source {name} is over: {ended}."
        if not self.is_stale:
            return f"Source {name} is fresh: {ended}; allowed are {self.fresh_for}."
        missed = f"{hours_of(self.missed)} hours more than the {self.fresh_for} that are allowed"
        return f"Source {name} is stale: {ended}, {missed}."


def hours_of(length: timedelta | None) -> str:
    """A length of time in hours, in words; `?` where it is not known."""
    return "?" if length is None else f"{length.total_seconds() / 3600:,.0f}"


def source_lags(platform: Platform) -> dict[str, SourceLag]:
    """The lag of each partitioned source that is in use: a group of which nothing has ever come is not.

    With the data clock a source is behind the others of its group: a year that is over is not stale.
    """
    intakes = {n: i for n, i in platform.sources.whole().items() if i.source.grain != "none"}
    ends = {name: intake.newest_end() for name, intake in intakes.items()}
    groups, lags = platform.groups(), dict[str, SourceLag]()
    for name, end in ends.items():
        source = intakes[name].source
        known = [e for group in groups if name in group for n in group if (e := ends.get(n))]
        if known:
            now = datetime.now(UTC) if platform.home.settings.clock == "wall" else max(known)
            lags[name] = SourceLag(end, now, source.fresh_for, source.is_over(end))
    return lags


def view_lags(platform: Platform) -> dict[str, Span | None]:
    """The days that each feature view lacks and its required sources have; None where it lacks none.

    A view is left out while nothing that it reads by the day has come.
    """
    settings = platform.sources.settings()
    good = platform.sources.good()
    lags: dict[str, Span | None] = {}
    for view in platform.catalogue.views:
        required = [s for s in daily_sources(platform.catalogue, settings, view.name) if good.get(s.name)]
        if not required:
            continue
        newest = min(day_of(max(good[source.name])) for source in required)
        built = max(platform.lake.partitions("features", view.name), default=None)
        lags[view.name] = None
        if built is None or built < newest:
            first = built + timedelta(days=1) if built else required[0].start_date
            lags[view.name] = Span(first, newest + timedelta(days=1))
    return lags


def daily_sources(catalogue: Catalogue, settings: Mapping[str, SourceSettings], view: str) -> list[SourceSettings]:
    """The sources by the day that a view cannot do without."""
    sources = [settings[name] for name in catalogue.sources_of([view]) if name in settings]
    return [source for source in sources if source.grain == "day" and source.required]


def lacking(span: Span | None) -> timedelta:
    """How much of its sources' time a view lacks."""
    return span.end - span.start if span else timedelta()
