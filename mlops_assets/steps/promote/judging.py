"""The gate's verdict on a challenger: judged beside the champion, registered with what became of it.

Here: one judgement, step by step, and what it leaves: a version, a reference, a card. Not here: the comparison
(`gate`), training (`training`), promoting (`conclusion`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from mlops_assets.core.drift.grid import MIN_REFERENCE_ROWS
from mlops_assets.core.models.families import family_of
from mlops_assets.core.models.training import Model, Recipe
from mlops_assets.core.promote.gate import Verdict, verdict
from mlops_assets.core.promote.outcome import promise
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.classes import knowing
from mlops_assets.core.stats.comparison import Paired, TwinCheck, twin_agrees
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window, local_days
from mlops_assets.steps.decide.refits import LAST_EVENT, PARENT, TRAINING_WINDOW
from mlops_assets.steps.decide.training_scope import at
from mlops_assets.steps.features.code_versions import CONSTANT, FEATURE_CODE
from mlops_assets.steps.features.pipelines import pipeline_named
from mlops_assets.steps.predict.reference_files import keep_reference
from mlops_assets.steps.promote.cards import write_card
from mlops_assets.steps.promote.gate import Comparison, Scored, compare, score
from mlops_assets.steps.promote.gate_limits import rules_of_what_ships
from mlops_assets.steps.promote.reproduction import LIBRARIES, libraries
from mlops_assets.steps.promote.season import season_rules
from mlops_assets.steps.promote.training import candidate_file, refit
from mlops_assets.world.mlflow.registry import ModelVersion
from mlops_assets.world.mlflow.versions import CHALLENGED_BY
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData, TrainingSet
from mlops_assets.world.platform import FITTED_UNTIL, GATE_PREVIOUS, GATE_VALUE, Platform


@dataclass(frozen=True)
class Judged:
    """The gate's verdict with what a person wants to see of it; `gains` as in `gating.Comparison`."""

    verdict: Verdict
    metrics: dict[str, float]
    slice_rows: list[tuple[Any, ...]]
    gains: list[tuple[str, float, float, float]]
    version: int
    judged_sha256: str
    shipped_sha256: str | None


@dataclass(frozen=True, eq=False)
class _Case:
    """A challenger before the gate: what was prepared and trained, and how it did on the gate's rows."""

    platform: Platform
    model: ModelSettings
    prepared: Mapping[str, Any]
    trained: Mapping[str, Any]
    data: ModelData
    as_of: datetime
    gate: Window
    challenger: Model
    fit_rows: TrainingSet
    scored: Scored
    compared: Comparison

    @classmethod
    def of(cls, platform: Platform, model: ModelSettings) -> _Case:
        """Take up what the steps before have put on record."""
        prepared, trained = platform.record(model.name, "training_set"), platform.record(model.name, "challenger")
        if trained["training_set"] != prepared["sha256"]:
            raise CannotJudge(
                "the challenger was trained on another training set than the newest one",
                f"Materialize {model.name}/challenger again.",
            )
        data = at(platform, model, prepared["window"])
        as_of = datetime.fromisoformat(prepared["as_of"])
        gate = Window(datetime.fromisoformat(prepared["gate_start"]), datetime.fromisoformat(prepared["gate_end"]))
        family = Recipe.from_json(trained["recipe"]).family
        challenger = Model.from_bytes(candidate_file(platform, model, trained["judged_sha256"], family).read_bytes())
        fit_rows = data.load(prepared["sha256"], datetime.fromisoformat(prepared["known_by"]))
        newest = bool(prepared.get("newest_days"))
        in_turns = bool(prepared.get("in_turns"))
        scored = score(data, challenger, fit_rows, gate, as_of=as_of, newest=newest, in_turns=in_turns)
        compared = compare(
            platform,
            model,
            scored,
            fit_rows.frame[LABEL],
            lag_one=prepared.get("lag_one"),
            confidence=prepared.get("confidence"),
            unjudged=CannotJudge(**prepared["unjudged"]) if "unjudged" in prepared else None,
        )
        return cls(platform, model, prepared, trained, data, as_of, gate, challenger, fit_rows, scored, compared)


@dataclass(frozen=True, eq=False)
class _Shipping:
    """What would be promoted, and the rows that it was fitted on; its twin is the model that was judged."""

    model: Model
    rows: TrainingSet
    twin: TwinCheck


def judge(platform: Platform, model: ModelSettings, *, decision_id: str) -> Judged:
    """Compare challenger and champion on the gate window; register the challenger with what became of it."""
    with pipeline_named(platform, model):
        case = _Case.of(platform, model)
        shipping = _shipping(case) if case.compared.verdict.promote else None
        conclusion = _verdict(case, shipping)
    version = _register(case, shipping, conclusion, decision_id=decision_id)
    _keep(case, shipping, conclusion, version, decision_id=decision_id)
    return Judged(
        verdict=conclusion,
        metrics=case.compared.metrics,
        slice_rows=[_slice_row(name, result) for name, result in case.compared.slices.items()],
        gains=case.compared.gains,
        version=version.version,
        judged_sha256=case.challenger.sha256,
        shipped_sha256=shipping.model.sha256 if shipping else None,
    )


