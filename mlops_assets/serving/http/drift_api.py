"""Drift as a service, for the platform's models and any others.

Here: the paths under /drift. Not here: references and reports (`serving.drift.profiles`), what follows from drift
(`serving.drift.reactions`), the statistics (`core.drift`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field, WithJsonSchema
from starlette.concurrency import run_in_threadpool

from mlops_assets.core.drift.policy import DriftPolicy, DriftPreset
from mlops_assets.core.record.plain_values import as_plain
from mlops_assets.serving.drift.checks import KEPT_CHECKS, Checks
from mlops_assets.serving.drift.profiles import NoProfile, Profiles, Registration, Replaced
from mlops_assets.serving.drift.tables import WrongTable, frame_of_parquet, frame_of_rows
from mlops_assets.serving.http.bodies import (
    MODEL_NAME,
    NAME_TAKEN,
    PROBLEMS,
    Strict,
    WrongBody,
    body_of,
    problem,
    reply,
    takes,
)
from mlops_assets.serving.http.keys import RETRAIN
from mlops_assets.serving.http.limits import Limits, lacking
from mlops_assets.world.alerts.webhooks import Webhooks
from mlops_assets.world.files.state_files import DamagedFile

logger = logging.getLogger(__name__)

PARQUET = "application/vnd.apache.parquet"
_SCALAR = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"}]}
TableRow = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": _SCALAR})]
Name = Annotated[str, Path(pattern=NAME_TAKEN, description="A registered profile, or a monitored model.")]
RESERVED = ("profiles",)
Webhook = Annotated[
    str | None,
    Field(max_length=2_000, description="Address that is posted to when drift begins and when it ends."),
]
Retrained = Annotated[
    str | None,
    Field(pattern=MODEL_NAME, description="A monitored model: a training is asked for when drift begins."),
]


class ProfileRequest(Strict):
    """A reference to hold batches against."""

    name: str = Field(pattern=NAME_TAKEN, description="Small letters, digits, `_` and `-`; not a monitored model's.")
    rows: list[TableRow] = Field(min_length=1, description="100 at least; a name left out of a row is missing there.")
    kinds: dict[str, Literal["numeric", "categorical"]] = Field(
        default_factory=dict, description="By default numbers are numeric, texts and booleans categorical."
    )
    preset: DriftPreset = Field(default="default", description="The limits, as in `mlops drift --preset`.")
    webhook: Webhook = None
    model: Retrained = None


class BatchRequest(Strict):
    """Rows to hold against a reference."""

    rows: list[TableRow] = Field(min_length=1)


class Registered(Strict):
    """What was registered."""

    name: str
    rows: int
    features: dict[str, str] = Field(description="Each column: numeric, categorical, or why it can't be judged.")
    registered_at: str


class RegisteredProfile(Strict):
    """A reference that is registered."""

    name: str
    drifting_since: str | None = Field(description="Since when its batches have drifted; null while they do not.")
    checks: dict[str, int] = Field(description="Batches that were held against it: drift, no_drift or unjudged.")
    checked_at: str | None
    problem: str | None = Field(description="Why nothing can be said of its history; null where it can.")


class CheckOfProfile(Strict):
    """A batch that was held against a reference."""

    at: str
    reference: str = Field(description="When the reference was registered.")
    rows: int
    drift: bool | None
    share: float | None = Field(description="Of the judged features that have drifted.")
    drifted: list[str] = Field(description="The first 20 of them.")
    reason: str


class ChecksOfProfile(Strict):
    """What was held against a reference, and what follows from it."""

    name: str
    drifting_since: str | None
    counts: dict[str, int] = Field(description="All batches by what they came to.")
    checks: list[CheckOfProfile] = Field(description=f"Newest first, of the last {KEPT_CHECKS}.")
    waiting: dict[str, str] = Field(
        description="What is still to be done (alert, webhook, retrain), with why the last try failed."
    )
    request: str | None = Field(description="The training that was asked for last: GET /events/ID follows it.")


class DriftAnswer(Strict):
    """Statistics and verdict of a batch, or of a model's newest window."""

    name: str
    at: str
    reference_rows: int | None
    rows: int
    drift: bool | None = Field(description="null: it cannot be judged; the reason says why.")
    drifting_since: str | None = Field(default=None, description="Of a reference: since when its batches have drifted.")
    reason: str
    drifted: list[str]
    window: str | None = Field(default=None, description="A model's: the window that was judged.")
    model_version: int | None = Field(default=None, description="A model's: the version that answered in it.")
    features: list[dict[str, Any]] = Field(description="The statistics of docs/drift.md, a feature each.")


