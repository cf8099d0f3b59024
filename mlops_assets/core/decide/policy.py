"""When to retrain: evidence and policy in, one decision with its reasons out.

Here: what was measured (`Evidence`), what was agreed beforehand (`RetrainPolicy`), what already happened
(`History`), and the pure function `decide`. Not here: gathering evidence, starting runs, keeping the ledger
(`defs`, `steps`).

The order, first that applies wins: bad data > frozen > a person's request > paused > cannot judge > the champion is
worse than guessing and the version before it is not (`on_failing: previous`) > a kept version would have been better >
a refit would have been better > a changed definition > growth of the labels > age > novelty > wait. An open rollout, a
snooze, cooldown, budget and too few labels hold back a training that something asks for (going back costs nothing and
is not held back); a request waits for the end of a rollout, and until there are rows to judge it on, too. Where nothing
asks, it is a plain wait. A gain that is not certain enough among the looks at many models (`fleet`) asks for nothing.
What is left is proposed where a person has to approve it, and a training waits for the end of quiet hours. Where the
probe has not been able to look, failed checks ask instead: a performance breach, then consecutive drift breaches. Where
it has, they are told and ask for nothing: what they suspect, it has measured. The same evidence, policy, history and
time give the same decision, byte for byte.

The parts, in the order of the work: `evidence` and `requests` (what is known), `retrain_policy` and `quiet_hours` (what
was agreed), `history` (what was decided before), `triggers` and `price` (what asks for a change), `rules` (what
follows), `core.record.entries` (what is put on record), `counterfactuals` (what would have changed it).
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from mlops_assets.core.decide.counterfactuals import small_changes
from mlops_assets.core.decide.evidence import CheckResult, Evidence
from mlops_assets.core.decide.history import History, Past
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.decide.rules import RULES, asked, candidate_of, conclude
from mlops_assets.core.record.entries import PROPOSALS, Action, Counterfactual, Decision
from mlops_assets.core.record.plain_values import canonical_json

__all__ = [
    "RULES",
    "Action",
    "CheckResult",
    "Counterfactual",
    "Decision",
    "Evidence",
    "History",
    "Past",
    "RetrainPolicy",
    "canonical_json",
    "decide",
    "is_news",
]


def decide(
    evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime, *, explained: bool = True
) -> Decision:
    """Wait, retrain, go back, propose one of these, quarantine, or say that it can't be judged.

    A check counts as breached when it failed in enough windows in a row (`RetrainPolicy.breaches_needed`),
    and the run either lasts until its newest result or ended in a window that no earlier decision has seen:
    all windows that closed since the last tick are judged as if there had been a tick for each. A window that
    could not be judged breaks a run. Windows that the last retraining already answered don't count again.

    Args:
        evidence: what was measured.
        policy: what was agreed.
        history: earlier decisions on the model.
        now: the model's clock, aware.
        explained: whether to look for counterfactuals, which takes longer than deciding.

    Returns:
        The decision with reasons and counterfactuals; the same for the same arguments.
    """
    if now.tzinfo is None:
        msg = f"{now} has no time zone: pass the model's clock as an aware datetime"
        raise ValueError(msg)
    action, rule, reasons = conclude(evidence, policy, history, now)
    # First where it is what asked for a change, else after what decided.
    failing = [evidence.failing] if evidence.failing and evidence.failing not in reasons else []
    reasons = (*reasons, *failing, *_unasked(evidence, policy), *evidence.events)
    fingerprint, agreed = evidence.fingerprint(), policy.to_dict()
    key = canonical_json([evidence.model, fingerprint, agreed, action, rule])
    return Decision(
        action=action,
        model=evidence.model,
        at=now.astimezone(UTC),
        rule=rule,
        reasons=reasons,
        counterfactuals=small_changes(action, evidence, policy, history, now) if explained else (),
        evidence=evidence.to_dict(),
        evidence_fingerprint=fingerprint,
        policy=agreed,
        window=evidence.window,
        window_end=evidence.window_end,
        candidate=candidate_of(action, evidence),
        question=asked(evidence, action, rule) if action in PROPOSALS else None,
        id=hashlib.sha256(key.encode()).hexdigest()[:16],
    )


def _unasked(evidence: Evidence, policy: RetrainPolicy) -> tuple[str, ...]:
    """A changed definition that by the policy asks for nothing: nobody would hear of it."""
    if not evidence.definition or policy.definition_change:
        return ()
    return (f"{evidence.definition} It starts no training by itself: `mlops retrain {evidence.model} --reason '...'`.",)


def is_news(decision: Decision, history: History) -> bool:
    """Whether the decision belongs on record: its evidence or its conclusion has not been recorded yet.

    After a retraining the unchanged evidence leads to `wait: cooldown`; that is no news.
    """
    same = [p for p in history.decisions if p.evidence_fingerprint == decision.evidence_fingerprint]
    if not same:
        return True
    if decision.action == "wait" and any(p.action == "retrain" for p in same):
        return False
    return (same[-1].action, same[-1].rule) != (decision.action, decision.rule)
