"""What a row must be before it is scored, and whether whoever is to score it may answer.

Here: names and values against the model, a champion that is agreed to say nothing. Not here: features that are missing
(`completing`), what fits no model (`core.models.row_scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mlops_assets.core.models.row_scoring import LONGEST_TEXT, why_not
from mlops_assets.serving.engine.arms import Arm, Arms, CannotServe, Contract
from mlops_assets.serving.errors import Refused
from mlops_assets.serving.log.records import LoggedRow
from mlops_assets.world.model_data import EVENT_TIME

EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def check(arms: Arms, row: LoggedRow, index: int) -> None:
    """Refuse a row whose names or values the model doesn't take.

    Raises:
        Refused: naming the first thing that is wrong.
    """
    check_time(row.event_time, index)
    columns = arms.columns
    for name, value in row.features.items():
        column = columns.get(name)
        if column is None:
            raise Refused(("rows", index, "features", name[:100]), "is not a feature of this model")
        if (why := why_not(column, value)) is not None:
            raise Refused(("rows", index, "features", name), why)
    check_entities(arms.contract, row.entities, index)


def check_may_answer(arms: Arms, arm: Arm) -> None:
    """Refuse to answer by a champion that is worse than guessing, where that is agreed (`on_failing: refuse`).

    Raises:
        CannotServe: it may not answer; the text says why.
    """
    instead = arms.in_place_of(arm)
    if instead is not None and instead.mode == "refuse":
        raise CannotServe(
            f"{arms.contract.settings.name} answers nothing: {instead.reason} It answers again once a better version "
            "is champion (docs/runbook.md#worse-than-guessing)."
        )


def check_time(moment: datetime | None, index: int) -> None:
    """Refuse a time that no event has.

    Raises:
        Refused: it is one.
    """
    if moment is not None and not EARLIEST <= moment < LATEST:
        raise Refused(("rows", index, EVENT_TIME), f"must lie between {EARLIEST:%Y} and {LATEST:%Y}")


def check_entities(contract: Contract, entities: Mapping[str, Any], index: int) -> None:
    """Refuse keys that the model doesn't have, and values that they can't take.

    Raises:
        Refused: naming the first of them.
    """
    for name, value in entities.items():
        dtype = contract.keys.get(name)
        if dtype is None:
            raise Refused(("rows", index, "entities", name[:100]), "is no entity key of this model")
        if value is None:
            continue
        if dtype == "string" and not (type(value) is str and len(value) <= LONGEST_TEXT):
            raise Refused(("rows", index, "entities", name), f"must be a text of at most {LONGEST_TEXT:,} characters")
        if dtype != "string" and not (type(value) is int and abs(value) < 2**63):
            raise Refused(("rows", index, "entities", name), "must be a whole number of 64 bits")
