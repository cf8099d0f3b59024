"""Leading a candidate on, or back: one look, one move, on the registry and on record.

Here: where a rollout stands, what follows by now, and doing it so that a killed process leaves nothing half done. Not
here: the moves (`core.rollout.moves`), what was seen (`measurements`), who scores meanwhile
(`predict.scoring_versions`).

A move is written down whole before anything moves (`lake/models/<model>/rollout.json`). Whoever comes next finishes
it: each of its steps (aliases and tags, the way back, the record) changes nothing the second time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from mlops_assets.core.record.entries import Freeze, Promotion, Rejection, Rollback, RolloutMove, entry_of, only
from mlops_assets.core.record.entry import kind_of
from mlops_assets.core.rollout.moves import (
    Move,
    Rollout,
    RolloutPolicy,
    Seen,
    advance,
    begin,
    duration,
    stopped,
    where,
)
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.steps.rollout.reverting import ROLLBACK, Return, finish_going_back, go_back
from mlops_assets.world.mlflow.store import locked
from mlops_assets.world.platform import Platform, hold

ROLLOUT = "rollout"
"""Kind of the entries on record, and name of the note of the move that is being made."""


@dataclass(frozen=True)
class Looked:
    """What a look at a rollout found.

    Attributes:
        seen: what was measured.
        move: what follows.
    """

    seen: Seen
    move: Move


def policy_of(model: ModelSettings) -> RolloutPolicy:
    """The model's rollout; the usual one for a rollout that is still open after its section was taken out."""
    return model.rollout or RolloutPolicy()


def starts(platform: Platform, model: ModelSettings) -> bool:
    """Whether what passes the gate now is rolled out step by step: it is agreed, and there is somebody to follow."""
    if model.rollout is None:
        return False
    policy = model.rollout
    return platform.registry.champion(model.name) is not None and bool(policy.shadow or policy.canary or policy.watch)


def start(
    platform: Platform,
    model: ModelSettings,
    version: int,
    *,
    decision: str,
    reason: str,
    at: datetime,
    promise: dict[str, Any],
) -> Rollout:
    """Make a version that passed the gate the candidate; the same one twice changes nothing.

    Args:
        platform: the home.
        model: the monitored model.
        version: the candidate.
        decision: that asked for it.
        reason: the gate's.
        at: when, by the model's clock.
        promise: what the promotion will say on record: `promised` and `fitted_until`.
    """
    champion = platform.registry.champion(model.name)
    first = begin(version, champion.version if champion else None, policy_of(model), decision=decision, now=at)
    with _alone(platform, model):
        if not any(move.decision == decision for move in moves(platform, model, version)):
            _make(platform, model, Move(first, True, reason, ()), None, before=None, at=at, extra=promise)
    return first


def look(platform: Platform, model: ModelSettings) -> Looked | None:
    """What was seen of the open rollout by now, and what follows; None where none is open. Writes nothing."""
    from mlops_assets.steps.rollout.measurements import measure

    rollout = platform.registry.rollout(model.name)
    if rollout is None:
        return None
    now, in_leaps = platform.now(model), platform.home.settings.clock == "data"
    if lost := _lost(platform, model, rollout):
        return Looked(Seen(0), Move(stopped(rollout, now), True, lost, ()))
    seen = measure(platform, model, rollout, began=_began(platform, model, rollout), now=now, in_leaps=in_leaps)
    frozen = hold(platform, model.name, Freeze)
    why_frozen = f"The model is frozen {frozen.in_words}" if frozen and frozen.holds(now) else ""
    return Looked(seen, advance(rollout, seen, policy_of(model), now, in_leaps=in_leaps, frozen=why_frozen))


def move_on(platform: Platform, model: ModelSettings) -> list[Looked]:
    """Finish what was begun, then move until nothing moves; every look, the last of which moved nothing or ended it."""
    looks: list[Looked] = []
    with _alone(platform, model):
        _finish(platform, model)
        while (looked := look(platform, model)) is not None:
            looks.append(looked)
            if not looked.move.moved:
                break
            before = platform.registry.rollout(model.name)
            _make(platform, model, looked.move, looked.seen, before=before, at=platform.now(model))
    return looks


