"""What a replay gives: its periods as they were lived, with their decisions, and what its page tells besides.

Here: reading these from the record, the reports and the registry. Not here: living through the periods (`replay`), the
scores of the lives (`lives`), the page (`pages.replay`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlops_assets.core.decide.evidence import CheckResult
from mlops_assets.core.record.entries import JUDGED, Decision, OnRecord, Promotion, only
from mlops_assets.core.rollout.moves import rollbacks
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window, parse_duration
from mlops_assets.simulate.lives import CALENDARS
from mlops_assets.simulate.lives_compared import ScoredPeriod, constant_lives, gains_on_platform
from mlops_assets.steps.watch.windows.summaries import WindowSummary, judged_folders, read_summary, window_checks
from mlops_assets.world.landed.landed_files import WHOLE
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.record import ACTED


@dataclass(frozen=True)
class Story:
    """A replay that has been lived through.

    Attributes:
        platform: of the replay's home.
        model: which was replayed.
        periods: those that were lived through.
        left_out: those before the first champion.
        failing: check (`key_of`) -> when it was first seen to fail, ISO: labels come later than their window.
        decided: where a period begins or ends (ISO) -> how many decisions stood on record before the replay went on
            from there; a replay that was begun before this was noted has none, and goes by the decisions' moments.
    """

    platform: Platform
    model: ModelSettings
    periods: Sequence[Window]
    left_out: Sequence[Window]
    failing: Mapping[str, str]
    decided: Mapping[str, int]

    def result(self, scored: Mapping[str, ScoredPeriod]) -> dict[str, Any]:
        """`replay.json`, as values.

        Args:
            scored: each period by its end.
        """
        judge = metric(self.model.metric)
        entries, checks = self.platform.ledger.entries(self.model.name), window_checks(self.platform, self.model)
        periods = [
            self._line_of(period, scored[period.end.isoformat()].line, entries, checks) for period in self.periods
        ]
        means = {life: _mean([p[life] for p in periods]) for life in ("static", "auto", *CALENDARS)}
        return {
            "model": self.model.name,
            "metric": self.model.metric,
            "task": self.model.task,
            "greater_is_better": judge.greater_is_better,
            "left_out": [period.label(self.model.timezone) for period in self.left_out],
            "periods": periods,
            "quarantine": self._set_aside(),
            "summary": {
                **means,
                "retrains": sum(p["retrained"] for p in periods),
                "promotions": sum(p["promoted"] is True for p in periods),
                "rejections": sum(p["promoted"] is False for p in periods),
                "rollbacks": rollbacks(entries),
                "always_trainings": len(periods),
                "seconds": None,
            },
        }

    def known_by(self) -> datetime:
        """When labels are read for scoring: late enough for the last period's, which is after the last tick."""
        return self.periods[-1].end + parse_duration(self.model.label.max_delay)

    def _set_aside(self) -> list[dict[str, Any]]:
        """What is in quarantine of the model's sources, oldest first; `folder` is below the replay's home."""
        quarantined = []
        for source in self.platform.sources_of(self.model):
            intake = self.platform.sources.intakes()[source.name]
            for partition, entry in intake.record.quarantined().items():
                start = None if partition == WHOLE else intake.start(partition)
                of = (p for p in (*self.left_out, *self.periods) if start and p.start <= start < p.end)
                period = next(of, None)
                quarantined.append(
                    {
                        "source": source.name,
                        "grain": source.grain,
                        "partition": partition,
                        "period": period and period.label(self.model.timezone),
                        "reason": entry.reason,
                        "folder": str(intake.quarantine(partition).relative_to(self.platform.home.root)),
                    }
                )
        return sorted(quarantined, key=lambda each: (each["partition"], each["source"]))

    def _standing_at(self, moment: datetime, decisions: Sequence[Decision]) -> int:
        """How many of these stood on record when the replay went on from a moment."""
        return self.decided.get(moment.isoformat(), sum(decision.at <= moment for decision in decisions))

    def _line_of(
        self,
        period: Window,
        scored: Mapping[str, Any],
        entries: Sequence[OnRecord],
        known: Sequence[CheckResult],
    ) -> dict[str, Any]:
        every = only(entries, Decision)
        first, end = (self._standing_at(moment, every) for moment in (period.start, period.end))
        decisions = every[first:end]
        # What was decided earlier and has not changed stands, unless it has been done.
        standing = [decision for decision in every[:end][-1:] if decision.action not in ACTED]
        # A retraining is followed by nothing in the same period; without one the last word counts.
        acted = (decision for decision in decisions if decision.action in ACTED)
        decision = next(acted, next(iter(decisions[-1:] or standing), None))
        outcomes = {e.decision: e for e in entries if isinstance(e, JUDGED)}
        outcome = outcomes.get(decision.id) if decision else None
        checks: dict[str, bool | None] = {}
        failed_at: dict[str, str] = {}
        for check in known:
            if period.start < check.window_end <= period.end and checks.get(check.name) is not False:
                # With several windows in a period, one that failed is what the period is remembered for.
                checks[check.name] = check.passed
                if check.passed is False and (at := self.failing.get(key_of(check))):
                    failed_at.setdefault(
                        check.name, datetime.fromisoformat(at).astimezone(self.model.zone).date().isoformat()
                    )
        return {
            "start": period.start.astimezone(self.model.zone).date().isoformat(),
            "end": period.end.astimezone(self.model.zone).date().isoformat(),
            "label": period.label(self.model.timezone),
            **scored,
            "checks": checks,
            "failed_at": failed_at,
            "decision_id": decision.id if decision else None,
            "decided_at": decision.at.isoformat() if decision else None,
            "decision": decision.action if decision else "wait",
            "rule": decision.rule if decision else "nothing",
            "reason": _reason(decision, stands=not decisions),
            "retrained": bool(decision and decision.action == "retrain"),
            "promoted": None if outcome is None else isinstance(outcome, Promotion),
            "verdict_reason": outcome.reason if outcome else None,
        }

    def details(self, settings: Mapping[str, Any], scored: Mapping[str, ScoredPeriod]) -> dict[str, Any]:
        """What the page tells besides: how the lives compare, drift by window, settings, versions.

        Args:
            settings: of the replay, by name.
            scored: each period by its end.
        """
        import pandas as pd

        drift: list[dict[str, Any]] = []
        for folder in judged_folders(self.platform.lake, self.model.name, "drift"):
            label = read_summary(folder, WindowSummary).window
            table = pd.read_parquet(folder / "features.parquet")
            drift += [
                {"period": label, "feature": feature, "psi": value}
                for feature, value in zip(table["feature"], table["psi"], strict=True)
                if pd.notna(value)
            ]
        return {
            "gains": gains_on_platform([*scored.values()], self.model.metric),
            "constant": constant_lives([*scored.values()]),
            "drift": drift,
            "settings": {
                **{name: str(value) for name, value in settings.items()},
                "trials": settings["trials"] or self.model.training.trials,
                "seed": self.model.training.seed,
                "gate window": self.model.gate.window,
                "monitoring window": self.model.monitoring.window,
                "before the first champion": ", ".join(p.label(self.model.timezone) for p in self.left_out)
                or "nothing",
            },
            "versions": {
                f"version {version.version}": f"{version.tags.get('verdict', '')} {', '.join(version.aliases)}".strip()
                for version in reversed(self.platform.registry.versions(self.model.name))
            },
        }


def key_of(check: CheckResult) -> str:
    """What identifies a check of a window."""
    return f"{check.name} {check.window_end.isoformat()}"


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _reason(decision: Decision | None, *, stands: bool) -> str:
    """Why, in a period's line.

    Args:
        decision: what holds at its end; None without one.
        stands: whether it was made earlier.
    """
    if decision is None or (stands and decision.action == "wait"):
        return "Nothing changed since the last decision."
    return " ".join(["Nothing changed since the last decision:"] * stands + list(decision.reasons))
