"""When to retrain: evidence and policy in, one decision with its reasons out.

Here: what was measured (`Evidence`), what was agreed beforehand (`RetrainPolicy`), what already happened
(`History`), and the pure function `decide`. Not here: gathering evidence, starting runs, keeping the ledger
(`defs`, `resources`).

The order, first that applies wins: bad data > a person's request > paused > cannot judge > a kept version would
have been better > a refit would have been better > age > wait. Cooldown and budget, and too few labels, hold back a
retraining that something asks for (going back costs nothing and is not held back); where nothing asks, the answer is
a plain wait. Where the probe has not been able to look, failed checks ask instead: a performance breach, then
consecutive drift breaches. Where it has, they are told and ask for nothing: what they suspect, it has measured. The
same evidence, policy, history and time give the same decision, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self

from mlops_assets.core.probe import Candidate, Probed
from mlops_assets.core.windows import format_duration, parse_duration

Action = Literal["wait", "retrain", "revert", "quarantine", "cannot_judge"]
Kind = Literal["performance", "drift", "fairness"]
Auto = Literal["auto"]

RULES = (
    "data",
    "request",
    "paused",
    "no_window",
    "cannot_judge",
    "cooldown",
    "budget",
    "labels",
    "first_model",
    "revert",
    "gain",
    "performance",
    "drift",
    "age",
    "nothing",
)
"""The names a decision's `rule` can have."""


@dataclass(frozen=True)
class CheckResult:
    """One monitor's answer on one window.

    Attributes:
        name: the check's name, for example `inputs_match_reference`.
        kind: `performance` or `drift` (inputs and predictions); says how many breaches in a row are needed. A
            `fairness` check is for people: it is no evidence and starts nothing.
        window: the window's label.
        window_end: the end of the window, aware; orders the results.
        passed: None if the check could not judge.
        value: the number that was held against the limit.
        limit: that limit.
        sentence: what was found, with numbers.
    """

    name: str
    kind: Kind
    window: str
    window_end: datetime
    passed: bool | None
    value: float | None = None
    limit: float | None = None
    sentence: str = ""

    def __post_init__(self) -> None:
        for name in ("value", "limit"):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                msg = f"{self.name}: {name} is {number}; pass None for a number that is not known"
                raise ValueError(msg)
            object.__setattr__(self, name, None if number is None else float(number))
        # numpy's booleans are neither True nor False by identity, and JSON refuses them.
        object.__setattr__(self, "passed", None if self.passed is None else bool(self.passed))
        object.__setattr__(self, "window_end", _time(self.window_end))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**{**data, "window_end": _time(data["window_end"])})


