"""Rehearsing the way back: a real service under load, a candidate that is bad in one way, and the real guardrails.

Here: the rehearsals and what they measure. Not here: the home that they happen in (`drill_home`), the guardrails
(`core.rollout.moves`), going back (`steps.rollout.moves`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mlops_assets.core.models.matrix import FloatMatrix
from mlops_assets.core.models.model import Model
from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.core.rollout.moves import RolloutPolicy
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.settings_sections import RolloutSpec
from mlops_assets.serving.app import build
from mlops_assets.serving.engine.arms import Arm, Contract, Load, load_arm
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.serving.rehearsal.drill_home import CANDIDATE_VERSION, DrillHome, of_bad_data, worse
from mlops_assets.serving.rehearsal.in_process import serving
from mlops_assets.serving.rehearsal.traffic import Traffic, newest_events
from mlops_assets.steps.predict.predictions import score_days
from mlops_assets.steps.rollout.moves import ROLLOUT, Looked, move_on, start
from mlops_assets.world.mlflow.registry import ModelVersion, Registry
from mlops_assets.world.platform import FITTED_UNTIL, Platform

DrillKind = Literal["worse-model", "slow-model", "bad-data"]
KINDS: tuple[DrillKind, ...] = ("worse-model", "slow-model", "bad-data")
RATE = 10.0
PATIENCE = 60.0
"""Seconds after which something that should have happened counts as not happening."""
SETTLED = 0.5
"""Seconds without an answer of a version after which it is out of service; requests come ten a second."""


class DidNotGoBack(RuntimeError):
    """A rehearsal did not end as it should."""


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal showed.

    Attributes:
        kind: what was wrong with the candidate.
        stage: where it was when it was stopped.
        guardrails: that stopped it.
        reason: on record.
        look_seconds: the look that found it out: measuring, and the move.
        alias_seconds: of that, the move: from being written down to alias, tags and record.
        servers_seconds: from then on, until the candidate's last answer.
        back_seconds: from its second bad answer until its last. Where scores and labels of days tell that answers are
            bad, they can be told from when these days are in the lake.
        requests: during the rehearsal.
        failed: of them.
    """

    kind: DrillKind
    stage: str
    guardrails: tuple[str, ...]
    reason: str
    look_seconds: float
    alias_seconds: float
    servers_seconds: float
    back_seconds: float
    requests: int
    failed: int


@dataclass(frozen=True)
class DrillPlan:
    """How one kind is rehearsed.

    Attributes:
        policy: the rollout that the candidate goes through.
        candidate: makes it.
        load: makes the service's arms.
        lives: whether days of data go by before the look; else only requests do.
    """

    policy: RolloutPolicy
    candidate: Callable[[DrillHome], Model]
    load: Load
    lives: bool


def plan_of(kind: DrillKind, version: int = CANDIDATE_VERSION) -> DrillPlan:
    """The plan of a kind, for a candidate of that number."""
    # One fault at a time: a busy machine makes every version slow.
    watched = RolloutPolicy(shadow=0.0, canary=(), watch=24.0 * 60, max_p99_ms=None)
    if kind == "worse-model":
        return DrillPlan(replace(watched, max_psi=None), worse, load_arm, True)
    if kind == "bad-data":
        return DrillPlan(replace(watched, max_drop=None), of_bad_data, load_arm, True)
    canary = RolloutPolicy(shadow=0.0, canary=(25.0,))
    assert canary.max_p99_ms is not None
    return DrillPlan(canary, lambda drill: drill.champion, slowed(version, 1.5e-3 * canary.max_p99_ms), False)


def rehearse(drill: DrillHome, kind: DrillKind, *, rate: float = RATE) -> Rehearsal:
    """Bring a bad candidate into service under load, and see it go.

    Raises:
        DidNotGoBack: it was not stopped, or went on answering.
    """
    plan = plan_of(kind)
    platform = drill.platform
    model = drill.model.model_copy(update={"rollout": RolloutSpec(**vars(plan.policy))})
    rows = newest_events(platform, model, until=drill.first)
    app = build(platform, keys=Keys(), limits=Limits(), flush_seconds=0.2, load=plan.load)
    with serving(app) as address, Traffic(address, model.name, rows, rate=rate).running() as load:
        _wait(lambda: load.sent - load.failed > 5, "the service answers")
        _bring_in(drill, model, plan)
        _wait(lambda: CANDIDATE_VERSION in load.second_by_version, "the candidate answers twice")
        if plan.lives:
            drill.at(drill.end)
            score_days(platform, model, drill.days)
        began = time.perf_counter()
        bad = began if plan.lives else load.second_by_version[CANDIDATE_VERSION]
        looks = _look_until_stopped(platform, model)
        alias_seconds = time.time() - platform.record_file(model.name, ROLLOUT).stat().st_mtime
        ended = time.perf_counter()
        _wait(lambda: time.perf_counter() - max(ended, load.last_by_version[CANDIDATE_VERSION]) > SETTLED, "it is gone")
        decided = ended - alias_seconds
        stopped = looks[-1].move
        return Rehearsal(
            kind=kind,
            stage="canary" if plan.policy.canary else "watch",
            guardrails=tuple(rail.name for rail in stopped.guardrails if not rail.holds),
            reason=stopped.reason,
            look_seconds=ended - began,
            alias_seconds=alias_seconds,
            servers_seconds=max(0.0, load.last_by_version[CANDIDATE_VERSION] - decided),
            back_seconds=max(0.0, load.last_by_version[CANDIDATE_VERSION] - bad),
            requests=load.sent,
            failed=load.failed,
        )


def _bring_in(drill: DrillHome, model: ModelSettings, plan: DrillPlan) -> None:
    """The candidate's rollout begins, as after the gate."""
    candidate = plan.candidate(drill)
    now = drill.platform.now(model)
    version = drill.register(candidate, {FITTED_UNTIL: now.isoformat(), "drill": "candidate"})
    details = {"promised": None, "fitted_until": now.isoformat()}
    start(drill.platform, model, version, decision="drill-candidate", reason="a rehearsal", at=now, promise=details)


def _look_until_stopped(platform: Platform, model: ModelSettings) -> list[Looked]:
    """Look as the sensor does, until a guardrail breaks."""
    deadline = time.monotonic() + PATIENCE
    while True:
        looks = move_on(platform, model)
        if looks and looks[-1].move.moved and not looks[-1].move.rollout.is_open:
            if looks[-1].move.rollout.answers:
                raise DidNotGoBack(f"No guardrail has stopped the candidate: {looks[-1].move.reason}")
            return looks
        if time.monotonic() > deadline:
            reason = looks[-1].move.reason if looks else "no rollout is open"
            raise DidNotGoBack(f"After {PATIENCE:.0f} s nothing has stopped the candidate: {reason}")
        time.sleep(0.1)


def slowed(version: int, seconds: float) -> Load:
    """Arms as ever, but for one version, which takes so much longer for each request."""

    def load(registry: Registry, registered: ModelVersion, name: str, contract: Contract) -> Arm:
        arm = load_arm(registry, registered, name, contract)
        return replace(arm, scorer=_Slow(arm.scorer.model, seconds=seconds)) if registered.version == version else arm

    return load


@dataclass(frozen=True)
class _Slow(RowScorer):
    """A model that takes its time."""

    seconds: float = 0.0

    def score(self, matrix: FloatMatrix) -> np.ndarray:
        """Scores, late."""
        time.sleep(self.seconds)
        return super().score(matrix)


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise DidNotGoBack(
                f"After {PATIENCE:.0f} s this is still not so: {what}. The drill's home says why (--keep)."
            )
        time.sleep(0.02)
