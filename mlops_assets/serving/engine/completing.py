"""The features that a row does not bring, looked up by its keys.

Here: which views are asked for which rows. Not here: the online store (`lookup`), checks of what a row does bring
(`scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mlops_assets.serving.engine.arms import Arm, Arms, Contract
from mlops_assets.serving.engine.lookup import Lookup
from mlops_assets.serving.engine.prometheus_counts import AnswersSeen
from mlops_assets.serving.errors import Refused
from mlops_assets.serving.log.records import LoggedRow

Completed = tuple[dict[str, Any], dict[str, datetime | None]]
"""Every feature of a row's arm, and the event times of the views that were looked up."""


def is_complete(arm: Arm, contract: Contract, row: LoggedRow) -> bool:
    """Whether an arm has all it reads: from the row, or by the row's keys."""
    missing = {view for view, names in arm.views.items() if any(name not in row.features for name in names)}
    return all(view in contract.views and set(contract.views[view]) <= row.entities.keys() for view in missing)


def completed(
    lookup: Lookup, seen: AnswersSeen | None, arms: Arms, rows: Sequence[LoggedRow], chosen: Sequence[Arm]
) -> list[Completed]:
    """Every feature of each row's arm; what a row brings wins.

    Args:
        lookup: the online store.
        seen: counts what was found; None counts and refuses nothing: another version answers for the row already.
        arms: of the model.
        rows: n rows.
        chosen: the arm of each.

    Raises:
        Refused: a row lacks features and the keys to look them up by, or the store lacks them (`check_found`).
        FeaturesUnavailable: the store is gone.
    """
    filled: list[Completed] = [(dict(row.features), {}) for row in rows]
    wanted: dict[str, list[int]] = {}
    for index, (row, arm) in enumerate(zip(rows, chosen, strict=True)):
        for view, names in arm.views.items():
            missing = tuple(name for name in names if name not in row.features)
            if not missing:
                continue
            keys = _keys(arms.contract, view, row, index, missing)
            if any(row.entities[key] is None for key in keys):
                # Nobody has features of no entity; the join offline finds nothing for them either.
                filled[index][0].update(dict.fromkeys(missing))
                filled[index][1][view] = None
            else:
                wanted.setdefault(view, []).append(index)
    for view, indexes in wanted.items():
        names = tuple(dict.fromkeys(name for i in indexes for name in chosen[i].views[view]))
        values = {key: [rows[i].entities[key] for i in indexes] for key in arms.contract.views[view]}
        for index, looked in zip(indexes, lookup.rows({view: names}, values), strict=True):
            filled[index][0].update({n: v for n, v in looked.values.items() if n not in rows[index].features})
            filled[index][1].update(looked.times)
    if seen is not None:
        for index, row in enumerate(rows):
            check_found(arms, row, filled[index][1], index)
        _count(seen, arms.contract.settings.name, filled)
    return filled


def check_found(arms: Arms, row: LoggedRow, times: Mapping[str, datetime | None], index: int) -> None:
    """Refuse a row of whose entities nothing is known, or too little by `serving.on_missing` of the model.

    Nothing is known of them where no view that was looked up had a value, whatever else came with the request.

    Raises:
        Refused: naming the views and the keys.
    """
    policy = arms.contract.settings.serving.on_missing
    missing = [view for view, time in times.items() if time is None]
    if policy == "allow" or not missing or (policy == "warn" and len(missing) < len(times)):
        return
    keys = {key: row.entities.get(key) for view in missing for key in arms.contract.views.get(view, ())}
    named = ", ".join(f"{key}={str(value)[:100]!r}" for key, value in keys.items())
    raise Refused(
        ("rows", index, "entities"),
        f"the online store has nothing in {', '.join(missing)} for {named}: correct the keys, send these views' "
        "features in the request, or materialize feast/online_store; serving.on_missing in the model's YAML says when "
        "to answer all the same",
    )


def _count(seen: AnswersSeen, model: str, filled: Sequence[Completed]) -> None:
    by_view: dict[str, list[datetime | None]] = {}
    for _, times in filled:
        for view, time in times.items():
            by_view.setdefault(view, []).append(time)
    seen.degraded(model, sum(None in times.values() for _, times in filled))
    for view, times_of_view in by_view.items():
        known = [time for time in times_of_view if time is not None]
        seen.looked_up(model, view, max(known, default=None), missed=len(known) < len(times_of_view))


def _keys(contract: Contract, view: str, row: LoggedRow, index: int, missing: Sequence[str]) -> tuple[str, ...]:
    """The join keys to look a view's features up by."""
    keys = contract.views.get(view)
    absent = [key for key in keys or () if key not in row.entities]
    if keys is None or absent:
        way = f"or its entity key {absent[0]!r}, by which it is looked up" if absent else "it is in no feature view"
        raise Refused(("rows", index, "features", missing[0]), f"is missing: send it (null for no value), {way}")
    return keys
