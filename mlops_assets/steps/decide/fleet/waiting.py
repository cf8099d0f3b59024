"""The trainings that wait for their turn, as the records say, and what each is expected to bring and to cost.

Here: the queue of a home, which no file holds; what a day has spent of the budget. Not here: its order
(`core.decide.fleet.training_queue`), starting one (`turns`).
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from mlops_assets.core.decide.fleet.training_queue import Spent, Waiting, charged, ordered, start_days, with_hold
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.decide.rules import quiet
from mlops_assets.core.record.entries import Decision
from mlops_assets.core.record.plain_values import moment
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.fleet.on_record import OnFile, is_asked, on_file
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_runs import TrainingRun, TrainingRuns
from mlops_assets.world.runs.training_starts import TrainingStarts

USUAL_RUNS = 5
"""Newest trainings of a model whose median is what the next one is expected to take."""
ASSUMED_CPU_HOURS = 0.1
"""What a training is taken to cost where none of the location has ended yet."""
_LEAST_CPU_HOURS = 1.0 / 3600.0


@dataclass(frozen=True)
class TrainingQueue:
    """The queue of a home at one moment.

    Attributes:
        platform: the home.
        models: those that are declared.
        policy: what was agreed.
        training: models that are being trained right now, as far as whoever asks knows.
    """

    platform: Platform
    models: Mapping[str, ModelSettings]
    policy: TrainingsPolicy
    training: Collection[str] = ()

    @cached_property
    def waiting(self) -> list[Waiting]:
        """Who waits, in the order in which they start."""
        return ordered(self._waiting(), self.now, self.policy)

    @cached_property
    def now(self) -> datetime:
        """The location's clock: the machine's, or as far as any of the models that wait has come with its data."""
        settings = self.platform.home.settings
        if settings.clock == "wall":
            return datetime.now(UTC)
        moments = [entry.waiting.at for entry in self._on_file.values() if entry.waiting is not None]
        starts = [start.at for start in TrainingStarts(self.platform.home.root).all()]
        return settings.until or max([*moments, *starts], default=datetime.now(UTC))

    @property
    def today(self) -> date:
        """The day whose budget is spent, in UTC."""
        return self.now.astimezone(UTC).date()

    def spent(self) -> Spent:
        """What has started today: by what was expected of each, or by what it has taken where that is more."""
        spent = Spent()
        for start in TrainingStarts(self.platform.home.root).on(self.today):
            run = self._runs(start.model).get(start.decision)
            hours = max(start.cpu_hours, run.cpu_seconds / 3600.0 if run else 0.0)
            spent = spent.and_one(charged(hours, self.policy))
        return spent

    def start_days(self) -> dict[str, date]:
        """On which day each starts if nothing else comes, by model."""
        return start_days(self.waiting, self.spent(), self.policy, self.today)

    @cached_property
    def _on_file(self) -> dict[str, OnFile]:
        record = self.platform.ledger.record
        return {name: on_file(record, name) for name in self.models}

    def _waiting(self) -> Iterator[Waiting]:
        for name, entry in self._on_file.items():
            decision = entry.waiting
            if decision is None or entry.since is None or name in self.training:
                continue
            if decision.id in self._runs(name):
                continue  # It has begun, and ended if it is not being trained.
            waiting = self._of(decision, entry.since)
            held = self._held(self.models[name], decision, entry)
            yield with_hold(waiting, held) if held else waiting

    def _of(self, decision: Decision, since: datetime) -> Waiting:
        """A training by what its decision stands on."""
        evidence: Mapping[str, Any] = decision.evidence
        probe: Mapping[str, Any] = evidence.get("probe") or {}
        refit: Mapping[str, Any] = probe.get("refit") or {}
        profit: Mapping[str, Any] = refit.get("profit") or {}
        fitted = evidence.get("champion_since")
        days = (decision.at - moment(fitted)) / timedelta(days=1) if fitted else 0.0
        rows = probe.get("rows_per_day") or (evidence.get("matured_labels", 0) / days if days > 0.0 else 0.0)
        return Waiting(
            model=decision.model,
            decision=decision.id,
            rule=decision.rule,
            since=since,
            cpu_hours=self.expected_cpu_hours(decision.model),
            gain=max(0.0, refit["mean"]) if refit else None,
            price=float(decision.policy.get("min_gain", 0.0)),
            rows_per_day=float(rows),
            money_per_day=profit["mean"] * profit["rows_per_day"] if profit else None,
            asked=is_asked(decision),
            insisted=bool(evidence.get("request_forced")),
            failing=bool(evidence.get("failing")),
            first=evidence.get("champion_version") is None,
        )

    def _held(self, model: ModelSettings, decision: Decision, known: OnFile) -> str:
        """Why it could not start now, as far as the record and the clock say; empty where it could."""
        now = self.now
        if known.frozen is not None and known.frozen.holds(now) and not decision.evidence.get("request_forced"):
            return f"The model is frozen {known.frozen.in_words}"
        if decision.rule == "request":
            return ""
        if known.snoozed is not None and known.snoozed.holds(now):
            return f"Trainings are snoozed {known.snoozed.in_words}"
        return quiet(model.retrain_policy, now) or ""

    def expected_cpu_hours(self, model: str) -> float:
        """What a training of a model is expected to take: as its own newest ones, else as those of the others."""
        known = _usual(self._runs(model).values())
        return max(known if known is not None else self._usual_of_all, _LEAST_CPU_HOURS)

    @cached_property
    def _usual_of_all(self) -> float:
        known = [hours for name in self.models if (hours := _usual(self._runs(name).values())) is not None]
        return statistics.median(known) if known else ASSUMED_CPU_HOURS

    def _runs(self, model: str) -> Mapping[str, TrainingRun]:
        root = self.platform.home.root
        try:
            known = TrainingRuns(root).file(model).stat()
        except FileNotFoundError:
            return {}
        return _runs_of(root, model, known.st_mtime_ns, known.st_size, known.st_ino)


@lru_cache(maxsize=16_384)
def _runs_of(root: Path, model: str, *stamp: int) -> Mapping[str, TrainingRun]:
    del stamp
    return TrainingRuns(root).of(model)


def _usual(runs: Collection[TrainingRun]) -> float | None:
    """The median CPU hours of the newest that went through; None where none did."""
    took: Sequence[float] = [run.cpu_seconds for run in runs if run.cpu_seconds > 0.0 and not run.broke][-USUAL_RUNS:]
    return statistics.median(took) / 3600.0 if took else None
