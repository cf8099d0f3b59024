"""How each agreed trigger stands by what a decision knew, in a line.

Here: value, limit and state of each. Not here: the results (`results`), what follows where one asks
(`decide.triggers`), laying it out (`commands.why`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile

from mlops_assets.core.decide.agreed.triggers import OnGain, OnSchedule, Trigger
from mlops_assets.core.decide.evidence import CheckResult, Evidence
from mlops_assets.core.decide.history import History
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.decide.triggers import current_run
from mlops_assets.core.record.wording import CANNOT_FIRE

_SHOWN: Mapping[str, str] = {
    "drift": "{:.1%} drifted",
    "novelty": "{:.1%} of rows",
    "importance": "NDCG {:.3f}",
    "performance": "{:.4g}",
    "data": "{:,.0f}",
    "freshness": "{:.1f} h",
    "gain": "{:+.1%} at least",
}
"""How a trigger's value is written, by its kind."""
_LIMIT: Mapping[str, str] = {"drift": "{:.1%}", "novelty": "{:.1%}", "importance": "{:.3f}", "gain": "{:.1%}"}
"""How its limit is, where otherwise."""
_WORST = {False: 0, None: 1, True: 2}


@dataclass(frozen=True)
class Standing:
    """How a trigger stands.

    Attributes:
        name: of the trigger.
        state: in words: `holds`, `beyond it`, `cannot judge`.
        value: what is held against the limit, in words; empty where nothing is known.
        limit: the limit; empty where there is none.
    """

    name: str
    state: str
    value: str = ""
    limit: str = ""

    @property
    def line(self) -> str:
        """All of it; whoever lays it out wraps it, because a name that is cut tells no trigger from another."""
        numbers = f"{self.value}, limit {self.limit}: " if self.limit and self.value else ""
        return f"{self.name}: {numbers}{self.state}"


def standings(policy: RetrainPolicy, evidence: Evidence, history: History) -> list[Standing]:
    """How each trigger of a policy stands, in their order."""
    return [_of(trigger, policy, evidence, history) for trigger in policy.on or ()]


def _of(trigger: Trigger, policy: RetrainPolicy, evidence: Evidence, history: History) -> Standing:
    own = [result for result in evidence.triggers if result.name == trigger.name]
    if isinstance(trigger, OnSchedule):
        return Standing(trigger.name, "nothing judged yet" if not own else _when(own[-1]))
    if own and own[-1].sentence.startswith(CANNOT_FIRE):
        return Standing(trigger.name, "cannot fire")
    if isinstance(trigger, OnGain):
        return _gain(trigger, policy, evidence)
    answered, seen = history.trigger_answered(trigger.name), history.trigger_judged(trigger.name)
    needed = trigger.in_a_row
    if not trigger.is_checked:
        own, answered, needed = (
            _monitors(trigger, evidence),
            history.answered_until,
            policy.breaches_needed(trigger.kind),
        )
        seen = history.judged_until(own[-1].name) if own else None
    if not own:
        return Standing(trigger.name, "nothing judged yet")
    shown, state = _state(own, needed, answered, seen)
    return Standing(trigger.name, state, _written(trigger, shown.value), _written(trigger, shown.limit, _LIMIT))


def _state(
    results: Sequence[CheckResult], needed: int, answered: datetime | None, seen: datetime | None
) -> tuple[CheckResult, str]:
    """The answer that counts, and what it comes to: where windows ask for a training it is theirs, else the newest."""
    newest = results[-1]
    still_open = [result for result in results if answered is None or result.window_end > answered]
    if still_open and (run := current_run(still_open, needed, seen)):
        return run[-1], "beyond it" if run[-1] is newest else f"beyond it up to window {run[-1].window}"
    if newest.passed is not False:
        return newest, "cannot judge" if newest.passed is None else "holds"
    if not still_open:
        return newest, "answered by a training"
    row = len(list(takewhile(lambda result: result.passed is False, reversed(still_open))))
    return newest, f"beyond it, {row} of {needed} windows"


def _monitors(trigger: Trigger, evidence: Evidence) -> list[CheckResult]:
    """The answers of the check of a trigger's kind that stands worst."""
    by_name: dict[str, list[CheckResult]] = {}
    for check in evidence.checks:
        if check.kind == trigger.kind:
            by_name.setdefault(check.name, []).append(check)
    return min(by_name.values(), key=lambda results: _WORST[results[-1].passed], default=[])


def _gain(trigger: OnGain, policy: RetrainPolicy, evidence: Evidence) -> Standing:
    refit = evidence.probe.refit if evidence.probe else None
    if refit is None:
        return Standing(trigger.name, "nothing judged yet" if evidence.probe is None else "cannot judge")
    state = "beyond it" if refit.lower > policy.min_gain else "holds"
    return Standing(trigger.name, state, _written(trigger, refit.lower), _written(trigger, policy.min_gain, _LIMIT))


def _when(result: CheckResult) -> str:
    return f"{'due since' if result.passed is False else 'next due at'} {result.window}"


def _written(trigger: Trigger, number: float | None, forms: Mapping[str, str] = _SHOWN) -> str:
    return "" if number is None else forms.get(trigger.word, _SHOWN[trigger.word]).format(number)
