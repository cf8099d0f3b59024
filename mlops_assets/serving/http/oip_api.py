"""The Open Inference Protocol, version 2, so that existing clients work.

Here: its paths under /v2, its bodies and answers. Not here: tensors to rows (`tensors`), how a row is scored
(`scoring`).

Source: https://github.com/kserve/open-inference-protocol (specification/protocol/inference_rest.md). Each input is one
column of shape [n] or [n, 1]: a feature, an entity key, or `event_timestamp` (BYTES, ISO 8601 with a zone). `null` in
`data` is a missing value, as in MLServer's column codec. Tensors may come and go as bytes (`binary_tensors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field, ValidationError, WithJsonSchema

from mlops_assets.core.models.families import family_called
from mlops_assets.serving.engine.arms import Arms, Contract
from mlops_assets.serving.engine.scoring import Service
from mlops_assets.serving.errors import NoModel, Refused
from mlops_assets.serving.http import binary_tensors
from mlops_assets.serving.http.bodies import (
    PROBLEMS,
    Strict,
    WrongBody,
    body_of,
    is_json,
    is_unnamed,
    problem,
    reply,
    takes,
    wrong,
)
from mlops_assets.serving.http.forms import UNREAD, Datatype
from mlops_assets.serving.http.limits import Limits
from mlops_assets.serving.http.predict_api import ModelName, answered, note
from mlops_assets.serving.http.tensors import rows_of
from mlops_assets.serving.log.records import Answer
from mlops_assets.steps.predict.scoring_versions import BASELINE, SERVED_BY
from mlops_assets.world.model_data import EVENT_TIME

_ELEMENT = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"}]}
Data = Annotated[list[Any], WithJsonSchema({"type": "array", "items": _ELEMENT})]
Parameters = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": _ELEMENT})]
Size = Annotated[int, Field(ge=0)]
_SCORE, SCORES, ARM, VERSION, ID = "score", "scores", "arm", "model_version", "prediction_id"
VersionNumber = Annotated[int, Path(ge=1, lt=2**31, description="A version in service.")]


class InferInput(Strict):
    """One column."""

    name: str = Field(description="A feature, an entity key, or `event_timestamp`.")
    shape: list[Size] = Field(min_length=1, max_length=2, description="[n] or [n, 1].")
    datatype: Datatype
    data: Data = Field(description="The n values; null is missing.")
    parameters: Parameters = Field(default_factory=dict, description="Taken and not used.")


class InferOutput(Strict):
    """An output that is asked for."""

    name: str = Field(description="score, scores, arm, model_version or prediction_id.")
    parameters: Parameters = Field(default_factory=dict, description="Taken and not used.")


class InferRequest(Strict):
    """Columns to predict from."""

    id: str | None = Field(default=None, max_length=200, description="Comes back with the answer.")
    inputs: list[InferInput] = Field(min_length=1)
    outputs: list[InferOutput] = Field(default_factory=list, description="By default all.")
    parameters: Parameters = Field(default_factory=dict, description="`binary_data_output`; others are not used.")


class Tensor(Strict):
    """One output."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any]


class InferAnswer(Strict):
    """Outputs by row."""

    model_name: str
    model_version: str
    id: str | None = None
    parameters: dict[str, Any] = Field(
        description="`feature_times`: as in /predict, one object a row. Where guessing "
        "answered in the champion's place, `served_by` with who answered each row, and the `reason`. Where "
        "members of the fleet that was asked answered for their own rows, `models` with who answered each."
    )
    outputs: list[Tensor]


