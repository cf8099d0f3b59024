"""Drift as a service, for the platform's models and any others.

Here: the paths under /drift. Not here: references and reports (`profiles`), the statistics (`core.drift`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import pandas as pd
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field, WithJsonSchema
from starlette.concurrency import run_in_threadpool

from mlops_assets.core.drift.policy import DriftPolicy, DriftPreset
from mlops_assets.serving.engine.profiles import NoProfile, Profiles, WrongTable, frame_of_parquet, frame_of_rows
from mlops_assets.serving.http.bodies import NAME_TAKEN, PROBLEMS, Strict, WrongBody, body_of, problem, reply, takes
from mlops_assets.serving.http.limits import Limits

PARQUET = "application/vnd.apache.parquet"
_SCALAR = {"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "boolean"}, {"type": "null"}]}
TableRow = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": _SCALAR})]
Name = Annotated[str, Path(pattern=NAME_TAKEN, description="A registered profile, or a monitored model.")]
RESERVED = ("profiles",)


class ProfileRequest(Strict):
    """A reference to hold batches against."""

    name: str = Field(pattern=NAME_TAKEN, description="Small letters, digits, `_` and `-`; not a monitored model's.")
    rows: list[TableRow] = Field(min_length=1, description="100 at least; a name left out of a row is missing there.")
    kinds: dict[str, Literal["numeric", "categorical"]] = Field(
        default_factory=dict, description="By default numbers are numeric, texts and booleans categorical."
    )
    preset: DriftPreset = Field(default="default", description="The limits, as in `mlops drift --preset`.")


class BatchRequest(Strict):
    """Rows to hold against a reference."""

    rows: list[TableRow] = Field(min_length=1)


class Registered(Strict):
    """What was registered."""

    name: str
    rows: int
    features: dict[str, str] = Field(description="Each column: numeric, categorical, or why it can't be judged.")
    registered_at: str


class DriftAnswer(Strict):
    """Statistics and verdict of a batch, or of a model's newest window."""

    name: str
    at: str
    reference_rows: int | None
    rows: int
    drift: bool | None = Field(description="null: it cannot be judged; the reason says why.")
    reason: str
    drifted: list[str]
    window: str | None = Field(default=None, description="A model's: the window that was judged.")
    model_version: int | None = Field(default=None, description="A model's: the version that answered in it.")
    features: list[dict[str, Any]] = Field(description="The statistics of docs/drift.md, a feature each.")


class ParquetOptions(Strict):
    """How a Parquet reference is called; with JSON it stands in the body."""

    name: Annotated[str | None, Field(pattern=NAME_TAKEN, description="With a Parquet body.")] = None
    preset: Annotated[DriftPreset, Field(description="With a Parquet body.")] = "default"


_EXAMPLE_ROWS = [{"age": 20 + n % 50, "country": "IE" if n % 3 else "FR"} for n in range(4)]
EXAMPLES = {"rows": {"name": "shop", "rows": _EXAMPLE_ROWS, "kinds": {"age": "numeric"}}}


def router(profiles: Profiles, models: Mapping[str, Any], limits: Limits) -> APIRouter:
    """The paths."""
    api = APIRouter(prefix="/drift", tags=["drift"], responses=PROBLEMS)

    @api.post(
        "/profiles",
        response_model=Registered,
        status_code=201,
        openapi_extra=takes(ProfileRequest, EXAMPLES, others=[PARQUET]),
    )
    async def register(request: Request, options: Annotated[ParquetOptions, Query()]) -> Response:
        """Register a reference from rows, or from a Parquet file and a name in the query; replaces an older one."""
        asked = await _reference(request, options, limits)
        name = asked.name
        if name in models or name in RESERVED:
            raise WrongBody(422, f"{name!r} is taken; choose another name", [{"loc": ["name"], "msg": "is taken"}])
        try:
            kept = await run_in_threadpool(
                lambda: profiles.register(name, asked.read(), asked.kinds, DriftPolicy.of_preset(asked.preset))
            )
        except WrongTable as error:
            return problem(422, str(error))
        features = kept.profile.grid.features
        return reply(
            {
                "name": name,
                "rows": kept.profile.rows,
                "features": {feature: _kind_of(grid) for feature, grid in features.items()},
                "registered_at": kept.registered_at,
            },
            201,
        )

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

    @api.get("/{name}", response_model=DriftAnswer)
    async def latest(name: Name) -> Response:
        """The newest report of a model, or of what was held against a profile."""
        try:
            return reply(await run_in_threadpool(lambda: profiles.latest(name, is_model=name in models)))
        except NoProfile as error:
            return problem(404, str(error))

    return api


@dataclass(frozen=True, eq=False)
class _Reference:
    """A reference that is to be registered, its rows not read yet."""

    name: str
    preset: DriftPreset
    kinds: dict[str, Any]
    read: Callable[[], pd.DataFrame]


async def _reference(request: Request, options: ParquetOptions, limits: Limits) -> _Reference:
    """What a request registers.

    Raises:
        WrongBody: the body is not one, or a Parquet file has no name.
    """
    if _is_parquet(request):
        if options.name is None:
            raise WrongBody(422, "a Parquet reference needs a name", [{"loc": ["query", "name"], "msg": "missing"}])
        read = partial(frame_of_parquet, await request.body(), limits.drift_rows)
        return _Reference(options.name, options.preset, {}, read)
    body = await body_of(request, ProfileRequest)
    return _Reference(body.name, body.preset, dict(body.kinds), partial(_frame, body.rows, limits.drift_rows))


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
