"""Events that ask for a training, and what becomes of them: over HTTP, by a command, from another system.

Here: putting a request on record once, and where it stands. Not here: its parameters (`asked_parameters`), the paths
(`serving.http`), the command, acting on a request (the retrain sensor). Imports nothing heavy.

However many events come, a model has one request that waits or one training that runs: the others are answered with
its id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from mlops_assets.core.record.entries import CONCLUDED, Decision, Freeze, OnRecord, Promotion, Rejection, Request, only
from mlops_assets.core.record.wording import reasons_told
from mlops_assets.core.values.display import shown
from mlops_assets.world.files.locks import alone
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record
from mlops_assets.world.runs.training_runs import TrainingRuns

State = Literal["waiting", "decided", "running", "broken", "in rollout", "promoted", "rejected"]


class Conflict(ValueError):
    """A request that contradicts what is on record; the message ends in the remedy."""


@dataclass(frozen=True)
class RetrainEvent:
    """A request for a training, and what has become of it.

    Attributes:
        id: of the request; of the decision, where no request led to the training.
        model: the monitored model.
        at: when it was asked for, aware.
        by: who asked.
        reason: why.
        parameters: fields of `training:` for this candidate alone.
        state: `waiting` for a decision, `decided` and not begun, `running`, `broken` before its verdict, `in rollout`,
            `promoted` or `rejected`.
        why: what it waits for, or the verdict's reason.
        decision: the id of the decision that answers it; None while there is none.
        run: Dagster's id of its run; None before it begins.
        version: that was judged; None before.
    """

    id: str
    model: str
    at: datetime
    by: str
    reason: str
    parameters: Mapping[str, Any]
    state: State
    why: str = ""
    decision: str | None = None
    run: str | None = None
    version: int | None = None

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self) | {"at": self.at.isoformat(), "parameters": dict(self.parameters)}


@dataclass(frozen=True)
class TrainingWish:
    """What is asked for.

    Attributes:
        by: who asks.
        reason: why.
        force: although the model is frozen.
        parameters: fields of `training:` for this candidate alone (`asked_parameters.with_parameters` checks them).
    """

    by: str
    reason: str
    force: bool = False
    parameters: Mapping[str, Any] | None = None


def ask(
    home: Home,
    model: str,
    asked: TrainingWish,
    *,
    now: Callable[[], datetime],
    key: str = "",
    joins_training: bool = True,
) -> tuple[RetrainEvent, bool]:
    """Put a request on record, unless it stands there, another waits, or a training runs.

    Args:
        home: with the record.
        model: what to train.
        asked: by whom, and what.
        now: the model's clock, asked where the model is frozen.
        key: of the caller; the same one is the same request, whenever it comes.
        joins_training: whether a training that runs answers it, too; a person's word waits for the next one.

    Returns:
        What answers the event, and whether this call put it on record.

    Raises:
        Conflict: the model is frozen, or the key was used for another request.
    """
    # Two that ask at the same moment are two: the second is answered with the first one's id.
    with alone(home.ledger / f".{model}.asking.lock"):
        return _ask(home, model, asked, now, key, joins_training)


def _ask(
    home: Home, model: str, asked: TrainingWish, now: Callable[[], datetime], key: str, joins_training: bool
) -> tuple[RetrainEvent, bool]:
    record, given = Record(home.ledger), dict(asked.parameters or {})
    entries = record.entries(model)
    request_id = f"request-{hashlib.sha256(f'{model}|{key}'.encode()).hexdigest()[:16]}" if key else ""
    if key and (same := [entry for entry in only(entries, Request) if entry.id == request_id]):
        if (same[0].reason, same[0].parameters or {}, bool(same[0].force)) != (asked.reason, given, asked.force):
            raise Conflict(f"the key {shown(key)} was used for another request to retrain {model}: use a new one.")
        return _event(home, model, entries, same[0]), False
    insists = asked.force and not record.request_is_forced(model)
    under_way = _under_way(home, model, entries)
    if under_way and (not insists if under_way.state == "waiting" else joins_training):
        return under_way, False
    frozen = record.standing(model, Freeze)
    if frozen is not None and not asked.force and now() < frozen.until:
        lift = f"Lift it (`mlops unfreeze {model} --reason '...'`)"
        insist = f"insist: `mlops retrain {model} --reason '...' --force`"
        until = f"until {frozen.until:%Y-%m-%d %H:%M} UTC by {frozen.by}: {frozen.reason.rstrip('.')}"
        raise Conflict(f"{model} is frozen {until}. {lift}, or {insist}. Nothing was written.")
    values: dict[str, Any] = {"parameters": given} if given else {}
    entry = record.note(model, Request, id=request_id, reason=asked.reason, by=asked.by, force=asked.force, **values)
    return _event(home, model, record.entries(model), entry), True


def event(home: Home, id: str) -> RetrainEvent | None:
    """What has become of a request, or of a training that none led to, by its id; None where there is no such."""
    record = Record(home.ledger)
    for model in record.models():
        # A damaged record hides no other model's.
        entries = [] if record.damage(model) else record.entries(model)
        for entry in entries:
            if entry.id == id and (isinstance(entry, Request) or _trains(entry)):
                return _event(home, model, entries, entry)
    return None


def parameters_of(entries: Sequence[OnRecord], decision: str) -> dict[str, Any]:
    """The parameters of the request that a decision answers; none where it answers none."""
    for place, entry in enumerate(entries):
        if isinstance(entry, Decision) and entry.id == decision and entry.rule == "request":
            asked = only(entries[:place], Request)
            return dict(asked[-1].parameters or {}) if asked else {}
    return {}


def _under_way(home: Home, model: str, entries: Sequence[OnRecord]) -> RetrainEvent | None:
    """What asks, or trains, right now."""
    opened: OnRecord | None = None
    for entry in entries:
        if isinstance(entry, Request):
            opened = entry
        elif _trains(entry):
            # It answers the request before it; what comes after it waits for the next one.
            opened = opened if isinstance(opened, Request) else entry
            known = _event(home, model, entries, opened)
            opened = opened if known.state in ("decided", "running") else None
    return _event(home, model, entries, opened) if opened else None


def _trains(entry: OnRecord) -> bool:
    return isinstance(entry, Decision) and entry.action == "retrain"


def _event(home: Home, model: str, entries: Sequence[OnRecord], asked: OnRecord) -> RetrainEvent:
    later = entries[next(place for place, entry in enumerate(entries) if entry.id == asked.id) :]
    decisions = only(later, Decision)
    answer = next((decision for decision in decisions if decision.action == "retrain"), None)
    by, reason, parameters = "the platform", "", dict[str, Any]()
    if isinstance(asked, Request):
        by, reason, parameters = asked.by, asked.reason, dict(asked.parameters or {})
    elif answer is not None:
        reason = answer.reason
    begun = RetrainEvent(asked.id, model, asked.at, by, reason, parameters, "waiting")
    if answer is None:
        last = " ".join(reasons_told(decisions[-1].action, decisions[-1].reasons)) if decisions else ""
        why = last or "The retrain sensor has not looked yet."
        return replace(begun, why=why)
    state, why, version = _outcome(later, answer.id)
    run = TrainingRuns(home.root).of(model).get(answer.id)
    if state == "decided" and run is not None:
        state, why = ("broken", run.broke) if run.broke else ("running", "")
    return replace(begun, state=state, why=why, decision=answer.id, run=run.run if run else None, version=version)


def _outcome(entries: Sequence[OnRecord], decision: str) -> tuple[State, str, int | None]:
    """What the gate said, by the newest entry that concludes a decision."""
    concluded = [entry for entry in entries if isinstance(entry, CONCLUDED) and entry.decision == decision]
    if not concluded:
        return "decided", "", None
    newest = concluded[-1]
    if isinstance(newest, Promotion):
        return "promoted", newest.reason, newest.version
    if isinstance(newest, Rejection):
        return "rejected", newest.reason, newest.version
    ended: dict[str, State] = {"champion": "promoted", "rejected": "rejected", "rolled_back": "rejected"}
    return ended.get(newest.state, "in rollout"), newest.reason, newest.version