class TensorMetadata(Strict):
    """Name, type and shape of a tensor; -1 stands for the rows."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(Strict):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


def examples(contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """Two rows by their keys, in the words of the first model."""
    contract = next(iter(contracts.values()))
    columns = [
        {"name": key, "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
        if dtype == "string"
        else {"name": key, "shape": [2], "datatype": "INT64", "data": [1, 2]}
        for key, dtype in contract.keys.items()
    ]
    return {"two rows": {"id": "42", "inputs": columns}}


def router(service: Service, limits: Limits) -> APIRouter:
    """The paths."""
    api = APIRouter(prefix="/v2", tags=["open inference protocol"], responses=PROBLEMS)
    shown = examples(service.contracts)

    @api.get("")
    @api.get("/", include_in_schema=False)
    async def server_metadata() -> Response:
        """Who serves."""
        return reply({"name": "mlops-assets", "version": "2", "extensions": ["binary_tensor_data"]})

    @api.get("/health/live")
    async def live() -> Response:
        """Whether the process answers."""
        return reply({"live": True})

    @api.get("/health/ready")
    async def ready() -> Response:
        """Whether any model can be asked; /readyz says more."""
        is_ready = bool(service.models.answering)
        return reply({"ready": True}) if is_ready else problem(503, "no model is in service; see /readyz")

    @api.get("/models/{model}", response_model=ModelMetadata)
    async def metadata(model: ModelName) -> Response:
        """What a model takes and gives."""
        return reply(_metadata(await service.arms_loaded(model)))

    @api.get("/models/{model}/ready")
    async def model_ready(model: ModelName) -> Response:
        """Whether a model can be asked."""
        await service.arms_loaded(model)
        return reply({"name": model, "ready": True})

    @api.get("/models/{model}/versions/{version}", response_model=ModelMetadata)
    async def version_metadata(model: ModelName, version: VersionNumber) -> Response:
        """What a version takes and gives."""
        arms = await service.arms_loaded(model)
        _require(arms, version)
        return reply(_metadata(arms))

    @api.get("/models/{model}/versions/{version}/ready")
    async def version_ready(model: ModelName, version: VersionNumber) -> Response:
        """Whether a version is in service."""
        _require(await service.arms_loaded(model), version)
        return reply({"name": model, "ready": True})

    @api.post(
        "/models/{model}/infer",
        response_model=InferAnswer,
        openapi_extra=takes(InferRequest, shown),
    )
    async def infer(model: ModelName, request: Request) -> Response:
        """Score rows; the version of each is in the output `model_version`."""
        return await _infer(service, limits, model, None, request)

    @api.post(
        "/models/{model}/versions/{version}/infer",
        response_model=InferAnswer,
        openapi_extra=takes(InferRequest, shown),
    )
    async def infer_version(model: ModelName, version: VersionNumber, request: Request) -> Response:
        """Score rows with one version that is in service."""
        return await _infer(service, limits, model, version, request)

    return api


async def _infer(service: Service, limits: Limits, model: str, version: int | None, request: Request) -> Response:
    arms = await service.arms_loaded(model)
    body = await _asked(request)
    rows = rows_of(body.inputs, arms, limits.rows, service.contracts.members(model))
    check_outputs(body, arms)
    answers = await answered(service, model, rows, version)
    note(request, answers)
    as_bytes = binary_tensors.wanted(body.parameters, body.outputs)
    if as_bytes == set():
        return reply(plain_answer(body, arms, answers))
    content, length = binary_tensors.split(plain_answer(body, arms, answers), as_bytes)
    return Response(content, media_type="application/octet-stream", headers={binary_tensors.HEADER: str(length)})


async def _asked(request: Request) -> InferRequest:
    """The request; Triton's clients name no content type, and may send tensors as bytes."""
    length = request.headers.get(binary_tensors.HEADER)
    if length is None:
        return await body_of(request, InferRequest, unnamed=True)
    kind = request.headers.get("content-type", "")
    if not (is_unnamed(request.headers) or is_json(kind) or kind == "application/octet-stream"):
        raise WrongBody(415, f"with {binary_tensors.HEADER}, send the body as application/octet-stream")
    try:
        return InferRequest.model_validate(binary_tensors.joined(await request.body(), length))
    except UNREAD as error:
        raise WrongBody(400, f"the first {length} bytes of the body are no JSON that can be read: {error}") from error
    except ValidationError as error:
        raise wrong(error) from error


def plain_answer(body: InferRequest, arms: Arms, answers: list[Answer]) -> dict[str, Any]:
    """Answers as `InferAnswer` describes them."""
    versions = {answer.arm.version for answer in answers}
    return {
        "model_name": arms.contract.settings.name,
        "model_version": str(versions.pop() if len(versions) == 1 else arms.champion.version),
        **({"id": body.id} if body.id is not None else {}),
        "parameters": {
            "feature_times": [answer.feature_times for answer in answers],
            **_instead(answers),
            **_degraded(answers),
            **_members(answers, arms.contract.settings.name),
        },
        "outputs": outputs_of(answers, [wanted.name for wanted in body.outputs]),
    }