def _shipping(case: _Case) -> _Shipping:
    """The refit on all that is known, or the judged model itself."""
    model, scored = case.model, case.scored
    shipped, rows = case.challenger, case.fit_rows
    if model.gate.ship == "refit":
        shipped, rows = refit(case.data, case.challenger, scored, as_of=case.as_of)
    twin = twin_agrees(scored.scores, shipped.predict(scored.rows), model.gate.twin_correlation)
    if twin.agrees or len(case.data.usual(scored.last_rows)) < MIN_REFERENCE_ROWS:
        return _Shipping(shipped, rows, twin)
    # What was judged better must not be thrown away because its refit is another model: it ships itself.
    rows = case.data.store(scored.last_rows.reset_index(drop=True), case.as_of)
    sentence = f"{twin.sentence}; the judged model itself ships in its place"
    return _Shipping(scored.last, rows, replace(twin, agrees=True, sentence=sentence))


def _verdict(case: _Case, shipping: _Shipping | None) -> Verdict:
    """The comparison, the season and the limits of what ships together."""
    platform, model, first = case.platform, case.model, case.compared
    further = list(first.further)
    if first.verdict.judged or first.verdict.promote:
        further += season_rules(platform, case.data, case.challenger, case.scored, case.gate, as_of=case.as_of)
        ships = shipping.model if shipping else case.challenger
        further += rules_of_what_ships(platform, model, ships, case.scored.rows, case.as_of)
    conclusion = verdict(
        model.gate,
        first.champion,
        slices=first.slices,
        baseline=first.baseline,
        further=further,
        twin=shipping.twin if shipping else None,
    )
    return replace(conclusion, reason=model.label.noted(conclusion.reason))


def _register(case: _Case, shipping: _Shipping | None, conclusion: Verdict, *, decision_id: str) -> ModelVersion:
    """A version of what ships, or of the challenger that was rejected."""
    trained, gate, metrics = case.trained, case.gate, case.compared.metrics
    fitted = shipping.rows if shipping else case.fit_rows
    held_against = _held_against(case)
    return case.platform.registry.register(
        case.model.name,
        shipping.model if conclusion.promote and shipping else case.challenger,
        run_id=trained["mlflow_run"],
        signature_frame=case.scored.rows.head(5),
        description=conclusion.reason,
        tags={
            "training_set": trained["training_set"],
            "refit_set": shipping.rows.sha256 if shipping else "",
            "judged_sha256": case.challenger.sha256,
            FITTED_UNTIL: fitted.known_by.isoformat(),
            LAST_EVENT: fitted.frame[EVENT_TIME].max().isoformat(),
            "gate_window": f"{gate.start.isoformat()}/{gate.end.isoformat()}",
            CHALLENGED_BY: decision_id,
            **({GATE_VALUE: held_against} if held_against is not None else {}),
            **({GATE_PREVIOUS: metrics["gate_champion"]} if "gate_champion" in metrics else {}),
            "code_version": trained["code_version"],
            FEATURE_CODE: json.dumps(trained.get(FEATURE_CODE, {}), sort_keys=True),
            CONSTANT: json.dumps(trained.get(CONSTANT, [])),
            LIBRARIES: json.dumps(
                libraries(family_of(case.challenger.recipe).libraries, case.challenger.recipe.device), sort_keys=True
            ),
            TRAINING_WINDOW: case.prepared["window"],
            **({PARENT: trained["parent"]} if "parent" in trained else {}),
            "verdict": "promote" if conclusion.promote else "reject",
            "reason": conclusion.reason[:4000],
        },
    )


def _keep(
    case: _Case, shipping: _Shipping | None, conclusion: Verdict, version: ModelVersion, *, decision_id: str
) -> None:
    """What the next steps read: the reference of a version that is promoted, its card, the evaluation."""
    platform, model, scored = case.platform, case.model, case.scored
    fitted = case.fit_rows
    if conclusion.promote and shipping:
        fitted = shipping.rows
        use = _reference_rows(case)
        rows = scored.rows[use].reset_index(drop=True)
        keep_reference(platform, case.data, version.version, fitted=fitted, gate_rows=rows, scores=scored.scores[use])
    write_card(platform, model, version, scored=scored, fitted=fitted, compared=case.compared, verdict=conclusion)
    platform.write_record(
        model.name,
        "evaluation",
        {
            "decision": decision_id,
            "as_of": case.as_of.isoformat(),
            "version": version.version,
            "judged_sha256": case.challenger.sha256,
            "judged_parts": scored.models,
            "shipped_sha256": shipping.model.sha256 if shipping else None,
            "fitted_until": (shipping.rows if shipping else case.fit_rows).known_by.isoformat(),
            "verdict": conclusion.to_dict(),
            "promised": promise(case.compared.champion, case.compared.baseline),
        },
    )


def _reference_rows(case: _Case) -> np.ndarray:
    """Which rows later windows are held against: those of `knowing`, or all where these are no reference."""
    scored = case.scored
    use = knowing(scored.scores, local_days(scored.rows[EVENT_TIME], case.model.timezone))
    return use if use.sum() >= MIN_REFERENCE_ROWS else np.ones(len(use), dtype=np.bool_)


def _held_against(case: _Case) -> float | None:
    """The metric that later windows are held against; None where the gate had none."""
    scored, value = case.scored, case.compared.metrics.get("gate_challenger")
    use = _reference_rows(case)
    ships_unjudged = value is None and case.compared.verdict.promote
    if not ships_unjudged and (value is None or use.all()):
        return value
    try:
        return metric(case.model.metric).score(scored.rows[LABEL].to_numpy()[use], scored.scores[use])
    except CannotJudge:
        return value


def _slice_row(name: str, result: Paired | CannotJudge) -> tuple[Any, ...]:
    if isinstance(result, CannotJudge):
        return (name, None, None, None, None, None, None, str(result))
    return (name, result.n, result.champion, result.challenger, result.gain, result.lower, result.upper, None)