class ParquetOptions(Strict):
    """How a Parquet reference is called; with JSON it stands in the body."""

    name: Annotated[str | None, Field(pattern=NAME_TAKEN, description="With a Parquet body.")] = None
    preset: Annotated[DriftPreset, Field(description="With a Parquet body.")] = "default"
    webhook: Webhook = None
    model: Retrained = None


_EXAMPLE_ROWS = [{"age": 20 + n % 50, "country": "IE" if n % 3 else "FR"} for n in range(4)]
EXAMPLES = {"rows": {"name": "shop", "rows": _EXAMPLE_ROWS, "kinds": {"age": "numeric"}}}


def router(profiles: Profiles, models: Mapping[str, Any], limits: Limits, webhooks: Webhooks) -> APIRouter:
    """The paths."""
    api = APIRouter(
        prefix="/drift",
        tags=["drift"],
        responses={**PROBLEMS, 409: {"description": "Another reference was registered meanwhile."}},
    )
    _add_registrations(api, profiles, models, limits, webhooks)

    @api.post(
        "/{profile}",
        response_model=DriftAnswer,
        openapi_extra=takes(BatchRequest, {"rows": {"rows": _EXAMPLE_ROWS}}, others=[PARQUET]),
    )
    async def judge(profile: Name, request: Request) -> Response:
        """Hold a batch, rows or a Parquet file, against a registered reference."""
        if not profiles.exists(profile):
            return problem(404, f"no profile {profile!r} was registered; POST /drift/profiles registers one")
        read = await _batch(request, limits)
        try:
            return reply(await run_in_threadpool(lambda: profiles.judge(profile, read())))
        except WrongTable as error:
            return problem(422, str(error))
        except NoProfile as error:
            return problem(404, str(error))
        except Replaced as error:
            return problem(409, str(error))

    @api.get("/{profile}/checks", response_model=ChecksOfProfile)
    async def history(profile: Name, limit: Annotated[int, Query(ge=1, le=KEPT_CHECKS)] = 100) -> Response:
        """What was held against a registered reference, newest first."""
        if not profiles.exists(profile):
            return problem(404, f"no profile {profile!r} was registered; POST /drift/profiles registers one")
        return reply(await run_in_threadpool(_history, profiles, profile, limit))

    @api.get("/{name}", response_model=DriftAnswer)
    async def latest(name: Name) -> Response:
        """The newest report of a model, or of what was held against a profile."""
        try:
            return reply(await run_in_threadpool(lambda: profiles.latest(name, is_model=name in models)))
        except NoProfile as error:
            return problem(404, str(error))

    return api


def _add_registrations(
    api: APIRouter, profiles: Profiles, models: Mapping[str, Any], limits: Limits, webhooks: Webhooks
) -> None:
    """The paths under /drift/profiles."""

    @api.post(
        "/profiles",
        response_model=Registered,
        status_code=201,
        openapi_extra=takes(ProfileRequest, EXAMPLES, others=[PARQUET]),
    )
    async def register(request: Request, options: Annotated[ParquetOptions, Query()]) -> Response:
        """Register a reference from rows, or from a Parquet file and a name in the query; replaces an older one.

        Who names a model needs the scope retrain as well.
        """
        asked = await _reference(request, options, limits)
        if asked.model and (lacks := lacking(request.scope, RETRAIN)):
            return problem(403, f"{lacks}, which a registration with a model needs")
        _check(asked, models, webhooks)
        registration = Registration(DriftPolicy.of_preset(asked.preset), asked.webhook, asked.model)
        try:
            kept = await run_in_threadpool(
                lambda: profiles.register(asked.name, asked.read(), asked.kinds, registration)
            )
        except WrongTable as error:
            return problem(422, str(error))
        features = kept.profile.grid.features
        return reply(
            {
                "name": kept.name,
                "rows": kept.profile.rows,
                "features": {feature: _kind_of(grid) for feature, grid in features.items()},
                "registered_at": kept.registered_at,
            },
            201,
        )

    @api.get("/profiles", response_model=list[RegisteredProfile])
    async def listing() -> Response:
        """The references that are registered."""
        return reply(await run_in_threadpool(lambda: [_standing(profiles, name) for name in profiles.names()]))

    @api.delete("/profiles/{profile}", status_code=204)
    async def remove(profile: Name) -> Response:
        """Forget a reference, with its history."""
        try:
            await run_in_threadpool(profiles.remove, profile)
        except NoProfile as error:
            return problem(404, str(error))
        return Response(status_code=204)


