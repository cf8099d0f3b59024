"""The features that a row does not bring, looked up by its keys.

Here: which views are asked for which rows. Not here: the online store (`lookup`), checks of what a row does bring
(`scoring`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mlops_assets.serving.arms import Arm, Arms, Contract
from mlops_assets.serving.errors import Refused
from mlops_assets.serving.lookup import Lookup
from mlops_assets.serving.records import Row
from mlops_assets.serving.seen import Seen

Completed = tuple[dict[str, Any], dict[str, datetime | None]]
"""Every feature of a row's arm, and the event times of the views that were looked up."""


def is_complete(arm: Arm, contract: Contract, row: Row) -> bool:
    """Whether an arm has all it reads: from the row, or by the row's keys."""
    missing = {view for view, names in arm.views.items() if any(name not in row.features for name in names)}
    return all(view in contract.views and set(contract.views[view]) <= row.entities.keys() for view in missing)


def completed(
    lookup: Lookup, seen: Seen | None, arms: Arms, rows: Sequence[Row], chosen: Sequence[Arm]
) -> list[Completed]:
    """Every feature of each row's arm; what a row brings wins.

    Args:
        lookup: the online store.
        seen: counts what was found; None counts nothing.
        arms: of the model.
        rows: n rows.
        chosen: the arm of each.

    Raises:
        Refused: a row lacks features and the keys to look them up by.
        FeaturesUnavailable: the store is gone.
    """
    found: list[Completed] = [(dict(row.features), {}) for row in rows]
    wanted: dict[str, list[int]] = {}
    for index, (row, arm) in enumerate(zip(rows, chosen, strict=True)):
        for view, names in arm.views.items():
            missing = tuple(name for name in names if name not in row.features)
            if not missing:
                continue
            keys = _keys(arms.contract, view, row, index, missing)
            if any(row.entities[key] is None for key in keys):
                # Nobody has features of no entity; the join offline finds nothing for them either.
                found[index][0].update(dict.fromkeys(missing))
                found[index][1][view] = None
            else:
                wanted.setdefault(view, []).append(index)
    for view, indexes in wanted.items():
        names = tuple(dict.fromkeys(name for i in indexes for name in chosen[i].views[view]))
        values = {key: [rows[i].entities[key] for i in indexes] for key in arms.contract.views[view]}
        for index, looked in zip(indexes, lookup.rows({view: names}, values), strict=True):
            found[index][0].update({n: v for n, v in looked.values.items() if n not in rows[index].features})
            found[index][1].update(looked.times)
    if seen is not None:
        _count(seen, arms.contract.settings.name, found)
    return found


def _count(seen: Seen, model: str, found: Sequence[Completed]) -> None:
    by_view: dict[str, list[datetime | None]] = {}
    for _, times in found:
        for view, time in times.items():
            by_view.setdefault(view, []).append(time)
    for view, times_of_view in by_view.items():
        known = [time for time in times_of_view if time is not None]
        seen.looked_up(model, view, max(known, default=None), missed=len(known) < len(times_of_view))


def _keys(contract: Contract, view: str, row: Row, index: int, missing: Sequence[str]) -> tuple[str, ...]:
    """The join keys to look a view's features up by."""
    keys = contract.views.get(view)
    absent = [key for key in keys or () if key not in row.entities]
    if keys is None or absent:
        way = f"or its entity key {absent[0]!r}, by which it is looked up" if absent else "it is in no feature view"
        raise Refused(("rows", index, "features", missing[0]), f"is missing: send it (null for no value), {way}")
    return keys
