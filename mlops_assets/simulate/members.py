"""What became of the members of a fleet in a replay, beside what the pooled model said of the same rows.

Here: `members` of `replay.json`. Not here: living (`replay`), the pooled model's own story (`story`), its table
(`pages.replay_tables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd

from mlops_assets.core.record.entries import Decision, Promotion, Rejection, only
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_fleet import MemberSettings
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window
from mlops_assets.steps.predict.predictions import read_scores
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.world.model_data import EVENT_TIME, LABEL
from mlops_assets.world.platform import POOLED, Platform


def members_lived(
    platform: Platform, members: Sequence[MemberSettings], periods: Sequence[Window], *, as_of: datetime
) -> list[dict[str, Any]]:
    """Each member: how many rows it had, what answers for it now, what was decided, and how good that was.

    Args:
        platform: of the replay's home.
        members: of one fleet.
        periods: those that were lived through.
        as_of: when labels are read.

    Returns:
        Those with most rows first. `own` and `pool` are the mean of the metric over the periods in which the member was
        watched by itself, each weighted by its labelled rows: of what was predicted, and of what the pooled model said
        of the same rows. `state` is `pool` (predicted with all others), `pooled` (the pool's champion, watched by
        itself) or `own`; `left` is the day on which it got a model of its own.
    """
    if not members:
        return []
    pool = platform.models()[members[0].pool]
    by_period = [_scored(platform, pool, period, as_of) for period in periods]
    lived = [_member(platform, member, periods, by_period) for member in members]
    return sorted(lived, key=lambda each: (-each["rows"], each["name"]))


def _member(
    platform: Platform, member: MemberSettings, periods: Sequence[Window], by_period: Sequence[pd.DataFrame]
) -> dict[str, Any]:
    theirs = [_rows_of(platform, member, period, rows) for period, rows in zip(periods, by_period, strict=True)]
    entries = platform.ledger.entries(member.name)
    champion = platform.registry.champion(member.name)
    promoted = [entry for entry in only(entries, Promotion) if _is_own(platform, member.name, entry.version)]
    own, pooled = _means(platform, member, periods, theirs)
    return {
        "name": member.name,
        "value": member.value,
        "rows": sum(map(len, theirs)),
        "state": "pool" if champion is None else "pooled" if POOLED in champion.tags else "own",
        "left": promoted[0].at.astimezone(member.zone).date().isoformat() if promoted else None,
        "trainings": sum(entry.action == "retrain" for entry in only(entries, Decision)),
        "promotions": len(promoted),
        "rejections": len(only(entries, Rejection)),
        "own": own,
        "pool": pooled,
    }


def _rows_of(platform: Platform, member: MemberSettings, period: Window, pooled: pd.DataFrame) -> pd.DataFrame:
    """The member's rows among those that the pooled model predicted."""
    data = platform.data(member)
    identity = [*data.keys, EVENT_TIME]
    if pooled.empty:
        return pooled
    own = data.events(*_days(member, period), as_of=period.end)[identity]
    return pooled.merge(own, on=identity, how="inner", validate="one_to_one")


def _is_own(platform: Platform, name: str, version: int) -> bool:
    entry = platform.registry.find(name, version)
    return entry is not None and POOLED not in entry.tags


def _means(
    platform: Platform, member: MemberSettings, periods: Sequence[Window], theirs: Sequence[pd.DataFrame]
) -> tuple[float | None, float | None]:
    """The metric of what was predicted for a member, and of what the pool said of the same rows."""
    judge, identity = metric(member.metric), [*platform.data(member).keys, EVENT_TIME]
    values = list[tuple[int, float, float]]()
    for period, pooled in zip(periods, theirs, strict=True):
        own = read_scores(platform, member, *_days(member, period), features=False, answered=True)
        if own.empty or pooled.empty:
            continue
        both = own.merge(pooled[[*identity, LABEL, "place"]], on=identity, how="inner", validate="one_to_one")
        said = pooled.set_index("place").loc[both["place"]]
        try:
            by_pool = judge.score(both[LABEL].to_numpy(), score_matrix(said.reset_index(drop=True)))
            values.append((len(both), judge.score(both[LABEL].to_numpy(), score_matrix(both)), by_pool))
        except CannotJudge:
            # A period with one class, say: it speaks for neither.
            continue
    rows = sum(n for n, _, _ in values)
    if not rows:
        return None, None
    return sum(n * own for n, own, _ in values) / rows, sum(n * pool for n, _, pool in values) / rows


def _scored(platform: Platform, pool: ModelSettings, period: Window, as_of: datetime) -> pd.DataFrame:
    """The labelled rows of a period with what the pooled model said of them."""
    first, end = _days(pool, period)
    rows = read_scores(platform, pool, first, end, features=False, answered=True)
    if rows.empty:
        return rows
    data = platform.data(pool)
    identity = [*data.keys, EVENT_TIME]
    labels = data.events(first, end, as_of=as_of)[[*identity, LABEL]]
    rows = rows.merge(labels, on=identity, how="inner", validate="one_to_one")
    return rows[rows[LABEL].notna()].reset_index(drop=True).reset_index(names="place")


def _days(model: ModelSettings, period: Window) -> tuple[date, date]:
    return period.start.astimezone(model.zone).date(), period.end.astimezone(model.zone).date()
