"""What a report on a change of feature models rests on: the days that both sides stand on, in code and in sentences.

Here: what of the home's features was not built from what has landed, and what is told of it. Not here: the report
(`report`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

from mlops_assets.core.features.catalogue import FeatureView
from mlops_assets.core.record.plain_values import counted
from mlops_assets.core.sources.settings import day_of
from mlops_assets.steps.features.code_versions import built_code
from mlops_assets.steps.features.dbt_ci import Change
from mlops_assets.world.landed.landed_files import WHOLE
from mlops_assets.world.platform import Platform

SAMPLE = 100_000
"""Rows a side whose values are laid side by side; counts are of all rows."""


def late_days(unbuilt: Mapping[str, Sequence[str]], view: FeatureView) -> set[date]:
    """The days on which the home's rows of a view do not stand on what has landed, and those built aside do."""
    return {day_of(key) for source in view.sources for key in unbuilt.get(source, ()) if key != WHOLE}


def left_out(sources: Collection[str], unbuilt: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What of these sources has landed and stands on one side only."""
    for source in sorted(sources & unbuilt.keys()):
        if WHOLE in unbuilt[source]:
            yield (
                f"WARNING: {source} has landed anew since this home's features were built: part of what differs may "
                "come from it. mlops up builds them."
            )
        else:
            days = sorted({day_of(key) for key in unbuilt[source]})
            yield (
                f"Left out on both sides: {counted(len(days), 'partition')} of {source}, {days[0]} to {days[-1]}, that "
                "this home's features were not built from yet. mlops up builds them."
            )


def newest_day(change: Change, platform: Platform, view: str, late: Collection[date]) -> date | None:
    """The newest day on which a changed view can be compared: of the home's own rows, or of a new view's sources.

    `late` are the days on which both sides stand on different rows.
    """
    lake = platform.lake
    if view in {old.name for old in change.before.views}:
        days = set(lake.partitions("features", view))
    else:
        days = {day for source in change.after.view(view).sources for day in lake.partitions("raw", source)}
    return max(days.difference(late), default=None)


def without_data(newest: Mapping[str, date | None], start: str | None) -> Iterator[str]:
    """What differs and has no rows; `newest` is the newest day on which each of these views has some in this home."""
    since = f" from {start} on" if start else ""
    for day in sorted(set(newest.values()), key=str):
        names = [name for name, of in newest.items() if of == day]
        yield (
            f"{', '.join(names)}: this home has no data of {'its' if len(names) == 1 else 'their'} sources{since}, so "
            f"nothing of {'it' if len(names) == 1 else 'them'} was compared. "
            + (
                f"The newest day with data is {day}: give a --start on or before it."
                if day and start
                else "Land them, or name another home with --home."
            )
        )


def rests_on(change: Change, platform: Platform, ref: str, names: Sequence[str], start: str | None) -> Iterator[str]:
    """What the report rests on."""
    yield f"Built aside: {', '.join(change.built) or 'nothing'}. Everything else was read where it stands."
    days = f"from {start} on" if start else "all"
    yield f"Days: {days}. Shares and distributions are of up to {SAMPLE:,} rows a side."
    if labels := [label.name for label in change.after.labels if label.name in change.built]:
        yield f"The label models {', '.join(labels)} changed too; models were judged by the labels in this home's lake."
    built = built_code(platform.lake)
    before = {view.name: view.code for view in change.before.views}
    other = [name for name in names if name in before and built.get(name, before[name]) != before[name]]
    if other:
        yield (
            f"WARNING: this home's {', '.join(other)} were built by other code than that of {ref}, so 'before' is not "
            "what it says. Build them from that ref first."
        )
