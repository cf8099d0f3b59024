"""Predictions for people: `/predict/{model}`, and which models there are.

Here: the paths, their bodies and answers. Not here: how a row is scored (`scoring`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BeforeValidator, Field, WithJsonSchema
from starlette.concurrency import run_in_threadpool

from mlops_assets.core.models.row_scoring import LONGEST_TEXT
from mlops_assets.core.values.text_times import read_text
from mlops_assets.serving.engine.arms import Arm, Contract
from mlops_assets.serving.engine.scoring import Service
from mlops_assets.serving.http.bodies import MODEL_NAME, PROBLEMS, Strict, WrongBody, body_of, reply, takes
from mlops_assets.serving.http.limits import Limits
from mlops_assets.serving.log.records import Answer, LoggedRow
from mlops_assets.steps.predict.scoring_versions import BASELINE, SERVED_BY

_SCALAR = {
    "anyOf": [{"type": "number"}, {"type": "string", "maxLength": LONGEST_TEXT}, {"type": "boolean"}, {"type": "null"}]
}
_KEY = {"anyOf": [{"type": "string", "maxLength": LONGEST_TEXT}, {"type": "integer"}, {"type": "null"}]}
Values = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": _SCALAR})]
EntityKeys = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": _KEY})]
EXAMPLE_TIME = "2013-01-01T10:15:00Z"
BIAS = "bias"
"""Among contributions, the raw score before any feature."""
ANSWERED_BY = "mlops.answered_by"
"""Where a request's scope keeps the arms that answered it."""
ModelName = Annotated[str, Path(pattern=MODEL_NAME, description="A monitored model.")]


def moment(text: str) -> datetime:
    """A text with a zone as a moment.

    Raises:
        ValueError: it tells none.
    """
    parsed = read_text(text)
    if parsed is None or parsed.tzinfo is None:
        raise ValueError(f"must be a time in ISO 8601 with a zone, such as {EXAMPLE_TIME}")
    return parsed


def _moment(value: Any) -> Any:
    """A text as the moment that it tells to the one reader of texts; anything else is for pydantic to refuse."""
    return moment(value) if isinstance(value, str) else value


class PredictRow(Strict):
    """One row: whom it is about, and the features that the caller brings; the rest comes from the online store."""

    entities: EntityKeys = Field(default_factory=dict, description="Entity keys, as the label model names them.")
    features: Values = Field(
        default_factory=dict,
        description="`<view>__<feature>` to value; null is missing. They win over the online store's.",
    )
    event_timestamp: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = Field(
        default=None, description="When the event is, ISO 8601 with a zone; by default now, by the home's clock."
    )


class PredictRequest(Strict):
    """Rows to predict."""

    rows: list[PredictRow] = Field(min_length=1, description="One prediction each.")


class Contribution(Strict):
    """What one feature adds to the raw score."""

    feature: str
    value: Any = Field(description="What was scored; null is missing.")
    contribution: float | dict[str, float] = Field(description="With classes, by class.")


class Prediction(Strict):
    """One prediction."""

    id: str = Field(description="Under which it is logged.")
    score: float = Field(
        description="Binary: probability of class 1. Regression: the value. Else: the largest probability."
    )
    scores: list[float] | None = Field(default=None, description="Multiclass: the probability of each class.")
    model: str | None = Field(
        default=None, description="Only where a fleet was asked and a member answered for its own row: the member."
    )
    model_version: int = Field(description="Who answered.")
    arm: str = Field(description="champion or canary.")
    served_by: str | None = Field(
        default=None,
        description="`baseline` where the champion is worse than guessing, and the score is what guessing says.",
    )
    reason: str | None = Field(default=None, description="Why, with served_by.")
    event_timestamp: datetime = Field(description="The event's time that it is logged under.")
    feature_times: dict[str, datetime | None] = Field(
        description="Event time of what the online store had, by view; null where it had nothing within the ttl."
    )
    degraded: bool | None = Field(default=None, description="True where some view had nothing for the keys.")
    missing_views: list[str] | None = Field(default=None, description="Which, with degraded.")
    contributions: list[Contribution] | None = Field(
        default=None,
        description="With explain: what each feature adds to the raw score (TreeSHAP), the largest first.",
    )
    bias: float | dict[str, float] | None = Field(
        default=None, description="With explain: the raw score before any feature; with classes, by class."
    )