def _check(asked: _Reference, models: Mapping[str, Any], webhooks: Webhooks) -> None:
    """Refuse a registration whose name, model or webhook cannot be had.

    Raises:
        WrongBody: one cannot.
    """
    if asked.name in models or asked.name in RESERVED:
        raise WrongBody(422, f"{asked.name!r} is taken; choose another name", [{"loc": ["name"], "msg": "is taken"}])
    if asked.model and asked.model not in models:
        known = ", ".join(sorted(models)) or "none"
        raise WrongBody(
            422, f"there is no model {asked.model!r}; known: {known}", [{"loc": ["model"], "msg": "is not known"}]
        )
    if asked.webhook is not None:
        try:
            webhooks.check_caller(asked.webhook)
        except ValueError as error:
            raise WrongBody(422, str(error), [{"loc": ["webhook"], "msg": "cannot be posted to"}]) from error


def _standing(profiles: Profiles, name: str) -> dict[str, Any]:
    problem_of = None
    try:
        checks = profiles.checks(name)
    except DamagedFile:
        # The others are listed all the same; paths of this machine are for its log.
        logger.exception("the checks of the drift profile %s cannot be read", name)
        checks, problem_of = Checks(), "its history cannot be read: the service's log names the file and what to do"
    return {
        "name": name,
        "drifting_since": as_plain(checks.drifting),
        "checks": checks.counts,
        "checked_at": as_plain(checks.checks[-1].at) if checks.checks else None,
        "problem": problem_of,
    }


def _history(profiles: Profiles, name: str, most: int) -> dict[str, Any]:
    checks = profiles.checks(name)
    return {
        "name": name,
        "drifting_since": as_plain(checks.drifting),
        "counts": checks.counts,
        "checks": as_plain(checks.checks[: -most - 1 : -1]),
        "waiting": {notice.action: checks.why.get(notice.action, "") for notice in checks.waiting},
        "request": checks.request,
    }


@dataclass(frozen=True, eq=False)
class _Reference:
    """A reference that is to be registered, its rows not read yet."""

    name: str
    preset: DriftPreset
    kinds: dict[str, Any]
    read: Callable[[], pd.DataFrame]
    webhook: str | None
    model: str | None


async def _reference(request: Request, options: ParquetOptions, limits: Limits) -> _Reference:
    """What a request registers.

    Raises:
        WrongBody: the body is not one, or a Parquet file has no name.
    """
    if _is_parquet(request):
        if options.name is None:
            raise WrongBody(422, "a Parquet reference needs a name", [{"loc": ["query", "name"], "msg": "missing"}])
        read = partial(frame_of_parquet, await request.body(), limits.drift_rows)
        return _Reference(options.name, options.preset, {}, read, options.webhook, options.model)
    body = await body_of(request, ProfileRequest)
    read = partial(_frame, body.rows, limits.drift_rows)
    return _Reference(body.name, body.preset, dict(body.kinds), read, body.webhook, body.model)


async def _batch(request: Request, limits: Limits) -> Callable[[], pd.DataFrame]:
    """What reads the rows of a request."""
    if _is_parquet(request):
        return partial(frame_of_parquet, await request.body(), limits.drift_rows)
    body = await body_of(request, BatchRequest)
    return partial(_frame, body.rows, limits.drift_rows)


def _kind_of(grid: Any) -> str:
    """What a column is compared as, or why it isn't."""
    kind = type(grid).__name__
    return {"NumericGrid": "numeric", "CategoryGrid": "categorical"}.get(kind) or str(getattr(grid, "why", kind))


def _is_parquet(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == PARQUET


def _frame(rows: list[dict[str, Any]], most: int) -> pd.DataFrame:
    if len(rows) > most:
        raise WrongTable(f"a table may have {most:,} rows, this one has {len(rows):,}")
    return frame_of_rows(rows)
