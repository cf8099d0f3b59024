"""What is known about a model when it is decided on.

Here: one monitor's answer (`CheckResult`), new kinds of rows (`Novelty`), and all that is known at one moment
(`Evidence`). Not here: gathering it (`steps.decide.evidence`), what follows from it (`policy`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

from mlops_assets.core.decide.fleet.false_discoveries import AmongLooks
from mlops_assets.core.decide.probe_result import Probed
from mlops_assets.core.decide.requests import Answer, Hold
from mlops_assets.core.record.plain_values import as_plain, canonical_json, from_plain, left_out, moment

CheckKind = Literal[
    "performance", "drift", "fairness", "failing", "gain", "importance", "novelty", "new_data", "freshness", "schedule"
]  # fmt: skip

_LATER = {
    "frozen", "snoozed", "answer", "novelty", "request_forced", "events", "rollout", "labels_at_fit", "definition",
    "notes", "failing", "fall_back_to", "triggers", "unjudged", "among",
}  # fmt: skip


@dataclass(frozen=True)
class CheckResult:
    """One monitor's answer on one window.

    Attributes:
        name: the check's name, for example `inputs_match_reference`.
        kind: `performance` or `drift` (inputs and predictions); says how many breaches in a row are needed. A
            `fairness` check is for people: it is no evidence and starts nothing. What a `failing` check found is in
            `Evidence.failing`. What has become of an agreed trigger bears the rule that it asks by.
        window: the window's label.
        window_end: the end of the window, aware; orders the results.
        passed: None if the check could not judge.
        value: the number that was held against the limit.
        limit: that limit.
        sentence: what was found, with numbers.
    """

    name: str
    kind: CheckKind
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
        object.__setattr__(self, "window_end", moment(self.window_end))


@dataclass(frozen=True)
class Novelty:
    """Rows unlike those that the champion was trained on.

    Attributes:
        share: of the window's rows outside the joint support of the reference (`multivariate.Support`); 0.01 is usual.
        window: the window's label.
        window_end: its end, aware.
    """

    share: float
    window: str
    window_end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", float(self.share))
        object.__setattr__(self, "window_end", moment(self.window_end))


@dataclass(frozen=True)
class Evidence:
    """What is known about a model at one moment. Nothing in it moves with the clock alone.

    Attributes:
        model: the monitored model.
        window: label of the newest closed window; None if none has closed.
        checks: results of the last windows, all that have closed since the last tick among them, in any
            order.
        matured_labels: labels known now that the champion was not fitted on (all, without a champion).
        labels_at_fit: labels that were known when the champion was trained; 0 without one, or where nobody counted.
        champion_version: None if there is no champion yet.
        champion_since: when the champion was trained, by the model's clock; its age follows from it.
        data_ok: False if the newest data broke its contract, or a feature is broken in it.
        data_sentence: what is wrong with it, ending in the remedy.
        request: a person's reason to retrain now. It ignores pause, cooldown and budget, so the caller takes
            it out of later evidence once a decision on it is on record.
        paused: who paused the model and why; None if it isn't.
        cannot_judge: sentences on why the newest window can't be judged (no rows, no labels, one class).
        probe: what other models would have gained on the newest matured windows (`core.decide.probe`); None where
        nothing
            could be measured yet.
        request_forced: whether the person who asked insists on it while the model is frozen.
        frozen: the newest freeze that nobody has lifted; whether it holds follows from the clock.
        snoozed: the same for a snooze.
        answer: what a person said to the newest proposal, until a training or a way back follows.
        events: declared events that the newest windows fall into, a sentence each.
        rollout: the open rollout of a candidate, in words; empty where none is open.
        definition: how the model's definition has changed since its newest version was trained; empty if it hasn't.
        novelty: rows unlike the champion's in the newest window; None where that is not known.
        notes: what reports say and no rule reads: the estimate before labels, the finding that matters most.
        failing: that the champion is worse than guessing, since when and by what numbers; empty if it isn't.
        fall_back_to: the version before, where it is not worse than guessing on the same rows and `on_failing` asks for
            it; else None.
        triggers: what has become of the triggers under `retrain.on` that have limits of their own, by window or moment,
            in any order.
        unjudged: why a training that starts now ships without having been judged against the champion, as agreed
            (`gate.when_unjudgeable: ship`); empty where it will be judged.
        among: how sure the gain that asks for a training has to be among the looks of its day; None where each model is
            judged as if it were alone, and where no measured gain asks.
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
    request_forced: bool = False
    frozen: Hold | None = None
    snoozed: Hold | None = None
    answer: Answer | None = None
    events: tuple[str, ...] = ()
    rollout: str = ""
    labels_at_fit: int = 0
    definition: str = ""
    novelty: Novelty | None = None
    notes: tuple[str, ...] = ()
    failing: str = ""
    fall_back_to: int | None = None
    triggers: tuple[CheckResult, ...] = ()
    unjudged: str = ""
    among: AmongLooks | None = None

    def __post_init__(self) -> None:
        if (self.champion_version is None) != (self.champion_since is None):
            msg = f"{self.model}: champion_version and champion_since belong together: set both or neither"
            raise ValueError(msg)
        for field in ("checks", "triggers"):
            ordered = tuple(sorted(getattr(self, field), key=lambda c: (c.window_end, c.name)))
            object.__setattr__(self, field, ordered)

    @property
    def labels(self) -> int:
        """Labels known now, those that the champion was trained with among them; 0 where nobody counted these."""
        return self.labels_at_fit + self.matured_labels if self.labels_at_fit else 0

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
        # Left out where there is nothing, so that evidence without them keeps its fingerprint.
        return {name: value for name, value in as_plain(self).items() if value or name not in _LATER}

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, times in UTC."""
        return canonical_json(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`.

        Raises:
            ValueError: they are no evidence, or hold what this version does not know: it would be overlooked.
        """
        evidence = from_plain(cls, data)
        if unknown := left_out(data, as_plain(evidence)):
            raise ValueError(f"this version does not know {', '.join(unknown)} of the evidence")
        return evidence

    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON: the same evidence has the same fingerprint on every machine."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
