"""How sure a model's gain has to be among those that were looked at on the same day, as far as they are known.

Here: which gains are tested together. Not here: the test (`core.decide.fleet.false_discoveries`), the p-values
(`core.decide.looks`).

What people agreed on (`retrain.on`), asked for or approved is no discovery, and neither is a champion that is worse
than guessing, a first model, growth, age or a changed definition: none of them says that it has found a gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from mlops_assets.core.decide.evidence import Evidence
from mlops_assets.core.decide.fleet.false_discoveries import AmongLooks, among_looks, found_among
from mlops_assets.core.record.entries import Decision
from mlops_assets.steps.decide.fleet.on_record import TestedGain, asks_by_gain, on_file
from mlops_assets.world.declared_files import once
from mlops_assets.world.platform import Platform


@dataclass(frozen=True)
class GainsOfTheDay:
    """Gains that are known besides those on record: of looks that the same tick has made.

    Attributes:
        known: by model, the day of its look and the p-value.
    """

    known: dict[str, tuple[date, float]] = field(default_factory=dict)

    def add(self, evidence: Evidence) -> None:
        """One more."""
        if (gain := _looked(evidence)) is not None:
            self.known[evidence.model] = gain


def among(
    platform: Platform, evidence: Evidence, decision: Decision, gains: GainsOfTheDay | None = None
) -> AmongLooks | None:
    """How sure the gain has to be that a decision stands on; None where none is asked to be.

    What was sure enough once stays so, and what was not keeps its limit on record as long as it is not: the same look
    is no news.
    """
    rate, looks = rate_of(platform)
    gain = _looked(evidence)
    if rate is None or gain is None or not asks_by_gain(decision):
        return None
    day, p = gain
    before = on_file(platform.ledger.record, evidence.model).tested
    same = before.among if before and (before.day, before.p) == (day, p) else None
    if same is not None and not same.refusal(p):
        return same
    p_values = known_on(platform, day, gains) | {evidence.model: p}
    now = among_looks(evidence.model, p_values, day, max(looks, len(p_values)), rate)
    return same if same is not None and now.refusal(p) else now


def now_found(platform: Platform) -> list[str]:
    """Models whose gain was not sure enough when it was decided on, and is by now: others of its day were found."""
    rate, looks = rate_of(platform)
    if rate is None:
        return []
    tested = _tested(platform)
    days = {gain.day for gain in tested.values() if gain.is_held}
    certain: set[str] = set()
    for day in days:
        p_values = known_on(platform, day)
        certain |= found_among(p_values, max(looks, len(p_values)), rate)
    return sorted(model for model, gain in tested.items() if gain.is_held and model in certain)


def rate_of(platform: Platform) -> tuple[float | None, int]:
    """The false discovery rate in force, and among how many looks a day."""
    policy = platform.trainings_policy()
    if policy is None:
        return None, 0
    looks = once(("looks a day", platform.sources), lambda: _looks_a_day(platform))
    return policy.rate_among(looks), looks


def known_on(platform: Platform, day: date, gains: GainsOfTheDay | None = None) -> dict[str, float]:
    """The p-values of the gains of a day that are known, by model."""
    on_record = {model: gain.p for model, gain in _tested(platform).items() if gain.day == day}
    here = {model: p for model, (of, p) in gains.known.items() if of == day} if gains else {}
    return on_record | here


def _looked(evidence: Evidence) -> tuple[date, float] | None:
    """The day of the newest look and the p-value of its gain; None where nobody has asked for that."""
    probe = evidence.probe
    p, at = (probe.refit.p if probe and probe.refit else None), probe.looked_at if probe else None
    return (at.astimezone(UTC).date(), p) if isinstance(p, float) and isinstance(at, datetime) else None


def _tested(platform: Platform) -> Mapping[str, TestedGain]:
    record = platform.ledger.record
    known = {model: on_file(record, model).tested for model in platform.models()}
    return {model: gain for model, gain in known.items() if gain is not None}


def _looks_a_day(platform: Platform) -> int:
    """As many as the probe decides on: each may be looked at on any day."""
    return sum(1 for model in platform.models().values() if not model.retrain.on)
