"""Which sources belong together: what is built from them is built in one run, and waits for all of them.

Here: the groups, and the name of the job that carries one. Not here: the jobs (`assets.jobs`), what is pending
(`world.landed.sources`).

Two sources are of one group when a feature view, label model or monitored model reads both. So a model waits for
its own sources and for nobody else's, and a bad file of one group stops no other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from mlops_assets.core.features.catalogue import Catalogue
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.sources.settings import Grain, SourceSettings

Group = frozenset[str]
"""Names of sources."""


def source_groups(
    catalogue: Catalogue,
    sources: Mapping[str, SourceSettings],
    models: Iterable[ModelSettings],
    *,
    known: Callable[[str], bool] = lambda _: True,
    broken: Collection[str] = (),
) -> list[Group]:
    """The groups of the declared sources, in the order of their first names; each source is in one of them.

    Unpartitioned sources that nothing reads (`loose`) are one group, the last; a partitioned one is a group of its own.

    Args:
        catalogue: dbt's models.
        sources: by name.
        models: that read them.
        known: whether a model of dbt joins what it reads; by default each does.
        broken: names that may be those of sources whose declaration cannot be read: what is joined with one of them
            belongs to it.
    """
    read = [frozenset(view.sources) for view in catalogue.views if known(view.name)]
    read += [frozenset(label.sources) for label in catalogue.labels if known(label.name)]
    read += [catalogue.sources_of([*model.features, model.label.model]) for model in models]
    unread = sorted(sources.keys() - frozenset[str]().union(*read))
    alone = [frozenset({name}) for name in unread if sources[name].grain != "none"]
    whole = frozenset(name for name in unread if sources[name].grain == "none")
    named = sources.keys() | set(broken)
    return [*joined([*(group & named for group in read), *alone]), *([whole] if whole else [])]


def joined(sets: Iterable[Collection[str]]) -> list[Group]:
    """The sets with those that share a member made one, in the order of their first members; empty ones left out."""
    groups: list[Group] = []
    for each in map(frozenset, sets):
        meeting = [group for group in groups if group & each]
        groups = [group for group in groups if not group & each]
        if merged := each.union(*meeting):
            groups.append(merged)
    return sorted(groups, key=min)


def landing_job(sources: Mapping[str, SourceSettings], group: Collection[str], grain: Grain) -> str:
    """The name of the job that carries partitions of one grain of a group: that of the first such source.

    A changed unpartitioned table is carried by the job of the group's partitions.
    """
    grains = {grain} if grain != "none" else {"day", "week", "month"}
    of_grain = [name for name in group if name in sources and sources[name].grain in grains]
    return f"landing_{min(of_grain or group)}"
