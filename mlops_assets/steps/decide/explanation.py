"""A decision on record with all that belongs to it: what led to it, what came of it, what would have changed it.

Here: finding a decision, replaying it and its counterfactuals on what was known then, collecting what followed. Not
here: the policy that is replayed (`core.decide.policy`), telling it to a person (`commands.explain`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.core.decide.counterfactuals import larger_changes
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.policy import Evidence, RetrainPolicy, decide
from mlops_assets.core.record.entries import (
    ACTED,
    CONCLUDED,
    Approval,
    Counterfactual,
    Decision,
    OnRecord,
    OutcomeFound,
    Refusal,
    Rollback,
)
from mlops_assets.world.home import Home
from mlops_assets.world.record.record import Record

if TYPE_CHECKING:
    import dagster as dg
from mlops_assets.core.decide.counterfactuals import replay

FOLLOWED = (*CONCLUDED, Rollback, OutcomeFound, Approval, Refusal)
"""Entries that may name the decision they came of."""
RUN_TAG = "mlops/decision"


@dataclass(frozen=True)
class Flip:
    """A change, and what the policy answers when it is replayed with it."""

    sentence: str
    answer: str
    changed: Mapping[str, Any]


@dataclass(frozen=True)
class Explanation:
    """A decision and what belongs to it.

    Attributes:
        decision: as it stands on record.
        replayed: the action that the policy takes today on what was known then; None if that can't be replayed.
        not_replayed: why not; empty if it was.
        flips: changes that, replayed, lead to another action; the first asks for the least.
        came_of_it: entries of the record that name it, oldest first.
        runs: its runs in Dagster: id and status, oldest first.
    """

    decision: Decision
    replayed: str | None
    not_replayed: str
    flips: Sequence[Flip]
    came_of_it: Sequence[OnRecord]
    runs: Sequence[Mapping[str, str]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        on_record = {"decision": self.decision.to_dict(), "came_of_it": [entry.to_dict() for entry in self.came_of_it]}
        flips = [asdict(flip) for flip in self.flips]
        in_replay = {"replayed": self.replayed, "not_replayed": self.not_replayed, "runs": self.runs}
        return {**on_record, **in_replay, "flips": flips}


def find_decision(record: Record, prefix: str) -> tuple[Decision, int]:
    """The decision with this id, or with the only id that begins so, and its place (from 0) on record.

    Raises:
        ValueError: there is none, or several.
    """
    damaged = [damage for model in record.models() if (damage := record.damage(model))]
    matching = [
        (entry, place)
        for model in record.models()
        if not record.damage(model)
        for place, entry in enumerate(record.entries(model))
        if isinstance(entry, Decision) and prefix and entry.id.startswith(prefix)
    ]
    exact = [match for match in matching if match[0].id == prefix] or matching
    if not exact:
        raise ValueError(
            f"There is no decision {prefix!r} in this home. `mlops record show MODEL --json` shows their ids; the "
            f"first characters are enough.{''.join(f' It was not looked for in {damage}' for damage in damaged)}"
        )
    if len(exact) > 1:
        named = ", ".join(f"{entry.id} ({entry.model})" for entry, _ in exact[:5])
        raise ValueError(f"{prefix!r} begins the ids of {len(exact)} decisions: {named}. Give more of it.")
    return exact[0]


def explain(home: Home, prefix: str) -> Explanation:
    """All that is known of a decision.

    Args:
        home: whose record.
        prefix: the decision's id or an unambiguous beginning of it.

    Raises:
        ValueError: no decision has it, or several have.
    """
    record = Record(home.ledger)
    entry, place = find_decision(record, prefix)
    entries = record.entries(entry.model)
    replayed, why_not, flips = _replay(entry, entries[:place])
    return Explanation(
        decision=entry,
        replayed=replayed,
        not_replayed=why_not,
        flips=flips,
        came_of_it=[e for e in entries[place + 1 :] if _came_of(e, entry.id)],
        runs=_runs(home, entry.id) if entry.action != "wait" else [],
    )


def _came_of(entry: OnRecord, decision: str) -> bool:
    """Whether an entry names the decision, or is a decision to do what that one proposed."""
    if isinstance(entry, Decision):
        answer = entry.evidence.get("answer")
        return bool(entry.action in ACTED and answer and answer["decision"] == decision)
    return isinstance(entry, FOLLOWED) and entry.decision == decision


def _replay(decision: Decision, before: Sequence[OnRecord]) -> tuple[str | None, str, list[Flip]]:
    """The answer today, why there is none, and the changes that lead to another one."""
    try:
        history = History.of_record(before)
        evidence, policy = Evidence.from_dict(decision.evidence), RetrainPolicy.from_dict(decision.policy)
    except (KeyError, TypeError, ValueError) as error:
        why = f"It was written by another version of the platform, and this one cannot replay it ({error})."
        return None, why, []
    again = decide(evidence, policy, history, decision.at)
    # The counterfactuals on record come first; the code may know of more by now.
    known = {c.sentence: c for c in (*decision.counterfactuals, *again.counterfactuals)}
    answers = [(c, replay(c, evidence, policy, history, decision.at)) for c in known.values()]
    flips = [Flip(c.sentence, answer, _changed(c)) for c, answer in answers if answer != decision.action]
    if not flips:
        larger = larger_changes(evidence, policy, history, decision.at, decision.action)
        flips = [Flip(c.sentence, replay(c, evidence, policy, history, decision.at), _changed(c)) for c in larger]
    return again.action, "", flips


def _changed(change: Counterfactual) -> dict[str, Any]:
    """What a counterfactual changes, by where."""
    parts = {"evidence": change.evidence, "checks": change.checks, "policy": change.policy}
    return {name: dict(values) for name, values in parts.items() if values}


def _runs(home: Home, decision: str) -> list[dict[str, str]]:
    """The runs of a decision, oldest first; none where Dagster never ran in this home."""
    if not (home.dagster / "dagster.yaml").exists():
        return []
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        runs: Sequence[dg.DagsterRun] = instance.get_runs(filters=dg.RunsFilter(tags={RUN_TAG: decision}))
    return [{"run_id": run.run_id, "status": run.status.value, "job": run.job_name} for run in reversed(runs)]
