"""Events from other systems: a training that is asked for, and what has become of it.

Here: the paths under /events, as plain JSON or as CloudEvents. Not here: what a request does
(`steps.decide.retrain_events`), who may call (`limits`).
"""

from __future__ import annotations

from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.exceptions import BaseCloudEventException
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from fastapi import APIRouter, Header, Request, Response
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool

from mlops_assets.serving.http.bodies import (
    MODEL_NAME,
    PROBLEMS,
    Strict,
    WrongBody,
    body_of,
    problem,
    reply,
    takes,
    wrong,
)
from mlops_assets.serving.http.limits import CALLER
from mlops_assets.steps.decide.asked_parameters import with_parameters
from mlops_assets.steps.decide.retrain_events import Conflict, RetrainEvent, TrainingWish, ask, event
from mlops_assets.world.platform import Platform

CLOUD_EVENT, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_REQUIRED = ("specversion", "id", "source", "type")


class RetrainRequest(Strict):
    """A training that is asked for."""

    model: str = Field(pattern=MODEL_NAME, description="The monitored model.")
    reason: str = Field(min_length=1, max_length=2_000, pattern=r"\S", description="Why; it goes on record.")
    force: bool = Field(default=False, description="Although the model is frozen.")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Fields of `training:` for this candidate alone, such as trials.",
        max_length=50,
    )


class RetrainStanding(Strict):
    """A request, and what has become of it."""

    id: str
    model: str
    at: str
    by: str
    reason: str
    parameters: dict[str, Any]
    state: str = Field(description="waiting, decided, running, broken, in rollout, promoted or rejected.")
    why: str = Field(description="What it waits for, or the verdict.")
    decision: str | None
    run: str | None = Field(description="Dagster's id of the run, once it has begun.")
    version: int | None = Field(description="The version that was judged.")


EXAMPLES = {"plain": {"model": "flight_delay", "reason": "the new tariff is in the data", "parameters": {"trials": 30}}}


def router(platform: Platform) -> APIRouter:
    """The paths."""
    api = APIRouter(prefix="/events", tags=["events"], responses={**PROBLEMS, 409: {"description": "It contradicts."}})

    @api.post(
        "/retrain",
        response_model=RetrainStanding,
        status_code=202,
        openapi_extra=takes(RetrainRequest, EXAMPLES, others=[CLOUD_EVENT]),
    )
    async def retrain(request: Request, idempotency_key: str = Header(default="", max_length=200)) -> Response:
        """Ask for a training. 202: it is on record. 200: it was, or another waits or runs, whose id this is."""
        asked, key = await _asked(request)
        caller = str(request.scope.get(CALLER, "an event"))
        key = key or idempotency_key
        return await run_in_threadpool(_ask, platform, asked, caller, f"{caller}|{key}" if key else "")

    @api.get("/{id}", response_model=RetrainStanding)
    async def standing(id: str) -> Response:
        """What has become of a request."""
        known = await run_in_threadpool(event, platform.home, id)
        return reply(known.to_plain()) if known else problem(404, f"no event {id[:100]!r} is on record")

    return api


async def _asked(request: Request) -> tuple[RetrainRequest, str]:
    """The request, and the key that its sender gave it: a CloudEvent is one by its source and id."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _BATCH:
        raise WrongBody(415, f"a batch of CloudEvents is not taken: send each by itself, as {CLOUD_EVENT}")
    if kind != CLOUD_EVENT and not any(name.startswith("ce-") for name in request.headers):
        return await body_of(request, RetrainRequest), ""
    try:
        sent = from_http(HTTPMessage(dict(request.headers), await request.body()), JSONFormat(), _as_sent)
    except (BaseCloudEventException, ValueError, AttributeError, TypeError) as error:
        raise WrongBody(400, f"the body is no CloudEvent 1.0: {error}") from error
    data = sent.get_data()
    if not isinstance(data, dict):
        raise WrongBody(422, "the event's data are not what is expected: send a JSON object with model and reason")
    try:
        return RetrainRequest.model_validate(data), f"{sent.get_source()}#{sent.get_id()}"
    except ValidationError as error:
        raise wrong(error) from error


def _as_sent(attributes: dict[str, Any], data: dict[str, Any] | str | bytes | None) -> CloudEvent:
    """The event with the attributes that it came with: the library makes up an id, so that no repetition is known."""
    if lacking := [name for name in _REQUIRED if name not in attributes]:
        raise ValueError(f"it has no {' and no '.join(lacking)}")
    return CloudEvent(attributes, data)


def _ask(platform: Platform, asked: RetrainRequest, by: str, key: str) -> Response:
    model = platform.models().get(asked.model)
    if model is None:
        known = ", ".join(sorted(platform.models())) or "none"
        return problem(404, f"there is no model {asked.model!r}; known: {known}")
    try:
        with_parameters(model, asked.parameters)
        answer, is_new = ask(
            platform.home,
            model.name,
            TrainingWish(by, asked.reason, asked.force, asked.parameters),
            now=lambda: platform.now(model),
            key=key,
        )
    except Conflict as error:
        return problem(409, str(error))
    except ValueError as error:
        return problem(422, str(error))
    return _with_place(answer, 202 if is_new else 200)


def _with_place(answer: RetrainEvent, status: int) -> Response:
    response = reply(answer.to_plain(), status)
    response.headers["Location"] = f"/events/{answer.id}"
    return response