class PredictAnswer(Strict):
    """Predictions in the order of the rows."""

    model: str
    predictions: list[Prediction]


class Options(Strict):
    """What a prediction may be asked for besides."""

    explain: Annotated[bool, Field(strict=False, description="Say what each feature contributed.")] = False


class LoadedVersion(Strict):
    """One version in service."""

    version: int
    arm: str
    sha256: str
    since: datetime | None = Field(description="When it was loaded; null while it is not in memory.")
    share: float = Field(description="Of the entities that it answers for.")


class LoadedModel(Strict):
    """One model and who answers for it."""

    name: str
    description: str
    task: str
    keys: dict[str, str] = Field(description="Entity keys and their types.")
    features: dict[str, str] = Field(
        description="Features and their kinds: those the champion reads; of a model that is not in memory those of its "
        "feature views."
    )
    in_memory: bool = Field(description="Whether it is loaded; else its first request loads it.")
    versions: list[LoadedVersion]


EXAMPLE_VALUES = {"numeric": 1.5, "categorical": "a", "boolean": True}


def examples(contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """A request by keys and one with a feature, in the words of the first model."""
    contract = next(iter(contracts.values()))
    keys = {key: "a" if dtype == "string" else 1 for key, dtype in contract.keys.items()}
    name, kind = next(iter(contract.kinds.items()))
    brought = {"entities": keys, "features": {name: EXAMPLE_VALUES[kind]}, "event_timestamp": EXAMPLE_TIME}
    return {"by entity": {"rows": [{"entities": keys}]}, "with a feature": {"rows": [brought]}}


def router(service: Service, limits: Limits) -> APIRouter:
    """The paths."""
    api = APIRouter(tags=["predictions"], responses=PROBLEMS)
    shown = examples(service.contracts)

    @api.post(
        "/predict/{model}",
        response_model=PredictAnswer,
        openapi_extra=takes(PredictRequest, shown),
    )
    async def predict(model: ModelName, request: Request, options: Annotated[Options, Query()]) -> Response:
        """Score rows with the version that is in production (or on trial, for its share of the entities)."""
        await service.arms_loaded(model)
        body = await body_of(request, PredictRequest)
        check_rows(len(body.rows), limits.rows)
        rows = [LoggedRow(row.entities, row.features, row.event_timestamp) for row in body.rows]
        answers = await answered(service, model, rows)
        note(request, answers)
        explanations: list[dict[str, Any] | None] = [None] * len(answers)
        if options.explain:
            explanations = await run_in_threadpool(explained, answers)
        return reply(plain_all(model, answers, explanations))

    @api.get("/models", response_model=list[LoadedModel])
    async def models() -> Response:
        """The models in service, their features and versions; those that are not in memory as they would be loaded."""
        loaded_models = [_listed(service, name, versions) for name, versions in service.models.answering.items()]
        return reply(loaded_models)

    return api


def _listed(service: Service, name: str, versions: Mapping[str, int]) -> LoadedModel:
    """A model as `GET /models` describes it."""
    contract, loaded, appointed = service.contracts[name], service.models.memory.look(name), service.models.appointed
    settings = contract.settings
    listed = LoadedModel(
        name=name,
        description=settings.description,
        task=settings.task,
        keys=dict(contract.keys),
        features={
            feature: kind
            for feature, kind in contract.kinds.items()
            if not {feature, feature.partition("__")[2]} & {*settings.exclude}
        },
        in_memory=loaded is not None,
        versions=[],
    )
    if loaded is None:
        named = appointed[name]
        hashes = {each.version: each.sha256 for each in (named.champion, named.candidate) if each is not None}
        listed.versions = [
            LoadedVersion(version=version, arm=arm, sha256=hashes[version], since=None, share=named.shares[arm])
            for arm, version in versions.items()
        ]
        return listed
    arms = loaded.arms
    listed.features = {feature: arms.columns[feature].kind for feature in arms.champion.scorer.columns}
    listed.versions = [
        LoadedVersion(
            version=arm.version,
            arm=arm.name,
            sha256=arm.sha256,
            since=arm.since,
            share=arms.share if arm is arms.candidate else 1.0 - arms.share,
        )
        for arm in arms.loaded.values()
    ]
    return listed


def check_rows(rows: int, most: int) -> None:
    """Refuse too many rows.

    Raises:
        WrongBody: there are.
    """
    if rows > most:
        raise WrongBody(422, f"a request may have {most:,} rows, this one has {rows:,}; split it")


async def answered(service: Service, model: str, rows: list[LoggedRow], version: int | None = None) -> list[Answer]:
    """Answers, made on the event loop where that takes less than handing over."""
    if service.is_long(await service.arms_loaded(model), rows):
        return await run_in_threadpool(service.answer, model, rows, version=version)
    return service.answer(model, rows, version=version)


def note(request: Request, answers: Sequence[Answer]) -> None:
    """Tell `short_way`, which counts requests, who answered."""
    request.scope.setdefault(ANSWERED_BY, []).extend(answering(answers))


def answering(answers: Sequence[Answer]) -> list[tuple[str, Arm]]:
    """Model and arm of whoever answered some of the rows."""
    if len(answers) == 1:
        return [(answers[0].model, answers[0].arm)]
    return list({(answer.model, id(answer.arm)): (answer.model, answer.arm) for answer in answers}.values())


def plain_all(model: str, answers: Sequence[Answer], details: Sequence[dict[str, Any] | None] = ()) -> dict[str, Any]:
    """Answers as `PredictAnswer` describes them; with contributions where they were asked for."""
    each = zip(answers, details or [None] * len(answers), strict=True)
    return {"model": model, "predictions": [plain(model, *pair) for pair in each]}


def plain(asked: str, answer: Answer, explanation: dict[str, Any] | None) -> dict[str, Any]:
    """An answer as `Prediction` describes it."""
    prediction: dict[str, Any] = {
        "id": answer.id,
        "score": answer.score,
        "model_version": answer.arm.version,
        "arm": answer.arm.name,
        "event_timestamp": answer.event_time,
        "feature_times": answer.feature_times,
    }
    if answer.model != asked:
        prediction["model"] = answer.model
    if answer.reason:
        prediction |= {SERVED_BY: BASELINE, "reason": answer.reason}
    if answer.scores:
        prediction["scores"] = answer.scores
    if answer.missing:
        prediction |= {"degraded": True, "missing_views": answer.missing}
    return prediction | (explanation or {})


def _explanation(parts: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Contributions as `Prediction` describes them: the feature that did most comes first."""

    def size(part: Any) -> float:
        return max(map(abs, part.values())) if isinstance(part, dict) else abs(part)

    ranked = sorted(((size(part), name) for name, part in parts.items() if name != BIAS), key=lambda each: -each[0])
    contributions = [{"feature": name, "value": values.get(name), "contribution": parts[name]} for _, name in ranked]
    return {"contributions": contributions, **({BIAS: parts[BIAS]} if BIAS in parts else {})}


def explained(answers: list[Answer]) -> list[dict[str, Any] | None]:
    """What each feature contributed to each answer, and the bias."""
    import pandas as pd

    explanations: list[dict[str, Any] | None] = [None] * len(answers)
    # No feature has contributed to what guessing says.
    for arm in {id(answer.arm): answer.arm for answer in answers if not answer.reason}.values():
        mine = [i for i, answer in enumerate(answers) if answer.arm is arm and not answer.reason]
        names = list(arm.scorer.columns)
        rows = pd.DataFrame([[answers[i].values.get(n) for n in names] for i in mine], columns=names, dtype=object)
        contributions = arm.scorer.model.contributions(rows)
        several = contributions.columns.nlevels > 1
        for place, index in enumerate(mine):
            row = contributions.iloc[place]
            parts = {str(k): row[k] for k in row.index.get_level_values(0).unique()} if several else row
            explanations[index] = _explanation(
                {str(k): part.to_dict() if several else float(part) for k, part in parts.items()}, answers[index].values
            )
    return explanations