def finish(platform: Platform, model: ModelSettings) -> None:
    """Do the rest of a move, or of a way back, whose process died; nothing otherwise."""
    with _alone(platform, model):
        _finish(platform, model)


def leave(platform: Platform, model: ModelSettings, version: int, *, reason: str, by: str, pause: timedelta) -> None:
    """Make a kept version champion again, as a person says; a rollout that this leaves without an opponent ends.

    Raises:
        NoSuchVersion: there is no such version.
        ModelDamaged: its file is gone or has changed; the champion stays.
    """
    at = platform.now(model)
    with _alone(platform, model):
        _finish(platform, model)
        number = len(only(platform.ledger.entries(model.name), Rollback))
        identity = f"{ROLLBACK}-{at.isoformat()}-{number}-{version}"
        go_back(platform, model, Return(identity, version, reason, at, by=by, pause=pause))
    move_on(platform, model)


def stop(platform: Platform, model: ModelSettings, *, reason: str, by: str) -> Rollout | None:
    """End the open rollout of a candidate that is not champion yet, as a person says; None where there is none."""
    with _alone(platform, model):
        _finish(platform, model)
        rollout = platform.registry.rollout(model.name)
        if rollout is None or rollout.answers:
            return None
        now = platform.now(model)
        ended = stopped(rollout, now)
        _make(platform, model, Move(ended, True, reason, ()), None, before=rollout, at=now, extra={"by": by})
        return ended


def moves(platform: Platform, model: ModelSettings, version: int | None = None) -> list[RolloutMove]:
    """The moves on record, oldest first: of a version, or all."""
    every = only(platform.ledger.entries(model.name), RolloutMove)
    return [move for move in every if version in (None, move.version)]


def rollout_in_words(platform: Platform, model: ModelSettings) -> str:
    """The open rollout in words, the same until it moves; empty where none is open."""
    rollout = platform.registry.rollout(model.name)
    if rollout is None:
        return ""
    policy = policy_of(model)
    since, until = rollout.since, rollout.since + duration(rollout, policy)
    return (
        f"Version {rollout.version} is in {where(rollout, policy)} since {since:%Y-%m-%d %H:%M} UTC, until "
        f"{until:%Y-%m-%d %H:%M} UTC at the earliest."
    )


def state_of(platform: Platform, model: ModelSettings) -> str | None:
    """What identifies everything that the next look depends on; None where no rollout is open and nothing is undone."""
    from mlops_assets.steps.rollout.measurements import files_state

    if noted := _unfinished(platform, model):
        return f"unfinished {noted['entry']['id']}"
    rollout = platform.registry.rollout(model.name)
    if rollout is None:
        return None
    now, frozen = platform.now(model), hold(platform, model.name, Freeze)
    over = now - rollout.since >= duration(rollout, policy_of(model))
    parts = [rollout.version, rollout.state, rollout.step, rollout.since.isoformat(), over, policy_of(model)]
    parts += [bool(frozen and frozen.holds(now)), bool(_lost(platform, model, rollout))]
    return f"{parts} {files_state(platform, model, _began(platform, model, rollout), rollout)}"


def _finish(platform: Platform, model: ModelSettings) -> None:
    if noted := _unfinished(platform, model):
        _do(platform, model, noted)
    finish_going_back(platform, model)


def _unfinished(platform: Platform, model: ModelSettings) -> dict[str, Any] | None:
    """The move that was written down and is not on record yet."""
    if not platform.record_file(model.name, ROLLOUT).exists():
        return None
    noted = platform.record(model.name, ROLLOUT)
    known = any(entry.id == noted["entry"]["id"] for entry in platform.ledger.entries(model.name))
    return None if known else noted


def _alone(platform: Platform, model: ModelSettings) -> Any:
    """Keep a sensor and a person from moving the same rollout at once."""
    return locked(platform.home, f"rollout-{model.name}")


def _began(platform: Platform, model: ModelSettings, rollout: Rollout) -> datetime:
    first = [move for move in moves(platform, model, rollout.version) if move.decision == rollout.decision]
    return first[0].since if first else rollout.since