@dataclass(frozen=True)
class Evidence:
    """What is known about a model at one moment. Nothing in it moves with the clock alone.

    Attributes:
        model: the monitored model.
        window: label of the newest closed window; None if none has closed.
        checks: results of the last windows, all that have closed since the last tick among them, in any
            order.
        matured_labels: labels known now that the champion was not fitted on (all, without a champion).
        champion_version: None if there is no champion yet.
        champion_since: when the champion was trained, by the model's clock; its age follows from it.
        data_ok: False if the newest data broke its contract.
        data_sentence: what is wrong with it, ending in the remedy.
        request: a person's reason to retrain now. It ignores pause, cooldown and budget, so the caller takes
            it out of later evidence once a decision on it is on record.
        paused: who paused the model and why; None if it isn't.
        cannot_judge: sentences on why the newest window can't be judged (no rows, no labels, one class).
        probe: what other models would have gained on the newest matured windows (`core.probe`); None where nothing
            could be measured yet.
    """

    model: str
    window: str | None
    checks: tuple[CheckResult, ...] = ()
    matured_labels: int = 0
    champion_version: str | None = None
    champion_since: datetime | None = None
    data_ok: bool = True
    data_sentence: str = ""
    request: str | None = None
    paused: str | None = None
    cannot_judge: tuple[str, ...] = ()
    probe: Probed | None = None

    def __post_init__(self) -> None:
        if (self.champion_version is None) != (self.champion_since is None):
            msg = f"{self.model}: champion_version and champion_since belong together: set both or neither"
            raise ValueError(msg)
        ordered = tuple(sorted(self.checks, key=lambda c: (c.window_end, c.name)))
        object.__setattr__(self, "checks", ordered)

    @property
    def newest(self) -> tuple[CheckResult, ...]:
        """The newest result of each check, in the order of names."""
        by_name = {c.name: c for c in self.checks}
        return tuple(by_name[name] for name in sorted(by_name))

    @property
    def window_end(self) -> datetime | None:
        """The end of the newest window that a check has looked at."""
        return max((c.window_end for c in self.checks), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        probe = self.probe.to_dict() if self.probe else None
        return {**plain, "checks": [c.to_dict() for c in self.checks], "probe": probe}

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, times in UTC."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        since = data.get("champion_since")
        return cls(
            **{
                **data,
                "checks": tuple(CheckResult.from_dict(c) for c in data.get("checks", ())),
                "champion_since": None if since is None else _time(since),
                "cannot_judge": tuple(data.get("cannot_judge", ())),
                "probe": Probed.from_dict(data["probe"]) if data.get("probe") else None,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of `to_json`."""
        return cls.from_dict(json.loads(text))

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON: the same evidence has the same fingerprint on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True)
class RetrainPolicy:
    """When a retraining may and should start. Every field may be set under `retrain:` in a model's YAML.

    Attributes:
        window: length of a monitoring window, set from `monitoring.window`; 7d by default. Only `max_age:
        auto`
            reads it.
        cooldown: least time between two retrainings, 7d by default. A person's request ignores it.
        budget: most retrainings in `budget_period`, 4 by default; requests count, but are never held back.
        budget_period: 30d by default. In YAML: `budget: 4 per 30d`.
        performance_breaches: windows in a row in which a performance check must fail, 1 by default: such a
            check carries its own interval.
        drift_breaches: the same for drift checks, 2 by default: inputs move harmlessly all the time.
        max_age: a champion older than this starts a candidate (never a promotion). `auto` (default) is the
            longer of 30 days and 6 windows; `never` switches it off.
        min_matured_labels: fewest new labels to train for, 500 by default; the first model needs as many.
        min_gain: the price of a retraining, as a share of the champion's loss, 0.01 by default: it starts when the
            lower bound of the gain that the probe has measured exceeds it.
    """

    window: timedelta = timedelta(days=7)
    cooldown: timedelta = timedelta(days=7)
    budget: int = 4
    budget_period: timedelta = timedelta(days=30)
    performance_breaches: int = 1
    drift_breaches: int = 2
    max_age: timedelta | Auto | None = "auto"
    min_matured_labels: int = 500
    min_gain: float = 0.01

    def __post_init__(self) -> None:
        if min(self.performance_breaches, self.drift_breaches) < 1:
            msg = "retrain.performance_breaches and drift_breaches count failed windows: set them to 1 or more"
            raise ValueError(msg)
        negative = [n for n in ("budget", "min_matured_labels", "min_gain") if getattr(self, n) < 0]
        if negative or self.cooldown < timedelta(0):
            msg = f"retrain.{(negative or ['cooldown'])[0]} is negative: set it to zero or more"
            raise ValueError(msg)

    @property
    def age_limit(self) -> timedelta | None:
        """The age in force; None if age never starts a candidate."""
        return max(timedelta(days=30), 6 * self.window) if isinstance(self.max_age, str) else self.max_age

    def breaches_needed(self, kind: Kind) -> int:
        """Failed windows in a row that a check of this kind needs."""
        return self.performance_breaches if kind == "performance" else self.drift_breaches

    def to_dict(self) -> dict[str, Any]:
        """Plain values, durations as text; `from_dict` reads them back."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {**plain, "max_age": "never" if self.max_age is None else plain["max_age"]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """A policy from plain values as in YAML; absent fields keep their defaults.

        Raises:
            ValueError: an unknown field or a value that can't be read; the message names the field and the
                remedy.
        """
        values = dict(data)
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            msg = f"retrain has no field {unknown[0]!r}: use one of {', '.join(f.name for f in fields(cls))}"
            raise ValueError(msg)
        if isinstance(budget := values.get("budget"), str):
            found = re.fullmatch(r"\s*(\d+)\s+per\s+(\S+)\s*", budget)
            if not found:
                msg = f"retrain.budget is {budget!r}: write a number and a period, for example 4 per 30d"
                raise ValueError(msg)
            values |= {"budget": int(found.group(1)), "budget_period": found.group(2)}
        for name in ("window", "cooldown", "budget_period", "max_age"):
            if name in values and values[name] not in ("auto", "never", None):
                values[name] = parse_duration(values[name])
        if values.get("max_age") == "never":
            values["max_age"] = None
        return cls(**values)


@dataclass(frozen=True)
class Past:
    """An earlier decision, as far as the next one must know it.

    `judged` holds for each check the end of the newest window it had looked at.
    """

    at: datetime
    action: Action
    evidence_fingerprint: str
    rule: str = ""
    judged: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """The earlier decisions on one model, oldest first.

    Leave out retrainings whose run broke before the gate: they have answered nothing and cost no budget.
    """

    decisions: tuple[Past, ...] = ()

    @classmethod
    def of(cls, decisions: Iterable[Decision]) -> Self:
        """The history that these decisions (in any order) make."""
        return cls(tuple(sorted((_past(d) for d in decisions), key=lambda p: p.at)))

    @property
    def retrains(self) -> tuple[Past, ...]:
        """The decisions that started a retraining."""
        return tuple(p for p in self.decisions if p.action == "retrain")

    def judged_until(self, check: str) -> datetime | None:
        """The end of the newest window that any earlier decision knew this check's answer on."""
        return max((p.judged[check] for p in self.decisions if check in p.judged), default=None)

    @property
    def answered_until(self) -> datetime | None:
        """The end of the newest window that the last retraining has answered."""
        return max((end for p in self.retrains for end in p.judged.values()), default=None)


@dataclass(frozen=True)
class Counterfactual:
    """A change that would have led to another action; `replay` proves it.

    Attributes:
        sentence: the change and what would have followed.
        action: what would have followed.
        evidence: fields of the evidence, plain, as they would have been.
        checks: check -> whether it would have passed in every window of the evidence.
        policy: fields of the policy, plain, as they would have been.
    """

    sentence: str
    action: Action
    evidence: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, bool] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)

    def replay(self, evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Action:
        """The action that `decide` takes with this change made to what it was given."""
        checks = [{**c.to_dict(), "passed": self.checks.get(c.name, c.passed)} for c in evidence.checks]
        changed = Evidence.from_dict({**evidence.to_dict(), "checks": checks, **self.evidence})
        agreed = RetrainPolicy.from_dict({**policy.to_dict(), **self.policy})
        return _conclude(changed, agreed, history, now)[0]


@dataclass(frozen=True)
class Decision:
    """What follows from the evidence, with everything needed to understand and to replay it.

    Attributes:
        action: what to do.
        model: the monitored model.
        at: the clock.
        rule: which of `RULES` decided.
        reasons: sentences a person reads, the deciding one first.
        counterfactuals: what would have changed the action.
        evidence: the evidence itself, plain.
        evidence_fingerprint: its SHA-256.
        policy: the policy in force, plain.
        window: label of the newest closed window.
        window_end: the end of the newest window that a check has looked at.
        candidate: what to act by, as the probe names it: `refit:<window>` or `revert:<version>`; None where it has
            not looked.
        id: the first 16 hex digits of the SHA-256 of model, evidence, policy, action and rule. An unchanged
            tick has the same id: use it as run key.
    """

    action: Action
    model: str
    at: datetime
    rule: str
    reasons: tuple[str, ...]
    counterfactuals: tuple[Counterfactual, ...]
    evidence: Mapping[str, Any]
    evidence_fingerprint: str
    policy: Mapping[str, Any]
    window: str | None
    window_end: datetime | None
    candidate: str | None
    id: str

    @property
    def reason(self) -> str:
        """All reasons as one text."""
        return " ".join(self.reasons)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the ledger."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        changes = [{f.name: _plain(getattr(c, f.name)) for f in fields(c)} for c in self.counterfactuals]
        return {**plain, "counterfactuals": changes}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; keys of the ledger that are not the decision's are left out."""
        # Decisions from before the probe name no candidate.
        known = {"candidate": None, **{f.name: data[f.name] for f in fields(cls) if f.name in data}}
        end = known["window_end"]
        return cls(
            **{
                **known,
                "at": _time(known["at"]),
                "window_end": None if end is None else _time(end),
                "reasons": tuple(known["reasons"]),
                "counterfactuals": tuple(Counterfactual(**c) for c in known["counterfactuals"]),
            }
        )


def decide(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Decision:
    """Wait, retrain, quarantine, or say that it can't be judged.

    A check counts as breached when it failed in enough windows in a row (`RetrainPolicy.breaches_needed`),
    and the run either lasts until its newest result or ended in a window that no earlier decision has seen:
    all windows that closed since the last tick are judged as if there had been a tick for each. A window that
    could not be judged breaks a run. Windows that the last retraining already answered don't count again.

    Args:
        evidence: what was measured.
        policy: what was agreed.
        history: earlier decisions on the model.
        now: the model's clock, aware.

    Returns:
        The decision with reasons and counterfactuals; the same for the same arguments.
    """
    if now.tzinfo is None:
        msg = f"{now} has no time zone: pass the model's clock as an aware datetime"
        raise ValueError(msg)
    action, rule, reasons = _conclude(evidence, policy, history, now)
    fingerprint, agreed = evidence.fingerprint(), policy.to_dict()
    key = canonical_json([evidence.model, fingerprint, agreed, action, rule])
    return Decision(
        action=action,
        model=evidence.model,
        at=now.astimezone(UTC),
        rule=rule,
        reasons=reasons,
        counterfactuals=_counterfactuals(action, evidence, policy, history, now),
        evidence=evidence.to_dict(),
        evidence_fingerprint=fingerprint,
        policy=agreed,
        window=evidence.window,
        window_end=evidence.window_end,
        candidate=_candidate(action, evidence),
        id=hashlib.sha256(key.encode()).hexdigest()[:16],
    )


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


Conclusion = tuple[Action, str, tuple[str, ...]]


def _conclude(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> Conclusion:
    """Action, rule and reasons, in the order of the module's docstring."""
    if not evidence.data_ok:
        told = evidence.data_sentence or "The newest data broke its contract."
        return "quarantine", "data", (told, "Nothing is trained on it and the champion stays.")
    if evidence.request is not None:
        return "retrain", "request", (f"A person asked for it: {evidence.request}",)
    if evidence.paused is not None:
        return "wait", "paused", (f"The model is paused: {evidence.paused}",)
    if evidence.champion_version is not None:
        if stop := _unjudgeable(evidence):
            return stop
        wanted = _wanted(evidence, policy, history, now)
    elif evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", ("There is no champion yet.", *evidence.cannot_judge)
    else:
        wanted = ("first_model", ("There is no champion yet.",))
    if wanted is None:
        return "wait", "nothing", _calm(evidence, policy, now)
    rule, reasons = wanted
    if rule == "revert":
        return "revert", rule, reasons
    held = _held_back(evidence, policy, history, now)
    if held is not None:
        return "wait", held[0], (held[1], *reasons)
    return "retrain", rule, (*reasons, f"{evidence.matured_labels:,} new labels are known.")


def _candidate(action: Action, evidence: Evidence) -> str | None:
    """What the action acts by."""
    if evidence.probe is None or action not in ("retrain", "revert"):
        return None
    if action == "revert" and evidence.probe.revert is not None:
        return evidence.probe.revert.candidate
    return evidence.probe.leader


def _unjudgeable(evidence: Evidence) -> Conclusion | None:
    if evidence.cannot_judge:
        return "cannot_judge", "cannot_judge", evidence.cannot_judge
    if evidence.window is None:
        return "wait", "no_window", ("No monitoring window has closed yet.",)
    if evidence.probe is None and all(check.passed is None for check in evidence.newest):
        told = tuple(c.sentence for c in evidence.newest if c.sentence)
        why = f"No check could judge window {evidence.window}; look at its reports for the remedy."
        return "cannot_judge", "cannot_judge", (why, *told)
    return None


def _wanted(
    evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime
) -> tuple[str, tuple[str, ...]] | None:
    """The first thing that asks for a change, with its sentences; see the module's docstring."""
    if evidence.probe is not None:
        if found := _gain(evidence.probe, policy):
            return found
    else:
        for kind in ("performance", "drift"):
            reasons = tuple(s for run in _breaches(evidence, policy, history, kind) if (s := _tell(run, policy)))
            if reasons:
                return kind, reasons
    limit, since = policy.age_limit, evidence.champion_since
    if limit is None or since is None:
        return None
    # A candidate that was rejected has renewed the champion's term: the next one is due after another.
    last = max((past.at for past in history.retrains), default=since)
    if now - max(since, last) < limit:
        return None
    return "age", (f"The champion is {_days(now - since)} old, and a candidate is due every {_days(limit)}.",)


def _gain(probe: Probed, policy: RetrainPolicy) -> tuple[str, tuple[str, ...]] | None:
    """Going back or refitting, where the lower bound of its gain exceeds the price; going back wins a tie of means."""
    price = f"more than the price of {policy.min_gain:.1%}"
    back, refit = probe.revert, probe.refit
    if back is not None and back.lower > policy.min_gain and (refit is None or back.mean >= refit.mean):
        return "revert", (f"{_upper(back.told)}, {price}.",)
    if refit is not None and refit.lower > policy.min_gain:
        return "gain", (f"{_upper(refit.told)}, {price}.",)
    return None


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _breaches(evidence: Evidence, policy: RetrainPolicy, history: History, kind: Kind) -> list[tuple[CheckResult, ...]]:
    """For each check of `kind`, its newest run of failures that is long enough and current (see `decide`)."""
    answered = history.answered_until
    by_name: dict[str, list[CheckResult]] = {}
    for check in evidence.checks:
        if check.kind == kind and (answered is None or check.window_end > answered):
            by_name.setdefault(check.name, []).append(check)
    found = []
    for name in sorted(by_name):
        runs = _failed_runs(by_name[name])
        last = by_name[name][-1]
        seen = history.judged_until(name)
        for run in reversed(runs):
            fresh = seen is None or run[-1].window_end > seen
            if len(run) >= policy.breaches_needed(kind) and (run[-1] is last or fresh):
                found.append(run)
                break
    return found


def _failed_runs(results: list[CheckResult]) -> list[tuple[CheckResult, ...]]:
    runs: list[list[CheckResult]] = [[]]
    for check in results:
        if check.passed is False:
            runs[-1].append(check)
        elif runs[-1]:
            runs.append([])
    return [tuple(run) for run in runs if run]


def _tell(run: tuple[CheckResult, ...], policy: RetrainPolicy) -> str:
    last = run[-1]
    where = f"in window {last.window}" if len(run) == 1 else f"in {len(run)} windows up to {last.window}"
    numbers = last.sentence or (
        f"value {last.value:.4g}, limit {last.limit:.4g}" if last.value is not None and last.limit is not None else ""
    )
    needed = f" ({policy.breaches_needed(last.kind)} in a row needed)"
    return f"{last.name} failed {where}{needed}{': ' + numbers if numbers else ''}."


def _held_back(evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime) -> tuple[str, str] | None:
    """What holds back a retraining that something asks for: (rule, sentence)."""
    past = [p.at for p in history.retrains]
    if past and now - max(past) < policy.cooldown:
        until = max(past) + policy.cooldown
        told = f"The last retraining was {_days(now - max(past))} ago; the cooldown of {_days(policy.cooldown)}"
        return "cooldown", f"{told} ends at {until:%Y-%m-%d %H:%M} UTC."
    spent = sum(now - at < policy.budget_period for at in past)
    if spent >= policy.budget:
        period = _days(policy.budget_period)
        return "budget", f"{spent} retrainings in the last {period}; the budget is {policy.budget}."
    if evidence.matured_labels < policy.min_matured_labels:
        told = f"{evidence.matured_labels:,} new labels are known and {policy.min_matured_labels:,} are needed."
        return "labels", told
    return None


def _calm(evidence: Evidence, policy: RetrainPolicy, now: datetime) -> tuple[str, ...]:
    """Why nothing is asked for."""
    failed = [c for c in evidence.newest if c.passed is False]
    judged = sum(c.passed is not None for c in evidence.newest)
    if evidence.probe is not None:
        head = evidence.probe.sentence
        if failed:
            names = ", ".join(sorted({c.name for c in failed}))
            head += f" {names} failed in window {evidence.window}; nothing that was tried would have done better."
    elif failed:
        told = "; ".join(
            f"{c.name} failed in window {c.window}, and {policy.breaches_needed(c.kind)} in a row "
            "since the last retraining are needed"
            for c in failed
        )
        head = f"Not enough breaches: {told}."
    else:
        head = f"All {judged} checks that could judge passed, up to window {evidence.window}."
    age, limit = now - (evidence.champion_since or now), policy.age_limit
    tail = f"The champion is {_days(age)} old" + (f" of {_days(limit)}." if limit is not None else ".")
    return head, tail


def _counterfactuals(
    action: Action, evidence: Evidence, policy: RetrainPolicy, history: History, now: datetime
) -> tuple[Counterfactual, ...]:
    """The small changes, one at a time, that lead to another action; each was replayed."""
    out: list[Counterfactual] = []
    for candidate in _candidates(evidence, policy):
        other = candidate.replay(evidence, policy, history, now)
        if other != action:
            sentence = f"If {candidate.sentence}, the answer would have been {other.replace('_', ' ')}."
            out.append(replace(candidate, action=other, sentence=sentence))
    return tuple(out)


def _candidates(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
    """Changes worth trying, the likeliest first; `action` is filled in by the replay."""

    def said(sentence: str, **changes: Mapping[str, Any]) -> Counterfactual:
        return Counterfactual(sentence, "wait", **changes)

    out = [
        said("the data had kept its contract", evidence={"data_ok": True}),
        said("nobody had asked for it", evidence={"request": None}),
        said("the model had not been paused", evidence={"paused": None}),
        said("no cooldown had been agreed", policy={"cooldown": "0d"}),
        said("no budget had been agreed", policy={"budget": 10**6}),
        said(
            f"{policy.min_matured_labels:,} new labels had been known",
            evidence={"matured_labels": policy.min_matured_labels},
        ),
        *_other_gains(evidence, policy),
        said("one failed window had been enough for drift", policy={"drift_breaches": 1}),
        said("no age limit had been agreed", policy={"max_age": "never"}),
    ]
    for name in sorted({c.name for c in evidence.checks}):
        out.append(said(f"{name} had passed in every window", checks={name: True}))
        out.append(said(f"{name} had failed in every window", checks={name: False}))
    out.append(said("a person had asked for it", evidence={"request": "asked for"}))
    return out


def _other_gains(evidence: Evidence, policy: RetrainPolicy) -> list[Counterfactual]:
    """What another finding of the probe, or another price, would have led to."""
    if evidence.probe is None:
        return []
    found = []
    gains = {"refit": evidence.probe.refit, "revert": evidence.probe.revert}
    for name, gain in gains.items():
        if gain is None:
            continue
        enough = gain.lower > policy.min_gain
        wanted = 0.0 if enough else policy.min_gain + 0.0001
        changed = replace(gain, lower=wanted, mean=max(gain.mean, wanted))
        told = f"the gain of {Candidate.parse(gain.candidate).told} had been sure to be "
        told += f"{'no more than' if enough else 'above'} {max(wanted - 0.0001, 0.0):.1%}"
        probe = {**evidence.probe.to_dict(), name: asdict(changed)}
        found.append(Counterfactual(told, "wait", evidence={"probe": probe}))
        if gain.lower > 0.0:
            price = f"a retraining had been priced at {gain.lower:.2%} of the loss"
            found.append(Counterfactual(price, "wait", policy={"min_gain": gain.lower if enough else gain.lower / 2}))
    return found


def _past(decision: Decision) -> Past:
    judged: dict[str, datetime] = {}
    for check in (c for c in decision.evidence["checks"] if c["passed"] is not None):
        end = _time(check["window_end"])
        judged[check["name"]] = max(end, judged.get(check["name"], end))
    return Past(decision.at, decision.action, decision.evidence_fingerprint, decision.rule, judged)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, refusing NaN: equal values have equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def _time(value: str | datetime) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if moment.tzinfo is None:
        msg = f"{value} has no time zone: write times with an offset, for example 2013-05-01T00:00:00+00:00"
        raise ValueError(msg)
    return moment.astimezone(UTC)


def _days(length: timedelta) -> str:
    days = length.total_seconds() / 86400
    return f"{days:.0f} days" if days >= 2 else f"{days * 24:.1f} hours"
