"""Many models of one location, whose records are written by hand: decisions that wait for their training.

Here: a home with its own declarations, and decisions as the policy puts them on record. Not here: data; nothing is
decided on these models.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from mlops_assets.assets.model_looks import Tick
from mlops_assets.assets.retrain_sensor import DECISION_TAG, MODEL_TAG, Deciding
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.decide.retrain_policy import RetrainPolicy
from mlops_assets.core.record.entries import Decision, Promotion
from mlops_assets.core.settings import ModelSettings
from mlops_assets.steps.decide.fleet.waiting import TrainingQueue
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.features import Features
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.sources import Sources
from mlops_assets.world.mlflow.registry import Registry
from mlops_assets.world.platform import Platform
from mlops_assets.world.record.ledger import Ledger
from mlops_assets.world.runs.training_starts import TrainingStarts
from tests.checkout import CHECKOUT

DEFS = CHECKOUT / "mlops_assets" / "defs"
NOW = datetime.now(UTC)
"""The machine's clock: a wall home has no other."""
HOUR = timedelta(hours=1)


def declare(folder: Path, names: list[str], **changes: Any) -> None:
    """Declarations of the demo's sources, and models like flight_delay of these names."""
    shutil.copytree(DEFS, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    fields = yaml.safe_load((DEFS / "flight_delay" / "defs.yaml").read_text(encoding="utf-8"))
    for name in ("flight_delay", "arrival_delay", "card_fraud", "carrier_delay"):
        shutil.rmtree(folder / name)
    for name in names:
        (folder / name).mkdir()
        document = {**fields, "attributes": {**fields["attributes"], "name": name, **changes}}
        (folder / name / "defs.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")


@dataclass
class FleetHome:
    """A home of some models, and what is agreed on for all of them."""

    home: Home
    defs: Path
    policy: TrainingsPolicy | None
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    @cached_property
    def platform(self) -> Platform:
        root, policy = str(self.home.root), self
        lake = Lake(root=root)

        class Agreed(Platform):
            def trainings_policy(self) -> TrainingsPolicy | None:
                return policy.policy

        return Agreed(
            lake=lake,
            sources=Sources(lake=lake, folder=str(self.defs)),
            features=Features(lake=lake),
            registry=Registry(home=root),
            ledger=Ledger(root=root),
        )

    @property
    def models(self) -> Mapping[str, ModelSettings]:
        return self.platform.models()

    def decided(self, model: str, rule: str = "gain", **more: Any) -> Decision:
        """Put a decision on record as the policy would."""
        entry = decision(model, rule, **more)
        assert self.platform.ledger.append(model, entry)
        return entry

    def promoted(self, entry: Decision, version: int = 2) -> None:
        self.platform.ledger.record.note(entry.model, Promotion, version=version, decision=entry.id, previous=1)

    def queue(self) -> list[str]:
        """Who waits, in the order of turns."""
        return [each.model for each in self.trainings().waiting]

    def trainings(self) -> TrainingQueue:
        assert self.policy is not None
        return TrainingQueue(self.platform, self.models, self.policy)

    def starts(self) -> list[str]:
        """Who was let start, in that order."""
        return [start.model for start in TrainingStarts(self.home.root).all()]

    def turns(self) -> list[str]:
        """One tick's turns, nobody being looked at besides: for whom it asks Dagster for a run."""
        looks = Deciding(self.platform, self.instance, self.policy).together(self.models, lambda _, look: look())
        return [str(look.request.tags[MODEL_TAG]) for look in looks.values() if look.request is not None]

    def tick(self, cursor: str | None = None) -> dg.SensorResult:
        """One tick of the sensor."""
        deciding = Deciding(self.platform, self.instance, self.policy)
        alerts = Alerts(root=str(self.home.root))
        with dg.build_sensor_context(self.instance, cursor=cursor) as context:
            tick = Tick(self.platform, alerts, deciding.look, "training_set", deciding.together)
            return tick.over(context, lambda _: self.models)

    def run(self, entry: Decision, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
        """As the daemon does with a request."""
        tags = {MODEL_TAG: entry.model, DECISION_TAG: entry.id, "dagster/run_key": entry.id}
        run = dg.DagsterRun(job_name="retrain", run_id=entry.id * 2, tags=tags, status=status)
        self.instance.add_run(run)
        return run


def decision(
    model: str,
    rule: str = "gain",
    *,
    action: str = "retrain",
    gain: float | None = 0.1,
    rows: float = 100.0,
    p: float | None = 1e-9,
    looked: datetime | None = None,
    at: datetime | None = None,
    id: str = "",
    champion: str | None = "1",
    policy: Mapping[str, Any] | None = None,
    **evidence: Any,
) -> Decision:
    """A decision as it stands on record."""
    at = at or NOW
    refit = None if gain is None else {"candidate": "refit:expanding", "lower": gain / 2, "mean": gain, "windows": 1}
    if refit is not None:
        refit |= {"rows": 1_000, "days": 28, "profit": None, **({} if p is None else {"p": p})}
    looked_at = (looked or at).isoformat()
    probe = {"refit": refit, "revert": None, "leader": "refit:expanding", "looks": 1, "alpha_spent": 0.1}
    probe |= {"sentence": "It has looked.", "looked_at": looked_at, "rows_per_day": rows}
    return Decision(
        action=action,  # type: ignore[arg-type]
        model=model,
        at=at,
        rule=rule,
        reasons=(f"{rule} asks for it.",),
        evidence={
            "model": model,
            "champion_version": champion,
            "champion_since": (at - timedelta(days=30)).isoformat() if champion else None,
            "matured_labels": 3_000,
            **({} if gain is None else {"probe": probe}),
            **evidence,
        },
        policy={**RetrainPolicy().to_dict(), **(policy or {})},
        id=id or hashlib.sha256(repr((model, rule, action, at, gain, p, champion)).encode()).hexdigest()[:16],
    )