def _lost(platform: Platform, model: ModelSettings, rollout: Rollout) -> str:
    """Why nothing is left to compare with: somebody has changed the champion meanwhile."""
    champion = platform.registry.champion(model.name)
    expected = rollout.version if rollout.answers else rollout.champion
    if champion is not None and champion.version == expected:
        return ""
    now = f"version {champion.version}" if champion else "nobody"
    return f"The champion is {now} now, no longer version {expected}: the rollout of version {rollout.version} ends."


def _make(
    platform: Platform,
    model: ModelSettings,
    move: Move,
    seen: Seen | None,
    *,
    before: Rollout | None,
    at: datetime,
    extra: dict[str, Any] | None = None,
) -> None:
    """Write the move down whole, then do it."""
    rollout = move.rollout
    first = moves(platform, model, rollout.version)[:1]
    entry = RolloutMove(
        id=f"{ROLLOUT}-{rollout.decision}-{rollout.version}-{rollout.state}-{rollout.step}",
        model=model.name,
        at=at,
        decision=rollout.decision,
        version=rollout.version,
        champion=rollout.champion,
        state=rollout.state,
        step=rollout.step,
        since=rollout.since,
        share=rollout.share(policy_of(model)),
        before=before.state if before else None,
        reason=move.reason,
        guardrails=[asdict(rail) for rail in move.guardrails],
        seen=seen_dict(seen) if seen else None,
        **{
            **{name: getattr(first[0], name) for name in ("promised", "fitted_until") if first},
            **(extra or {}),
        },
    )
    noted = {"at": at.isoformat(), "entry": entry.to_dict(), "goes_back": _goes_back(platform, model, before, rollout)}
    platform.write_record(model.name, ROLLOUT, noted)
    _do(platform, model, platform.record(model.name, ROLLOUT))


def _goes_back(platform: Platform, model: ModelSettings, before: Rollout | None, rollout: Rollout) -> bool:
    """Whether the version before becomes champion again: not where somebody has changed the champion already."""
    if before is None or before.state != "watch" or rollout.state != "rolled_back":
        return False
    return not _lost(platform, model, before)


def _do(platform: Platform, model: ModelSettings, noted: dict[str, Any]) -> None:
    """Registry, then record; the move itself comes last on record and says that all of it is done."""
    # A move that an earlier version noted says neither kind nor moment in its entry.
    parsed = entry_of({"kind": kind_of(RolloutMove), "model": model.name, "at": noted["at"], **noted["entry"]})
    (entry,) = only([parsed], RolloutMove)
    fields = ("version", "champion", "state", "step", "decision", "since")
    at, rollout = entry.at, Rollout(**{name: getattr(entry, name) for name in fields})
    if noted["goes_back"] and rollout.champion is not None:
        identity, pause = f"{ROLLBACK}-{rollout.decision}-{rollout.version}", timedelta(hours=policy_of(model).pause)
        go_back(platform, model, Return(identity, rollout.champion, entry.reason, at, rollout.decision, pause=pause))
    platform.registry.roll(model.name, rollout, share=entry.share, reason=entry.reason, at=at)
    _conclude(platform, model, rollout, entry)
    platform.ledger.append(model.name, entry)


def _conclude(platform: Platform, model: ModelSettings, rollout: Rollout, entry: RolloutMove) -> None:
    """The promotion or rejection that the rollout has led to, as without one; once each."""
    common: dict[str, Any] = {
        "at": entry.at,
        "decision": rollout.decision,
        "version": rollout.version,
        "fitted_until": entry.fitted_until,
    }
    record = platform.ledger.record
    if rollout.answers:
        record.note(
            model.name,
            Promotion,
            id=f"promotion-{rollout.decision}-{rollout.version}",
            previous=rollout.champion,
            promised=entry.promised,
            reason=entry.reason,
            **common,
        )
    elif not rollout.is_open and entry.before != "watch":
        why = f"Stopped in {entry.before}: {entry.reason}"
        record.note(model.name, Rejection, id=f"rejection-{rollout.decision}-{rollout.version}", reason=why, **common)


def seen_dict(seen: Seen) -> dict[str, Any]:
    """What was seen, plain."""
    gain = asdict(seen.gain) if isinstance(seen.gain, Paired) else str(seen.gain) if seen.gain else None
    return {**{name: value for name, value in vars(seen).items() if name != "gain"}, "gain": gain}
