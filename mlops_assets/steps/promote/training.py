"""The steps from rows to a champion, one function each, on one home.

Here: what the training assets do between reading and reporting, callable without Dagster (a replay measures its
other lives with the same functions). Not here: the assets (`assets`), the pure parts (`core`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.family_choice import Champion, Chosen, find
from mlops_assets.core.models.training import Model, Recipe, Tuned, fit
from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.promote.gate import Verdict, verdict
from mlops_assets.core.promote.outcome import promise
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.stats.classes import knowing
from mlops_assets.core.stats.comparison import Paired, twin_agrees
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.time.windows import Window, local_days
from mlops_assets.steps.decide.evidence import ANSWERS
from mlops_assets.steps.decide.holds import frozen_against, overtaken
from mlops_assets.steps.decide.probe import LAST_EVENT, TRAINING_WINDOW
from mlops_assets.steps.decide.training_scope import at, scope
from mlops_assets.steps.features.code_versions import CONSTANT, FEATURE_CODE, built_code
from mlops_assets.steps.predict.reference_files import keep_reference
from mlops_assets.steps.promote.cards import write_card
from mlops_assets.steps.promote.gate import Scored, compare, score
from mlops_assets.steps.promote.gate_limits import rules_of_what_ships
from mlops_assets.steps.promote.golden import golden_file
from mlops_assets.steps.promote.reproduction import LIBRARIES, code_version, libraries
from mlops_assets.steps.promote.season import season_rules
from mlops_assets.steps.rollout.moves import finish, start, starts
from mlops_assets.world.atomic import write_bytes
from mlops_assets.world.mlflow.registry import CHALLENGED_BY
from mlops_assets.world.model_data import EVENT_TIME, LABEL, ModelData, TrainingSet
from mlops_assets.world.platform import FITTED_UNTIL, GATE_PREVIOUS, GATE_VALUE, Platform, fitted_until


def prepare(platform: Platform, model: ModelSettings, *, as_of: datetime | None = None) -> dict[str, Any]:
    """Join and store the training set; returns (and records) what it is.

    Raises:
        CannotJudge: there is no matured window to judge a challenger on, or too few rows before it.
        FileNotFoundError: a golden set is agreed and not there.
    """
    golden_file(platform, model)
    now = as_of or platform.now(model)
    found = scope(platform, model, as_of=now)
    training = found.data.training_set(known_by=found.known_by, before=found.before)
    record = {
        "as_of": now.isoformat(),
        "window": found.data.model.training.window,
        "gate_start": found.gate.start.isoformat(),
        "gate_end": found.gate.end.isoformat(),
        "newest_days": found.plan.is_newest,
        "lag_one": found.plan.lag_one,
        "sha256": training.sha256,
        "known_by": training.known_by.isoformat(),
        "rows": len(training.frame),
        "first_event": training.frame[EVENT_TIME].min().isoformat(),
        "last_event": training.frame[EVENT_TIME].max().isoformat(),
        "label_mean": float(training.frame[LABEL].mean()),
        "path": str(training.path),
        FEATURE_CODE: {view: code for view, code in built_code(platform.lake).items() if view in model.features},
    }
    platform.write_record(model.name, "training_set", record)
    return record


def train(platform: Platform, model: ModelSettings, *, run_id: str) -> tuple[dict[str, Any], Tuned, Model]:
    """Tune on the recorded training set and fit the model that the gate will judge."""
    prepared = platform.record(model.name, "training_set")
    data = at(platform, model, prepared["window"])
    training = data.load(prepared["sha256"], datetime.fromisoformat(prepared["known_by"]))
    champion = platform.registry.champion(model.name)
    since = fitted_until(champion)
    known = Champion(platform.registry.load(model.name, champion.version), since) if champion and since else None
    tuned, chosen = search(data, training.frame, champion=known)
    judged = fit(tuned.recipe, training.frame, training.frame[LABEL].to_numpy(), base=known.model if known else None)
    file = _candidate_file(platform, model, judged.sha256, tuned.recipe.family)
    write_bytes(file, judged.to_bytes())
    record = {
        "training_set": training.sha256,
        "recipe": tuned.recipe.to_json(),
        "judged_sha256": judged.sha256,
        "validation_score": tuned.validation_score,
        "mlflow_run": run_id,
        "rows": len(training.frame),
        "code_version": code_version(),
        FEATURE_CODE: prepared.get(FEATURE_CODE, {}),
        CONSTANT: list(tuned.dropped),
        "as_of": prepared["as_of"],
        "window": prepared["window"],
        "family": tuned.recipe.family,
        "families": [asdict(one) for one in chosen.tried],
    }
    platform.write_record(model.name, "challenger", record)
    return {**record, "dataset": training.path, "model_file": file}, tuned, judged


def search(data: ModelData, frame: pd.DataFrame, *, champion: Champion | None = None) -> tuple[Tuned, Chosen]:
    """The choice of a family and the search for hyperparameters on training rows.

    The same rows, settings and champion give the same recipe (without `training.budget`).

    Args:
        data: the model's rows, in the training window that was settled on.
        frame: a training set.
        champion: its parameters are tried first, and some families go on from it.
    """
    model, trials = data.model, data.lake.home.settings.trials
    settings = replace(model.training, trials=trials) if trials else model.training
    return find(
        frame,
        frame[LABEL].to_numpy(),
        frame[EVENT_TIME],
        data.columns,
        model.task,
        model.metric,
        settings,
        half_life_days=TrainingWindow.parse(model.training.window).half_life_days,
        champion=champion,
    )


def refit(data: ModelData, challenger: Model, scored: Scored, *, as_of: datetime) -> tuple[Model, TrainingSet]:
    """The same recipe on all rows known at `as_of`: what ships."""
    rows = data.store(scored.known, as_of)
    return fit(challenger.recipe, rows.frame, rows.frame[LABEL].to_numpy(), base=challenger), rows


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


def judge(platform: Platform, model: ModelSettings, *, decision_id: str) -> Judged:
    """Compare challenger and champion on the gate window; register the challenger with what became of it."""
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
    challenger = Model.from_bytes(_candidate_file(platform, model, trained["judged_sha256"], family).read_bytes())
    fit_rows = data.load(prepared["sha256"], datetime.fromisoformat(prepared["known_by"]))
    whole = bool(prepared.get("newest_days"))
    scored = score(data, challenger, fit_rows, gate, as_of=as_of, whole=whole)
    rows, scores = scored.rows, scored.scores
    first = compare(platform, model, scored, fit_rows.frame[LABEL], lag_one=prepared.get("lag_one"))
    shipped, shipped_rows, twin = None, None, None
    if first.verdict.promote:
        shipped, shipped_rows = (
            refit(data, challenger, scored, as_of=as_of) if model.gate.ship == "refit" else (challenger, fit_rows)
        )
        twin = twin_agrees(scores, shipped.predict(rows), model.gate.twin_correlation)
        if not twin.agrees:
            # What was judged better must not be thrown away because its refit is another model: it ships itself.
            shipped, shipped_rows = scored.last, data.store(scored.last_rows.reset_index(drop=True), as_of)
            twin = replace(twin, agrees=True, sentence=f"{twin.sentence}; the judged model itself ships in its place")
    further = list(first.further)
    if first.verdict.judged:
        further += season_rules(platform, data, challenger, scored, gate, as_of=as_of)
        further += rules_of_what_ships(platform, model, shipped or challenger, rows, as_of)
    conclusion = verdict(
        model.gate, first.champion, slices=first.slices, baseline=first.baseline, further=further, twin=twin
    )
    conclusion = replace(conclusion, reason=model.label.noted(conclusion.reason))
    held_against = _held_against(model, scored, first.metrics)
    version = platform.registry.register(
        model.name,
        shipped if conclusion.promote and shipped else challenger,
        run_id=trained["mlflow_run"],
        signature_frame=rows.head(5),
        description=conclusion.reason,
        tags={
            "training_set": trained["training_set"],
            "refit_set": shipped_rows.sha256 if shipped_rows else "",
            "judged_sha256": challenger.sha256,
            FITTED_UNTIL: (shipped_rows or fit_rows).known_by.isoformat(),
            LAST_EVENT: (shipped_rows or fit_rows).frame[EVENT_TIME].max().isoformat(),
            "gate_window": f"{gate.start.isoformat()}/{gate.end.isoformat()}",
            CHALLENGED_BY: decision_id,
            **({GATE_VALUE: held_against} if held_against is not None else {}),
            **({GATE_PREVIOUS: first.metrics["gate_champion"]} if "gate_champion" in first.metrics else {}),
            "code_version": trained["code_version"],
            FEATURE_CODE: json.dumps(trained.get(FEATURE_CODE, {}), sort_keys=True),
            CONSTANT: json.dumps(trained.get(CONSTANT, [])),
            LIBRARIES: json.dumps(libraries(challenger.recipe.family), sort_keys=True),
            TRAINING_WINDOW: prepared["window"],
            "verdict": "promote" if conclusion.promote else "reject",
            "reason": conclusion.reason[:4000],
        },
    )
    if conclusion.promote and shipped and shipped_rows:
        use = knowing(scores, local_days(rows[EVENT_TIME], model.timezone))
        told = rows[use].reset_index(drop=True)
        keep_reference(platform, data, version.version, fitted=shipped_rows, gate_rows=told, scores=scores[use])
    known = shipped_rows if conclusion.promote and shipped_rows else fit_rows
    write_card(platform, model, version, scored=scored, fitted=known, compared=first, verdict=conclusion)
    platform.write_record(
        model.name,
        "evaluation",
        {
            "decision": decision_id,
            "as_of": as_of.isoformat(),
            "version": version.version,
            "judged_sha256": challenger.sha256,
            "judged_parts": scored.models,
            "shipped_sha256": shipped.sha256 if shipped else None,
            "fitted_until": (shipped_rows or fit_rows).known_by.isoformat(),
            "verdict": conclusion.to_dict(),
            "promised": promise(first.champion, first.baseline),
        },
    )
    return Judged(
        verdict=conclusion,
        metrics=first.metrics,
        slice_rows=[_slice_row(name, result) for name, result in first.slices.items()],
        gains=first.gains,
        version=version.version,
        judged_sha256=challenger.sha256,
        shipped_sha256=shipped.sha256 if shipped else None,
    )


def conclude(platform: Platform, model: ModelSettings) -> dict[str, Any]:
    """Promote what the gate let through, begin its rollout, or record the rejection; twice changes nothing."""
    finish(platform, model)
    record = platform.record(model.name, "evaluation")
    verdict_ = record["verdict"]
    decision, version = record["decision"], record["version"]
    at = datetime.fromisoformat(record["as_of"])
    outcome = {"version": version, "reason": verdict_["reason"], "fitted_until": record["fitted_until"]}
    before = platform.registry.champion(model.name)
    is_champion = before is not None and before.version == version
    is_new = verdict_["promote"] and not is_champion and not is_answered(platform, model, decision)
    held = (frozen_against(platform, model, decision) or overtaken(platform, model, decision)) if is_new else None
    if held:
        outcome["reason"] = f"{held} The gate had let it through: {outcome['reason']}"
    if held or not verdict_["promote"]:
        platform.ledger.record.note(
            model.name, "rejection", at=at, id=f"rejection-{decision}-{version}", decision=decision, **outcome
        )
        return {**outcome, "promoted": False}
    if starts(platform, model) and not is_champion:
        told = {"promised": record.get("promised"), "fitted_until": record["fitted_until"]}
        begun = start(platform, model, version, decision=decision, reason=verdict_["reason"], at=at, told=told)
        outcome["reason"] = f"It is in {begun.state} now. {outcome['reason']}"
        if not begun.answers:
            return {**outcome, "promoted": False}
        return {**outcome, "promoted": True, "sha256": record["shipped_sha256"], "previous": begun.champion}
    platform.registry.promote(model.name, version, decision_id=decision, reason=verdict_["reason"], at=at)
    previous = platform.registry.previous(model.name)
    platform.ledger.record.note(
        model.name,
        "promotion",
        at=at,
        id=f"promotion-{decision}-{version}",
        decision=decision,
        previous=before.version if before and before.version != version else previous.version if previous else None,
        promised=record.get("promised"),
        **outcome,
    )
    return {
        **outcome,
        "promoted": True,
        "sha256": record["shipped_sha256"],
        "previous": previous.version if previous else None,
    }


def finish_promotion(platform: Platform, model: ModelSettings) -> None:
    """Put a promotion, or a move of a rollout, on record whose run was killed half-way; nothing to do otherwise.

    Only while no run of the model is at work.
    """
    finish(platform, model)
    if not platform.record_file(model.name, "evaluation").exists():
        return
    evaluation = platform.record(model.name, "evaluation")
    if not evaluation["verdict"]["promote"] or is_answered(platform, model, evaluation["decision"]):
        return
    champion = platform.registry.champion(model.name)
    if champion is not None and champion.version == evaluation["version"]:
        conclude(platform, model)


def is_answered(platform: Platform, model: ModelSettings, decision: str) -> bool:
    """Whether a decision to retrain has ended in a promotion, a rollout or a rejection."""
    entries = platform.ledger.entries(model.name)
    return any(entry["kind"] in ANSWERS and entry["decision"] == decision for entry in entries)


def _held_against(model: ModelSettings, scored: Scored, metrics: Mapping[str, float]) -> float | None:
    """The metric that later windows are held against; None where the gate had none."""
    value = metrics.get("gate_challenger")
    use = knowing(scored.scores, local_days(scored.rows[EVENT_TIME], model.timezone))
    if value is None or use.all():
        return value
    try:
        return metric(model.metric).score(scored.rows[LABEL].to_numpy()[use], scored.scores[use])
    except CannotJudge:
        return value


def _candidate_file(platform: Platform, model: ModelSettings, sha256: str, family: str) -> Path:
    return platform.lake.folder("models", model.name, "candidates", f"{sha256}.{family_called(family).ending}")


def _slice_row(name: str, result: Paired | CannotJudge) -> tuple[Any, ...]:
    if isinstance(result, CannotJudge):
        return (name, None, None, None, None, None, None, str(result))
    return (name, result.n, result.champion, result.challenger, result.gain, result.lower, result.upper, None)
