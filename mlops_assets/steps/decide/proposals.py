"""What was proposed about a model, and a person's answer to it.

Here: the newest proposal on record, whether it still stands, writing the answer down. Not here: proposing
(`core.decide.rules`), doing what was approved (`assets.retrain_sensor`). Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlops_assets.core.decide.requests import question
from mlops_assets.core.record.entries import ACTED, PROPOSALS, Approval, Decision, Refusal, only
from mlops_assets.world.record.record import Record


def open_proposal(record: Record, model: str, prefix: str | None = None) -> Decision:
    """The newest proposal that still stands, or the one whose id begins so.

    Raises:
        ValueError: there is none, it has been superseded, or done already; the message says by what.
    """
    decisions = only(record.entries(model), Decision)
    named = [
        (place, entry)
        for place, entry in enumerate(decisions)
        if entry.action in PROPOSALS and entry.id.startswith(prefix or "")
    ]
    if not named:
        which = f"no proposal {prefix!r} for" if prefix else "nothing proposed for"
        raise ValueError(
            f"There is {which} {model}. `mlops why {model}` shows what was decided; proposals are made where the "
            "model's YAML sets retrain.mode: propose. Nothing was written."
        )
    if prefix and len({entry.id for _, entry in named}) > 1:
        ids = ", ".join(entry.id for _, entry in named[-5:])
        raise ValueError(
            f"{prefix!r} begins the ids of several proposals: {ids}. Give more of it. Nothing was written."
        )
    place, proposal = named[-1]
    if by := _superseded(proposal, decisions[place + 1 :]):
        raise ValueError(
            f"The proposal {proposal.id} no longer stands: {by.action.replace('_', ' ')} (decision {by.id}) "
            f"came after it. `mlops record show {model}` shows the newest. Nothing was written."
        )
    return proposal


def proposal_of(record: Record, model: str) -> Decision | None:
    """The proposal that still stands and that nobody has answered; None where there is none."""
    decisions = only(record.entries(model), Decision)
    places = [place for place, entry in enumerate(decisions) if entry.action in PROPOSALS]
    if not places or _superseded(decisions[places[-1]], decisions[places[-1] + 1 :]):
        return None
    proposal, said = decisions[places[-1]], record.answer(model)
    return None if said is not None and said.question == proposal.question else proposal


def answer(record: Record, model: str, proposal: Decision, *, approved: bool, by: str, reason: str) -> bool:
    """Put a person's answer on record; says whether it was written: the same answer a second time is not."""
    kind: type[Approval] | type[Refusal] = Approval if approved else Refusal
    known = record.answer(model)
    if known is not None and isinstance(known, kind) and known.question == proposal.question:
        return False
    record.note(model, kind, decision=proposal.id, question=proposal.question, by=by, reason=reason)
    return True


def _superseded(proposal: Decision, later: Sequence[Decision]) -> Decision | None:
    """The later decision after which the proposal no longer stands: it acted, or its evidence is about something else.

    A wait on the same window and champion supersedes nothing: once a freeze or a pause is lifted, it is proposed again.
    """
    for entry in later:
        if entry.action in ACTED or entry.question not in (None, proposal.question):
            return entry
    newest = later[-1] if later else None
    asked = [question(entry.evidence, "", "", None) for entry in (proposal, newest) if entry]
    return newest if len(set(asked)) > 1 else None
