"""Going back to a kept version: as decided, as a watch found, or as a person says.

Here: the alias, the record, and the pause of trainings that follows. Not here: deciding (`core.decide.policy`,
`core.rollout.moves`), moving aliases (`registry`).

What is about to be done is written down first, so that whoever comes next finishes what a killed process began.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from mlops_assets.core.decide.probe_result import Candidate
from mlops_assets.core.record.entries import Decision, Rollback, Snooze, only
from mlops_assets.core.settings import ModelSettings
from mlops_assets.world.platform import FITTED_UNTIL, Platform, hold

ROLLBACK = "rollback"
"""Kind of the entry on record, and of the note of what is about to be done."""
PLATFORM = "the platform"
"""Who pauses trainings after it has gone back by itself."""


class NothingToGoBackTo(RuntimeError):
    """No version is known that was champion before and has not been left."""


def revert(platform: Platform, model: ModelSettings, decision: Decision) -> None:
    """Make the decision's version champion again and put it on record; a second call changes nothing.

    Raises:
        ValueError: the decision is not one to go back.
    """
    if decision.action != "revert" or decision.candidate is None:
        raise ValueError(f"decision {decision.id} says {decision.action} and names no version to go back to")
    version = int(Candidate.parse(decision.candidate).of)
    asked = Return(f"{ROLLBACK}-{decision.id}-{version}", version, decision.reason, decision.at, decision.id)
    go_back(platform, model, asked)


def finish_revert(platform: Platform, model: ModelSettings) -> None:
    """Do what the newest decision says if it is to go back and its process died before it had; else nothing."""
    finish_going_back(platform, model)
    entries = platform.ledger.entries(model.name)
    decisions = only(entries, Decision)
    if not decisions or decisions[-1].action != "revert":
        return
    if decisions[-1].id not in {entry.decision for entry in only(entries, Rollback)}:
        revert(platform, model, decisions[-1])


@dataclass(frozen=True)
class Return:
    """A return to a version.

    Attributes:
        id: of the entry on record.
        version: who becomes champion.
        reason: why.
        at: when, by the model's clock.
        decision: that led to it; None where a person says so.
        by: the person who says so; None for the platform itself.
        pause: how long no training starts by itself from then on.
    """

    id: str
    version: int
    reason: str
    at: datetime
    decision: str | None = None
    by: str | None = None
    pause: timedelta = timedelta(0)


def go_back(platform: Platform, model: ModelSettings, asked: Return) -> None:
    """Make a version champion again, put it on record, and let trainings wait; a second call changes nothing.

    The version's file is verified before anything moves.

    Raises:
        NoSuchVersion: there is no such version.
        ModelDamaged: its file is gone or has changed; the champion stays.
    """
    if platform.record_file(model.name, ROLLBACK).exists() and platform.record(model.name, ROLLBACK)["id"] == asked.id:
        finish_going_back(platform, model)
        return
    platform.registry.verify(model.name, asked.version)
    before = platform.registry.champion(model.name)
    values = {
        "id": asked.id,
        "at": asked.at.isoformat(),
        "version": asked.version,
        "previous": before.version if before else None,
        "decision": asked.decision,
        "reason": asked.reason,
        "by": asked.by,
        "until": (asked.at + asked.pause).isoformat() if asked.pause else None,
    }
    platform.write_record(model.name, ROLLBACK, values)
    _do(platform, model, values)


def finish_going_back(platform: Platform, model: ModelSettings) -> None:
    """Do what was about to be done when a process died; nothing otherwise."""
    if not platform.record_file(model.name, ROLLBACK).exists():
        return
    values = platform.record(model.name, ROLLBACK)
    known = {entry.id for entry in platform.ledger.entries(model.name)}
    if not {values["id"], *([_pause_id(values)] if values["until"] else [])} <= known:
        _do(platform, model, values)


def version_before(platform: Platform, model: ModelSettings) -> int:
    """The newest version that was champion before the present one and was not itself left by going back.

    `previous` alone would lead to the bad one again: after going back it is the version that was left.

    Raises:
        NothingToGoBackTo: there is none.
    """
    champion = platform.registry.champion(model.name)
    reigns = platform.ledger.record.reigns(model.name)
    left = {reign.version for reign, after in pairwise(reigns) if after.kind == ROLLBACK}
    for reign in reversed(reigns):
        if champion is not None and reign.version != champion.version and reign.version not in left:
            return reign.version
    raise NothingToGoBackTo(
        f"{model.name} has no version to go back to that was not left before. Name one: mlops rollback {model.name} "
        f"--to VERSION --reason '...' (mlops record show {model.name} tells what each was). Nothing was changed."
    )


def _do(platform: Platform, model: ModelSettings, values: dict[str, Any]) -> None:
    at = datetime.fromisoformat(values["at"])
    promoted = platform.registry.promote(
        model.name, values["version"], decision_id=values["decision"] or values["id"], reason=values["reason"], at=at
    )
    said = {"by": values["by"]} if values["by"] else {}
    platform.ledger.record.note(
        model.name,
        Rollback,
        at=at,
        id=values["id"],
        decision=values["decision"],
        version=values["version"],
        previous=values["previous"],
        reason=values["reason"],
        fitted_until=promoted.tags[FITTED_UNTIL],
        **said,
    )
    if values["until"]:
        _pause(platform, model, values)


def _pause(platform: Platform, model: ModelSettings, values: dict[str, Any]) -> None:
    """A snooze of trainings, unless a longer one stands."""
    until = datetime.fromisoformat(values["until"])
    standing = hold(platform, model.name, Snooze)
    if standing is not None and standing.until > until:
        until = standing.until
    platform.ledger.record.note(
        model.name,
        Snooze,
        at=datetime.fromisoformat(values["at"]),
        id=_pause_id(values),
        until=until,
        by=values["by"] or PLATFORM,
        reason=f"it went back to version {values['version']}: {values['reason']}",
    )


def _pause_id(values: dict[str, Any]) -> str:
    return f"snooze-{values['id']}"