def _instead(answers: list[Answer]) -> dict[str, Any]:
    """Which rows guessing answered in the champion's place, and why; nothing where none."""
    reasons = {answer.reason for answer in answers if answer.reason}
    if not reasons:
        return {}
    return {SERVED_BY: [BASELINE if answer.reason else answer.arm.name for answer in answers], "reason": reasons.pop()}


def _degraded(answers: list[Answer]) -> dict[str, Any]:
    """Which rows lacked a view, and which views; nothing where none did."""
    if not any(answer.missing for answer in answers):
        return {}
    return {
        "degraded": [bool(answer.missing) for answer in answers],
        "missing_views": [answer.missing for answer in answers],
    }


def _members(answers: list[Answer], asked: str) -> dict[str, Any]:
    """Which model answered each row; nothing where the one that was asked answered all."""
    models = [answer.model for answer in answers]
    return {"models": models} if {*models} != {asked} else {}


def _require(arms: Arms, version: int) -> None:
    if version not in arms.loaded:
        raise NoModel(f"version {version} of {arms.contract.settings.name} is not in service")


def _metadata(arms: Arms) -> ModelMetadata:
    types: dict[str, Datatype] = {"numeric": "FP64", "categorical": "BYTES", "boolean": "BOOL"}
    inputs = [(name, types[arms.columns[name].kind]) for name in arms.champion.scorer.columns]
    keys: list[tuple[str, Datatype]] = [
        (key, "BYTES" if dtype == "string" else "INT64") for key, dtype in arms.contract.keys.items()
    ]
    outputs: list[tuple[str, Datatype, list[int]]] = [
        (_SCORE, "FP64", [-1]),
        (ARM, "BYTES", [-1]),
        (VERSION, "INT64", [-1]),
        (ID, "BYTES", [-1]),
    ]
    recipe = arms.champion.scorer.model.recipe
    if recipe.task == "multiclass":
        outputs.append((SCORES, "FP64", [-1, arms.classes]))
    return ModelMetadata(
        name=arms.contract.settings.name,
        versions=[str(version) for version in sorted(arms.loaded)],
        platform=family_called(recipe.family).libraries[0],
        inputs=[TensorMetadata(name=n, datatype=t, shape=[-1]) for n, t in [*keys, (EVENT_TIME, "BYTES"), *inputs]],
        outputs=[TensorMetadata(name=n, datatype=t, shape=s) for n, t, s in outputs],
    )


def check_outputs(body: InferRequest, arms: Arms) -> None:
    """Refuse outputs that there aren't, before anything is scored.

    Raises:
        Refused: one is asked for.
    """
    several = arms.champion.scorer.model.recipe.task == "multiclass"
    known = (_SCORE, ARM, VERSION, ID, *((SCORES,) if several else ()))
    for place, wanted in enumerate(body.outputs):
        if wanted.name not in known:
            raise Refused(("outputs", place, "name"), f"is none of {', '.join(known)}")


def outputs_of(answers: list[Answer], wanted: list[str]) -> list[dict[str, Any]]:
    """The output tensors of these names; all without any."""
    n = len(answers)
    made: dict[str, dict[str, Any]] = {
        _SCORE: {"shape": [n], "datatype": "FP64", "data": [answer.score for answer in answers]},
        ARM: {"shape": [n], "datatype": "BYTES", "data": [answer.arm.name for answer in answers]},
        VERSION: {"shape": [n], "datatype": "INT64", "data": [answer.arm.version for answer in answers]},
        ID: {"shape": [n], "datatype": "BYTES", "data": [answer.id for answer in answers]},
    }
    if answers[0].scores:
        # A canary may know another number of classes than the champion.
        k = max(len(answer.scores) for answer in answers)
        flat = [score for answer in answers for score in (*answer.scores, *[0.0] * (k - len(answer.scores)))]
        made[SCORES] = {"shape": [n, k], "datatype": "FP64", "data": flat}
    return [{"name": name, **made[name]} for name in (wanted or made)]
