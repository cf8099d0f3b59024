"""What all paths share: strict JSON in, JSON out, one shape of error, the schema of both.

Here: `body_of`, `reply`, `Problem` and its handlers, the OpenAPI document. Not here: any path.

Bodies are read by pydantic from the bytes themselves: a name that is not known, a value of another type, NaN and
infinities are errors that say where.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import to_json

from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.serving.engine.arms import CannotServe
from mlops_assets.serving.engine.lookup import FeaturesUnavailable
from mlops_assets.serving.errors import NoModel, Refused
from mlops_assets.serving.http.limits import scope_of
from mlops_assets.serving.log.spool import LogUnavailable

logger = logging.getLogger("mlops.serving")

M = TypeVar("M", bound=BaseModel)
MODEL_NAME = r"^[a-z][a-z0-9_]{0,99}$"
NAME_TAKEN = r"^[a-z][a-z0-9_-]{0,63}$"


class Strict(BaseModel):
    """No unknown field, no conversion between types."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Detail(Strict):
    """One thing that is wrong."""

    loc: list[str | int] = Field(description="Where in the request.", examples=[["rows", 0, "features", "a__b"]])
    msg: str = Field(description="What is wrong there.", examples=["is not a feature of this model"])


class Problem(Strict):
    """Every answer that is no success."""

    error: str = Field(description="What is wrong, and what to do.")
    detail: list[Detail] = Field(default_factory=list, description="Each place, where there are places to name.")


UNAVAILABLE = (CannotServe, FeaturesUnavailable, LogUnavailable)
"""What keeps a right request from being answered for a while."""
OURS = "an error of the service; its log has it"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body is no JSON.", "model": Problem},
    401: {"description": "No key, or no such key.", "model": Problem},
    403: {"description": "The key lacks the scope.", "model": Problem},
    404: {"description": "No such thing.", "model": Problem},
    413: {"description": "The body is too long.", "model": Problem},
    415: {"description": "The body is of another type.", "model": Problem},
    422: {"description": "The request is not what is expected; `detail` names each place.", "model": Problem},
    429: {"description": "Too many requests of one key.", "model": Problem},
    503: {"description": "It cannot be answered now; the text says why.", "model": Problem},
}


class WrongBody(Exception):
    """A body that cannot be taken."""

    def __init__(self, status: int, error: str, detail: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(error)
        self.status, self.error, self.detail = status, error, list(detail)


def is_json(kind: str) -> bool:
    """Whether a content type is JSON's."""
    return kind.partition(";")[0].strip().lower() == "application/json"


def is_unnamed(headers: Mapping[str, str]) -> bool:
    """Whether a program sends a body without its type; what a web page sends has an origin."""
    return "content-type" not in headers and "Origin" not in headers


async def body_of(request: Request, model: type[M], *, unnamed: bool = False) -> M:
    """The body of a request as a value.

    Args:
        request: with the body.
        model: what it should be.
        unnamed: programs may leave the content type out.

    Raises:
        WrongBody: it is of another type, no JSON, or not what the model says.
    """
    # Also keeps web pages out where keys are off: this type is not sent across sites without asking first.
    if not is_json(request.headers.get("content-type", "")) and not (unnamed and is_unnamed(request.headers)):
        raise WrongBody(415, "send the body as Content-Type: application/json")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise wrong(error) from error


def wrong(error: ValidationError) -> WrongBody:
    """What is wrong with a body, place by place."""
    places = [
        {"loc": [part if isinstance(part, int) else str(part)[:100] for part in e["loc"]], "msg": _message_of(e)}
        for e in error.errors(include_url=False, include_context=False, include_input=False)[:20]
    ]
    if places and error.errors()[0]["type"] == "json_invalid":
        return WrongBody(400, f"the body is no JSON: {places[0]['msg']}")
    return WrongBody(422, "the body is not what is expected", places)


def _message_of(error: Any) -> str:
    return (
        "is not known here" if error["type"] == "extra_forbidden" else str(error["msg"]).removeprefix("Value error, ")
    )


def reply(value: Any, status: int = 200) -> Response:
    """A value as JSON; numbers that JSON has no word for are null."""
    return Response(to_json(value, inf_nan_mode="null"), status, media_type="application/json")


def problem(status: int, error: str, detail: Sequence[Mapping[str, Any]] = ()) -> Response:
    """An answer that is no success."""
    return reply({"error": error, "detail": list(detail)}, status)


def add_handlers(app: FastAPI) -> None:
    """Answer every error in the one shape."""

    def on(kind: type[Exception], answer: Callable[[Any], Response]) -> None:
        async def handle(request: Request, error: Exception) -> Response:
            return answer(error)

        app.add_exception_handler(kind, handle)

    on(WrongBody, lambda e: problem(e.status, e.error, e.detail))
    on(Refused, lambda e: problem(422, str(e), [{"loc": e.place, "msg": e.why}]))
    on(NoModel, lambda e: problem(404, str(e)))
    on(CannotJudge, lambda e: problem(422, str(e)))
    for unavailable in UNAVAILABLE:
        on(unavailable, lambda e: problem(503, str(e)))
    on(
        RequestValidationError,
        lambda e: problem(
            422,
            "the address is not what is expected",
            [{"loc": list(each["loc"]), "msg": _message_of(each)} for each in e.errors()],
        ),
    )

    async def known(request: Request, error: Any) -> Response:
        answer = problem(error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    app.add_exception_handler(HTTPException, known)
    from starlette.exceptions import HTTPException as StarletteError

    app.add_exception_handler(StarletteError, known)

    async def unknown(request: Request, error: Exception) -> Response:
        # Starlette logs the traceback; the caller is not shown it.
        return problem(500, OURS)

    app.add_exception_handler(Exception, unknown)


def takes(model: type[BaseModel], examples: Mapping[str, Any], *, others: Sequence[str] = ()) -> dict[str, Any]:
    """The part of OpenAPI that says what body a path takes."""
    named_examples = {name: {"value": value} for name, value in examples.items()}
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content: dict[str, Any] = {"application/json": {"schema": schema, "examples": named_examples}}
    content |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in others}
    return {"requestBody": {"required": True, "content": content}}


def add_schema(app: FastAPI, bodies: Sequence[type[BaseModel]], *, keyed: bool) -> None:
    """Let the OpenAPI document know the bodies, and which scope each path wants."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            _, definitions = models_json_schema(
                [(body, "validation") for body in bodies], ref_template="#/components/schemas/{model}"
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(definitions.get("$defs", {}))
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            document["components"]["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            }
            for path, operations in document["paths"].items():
                scope = scope_of(path)
                for operation in operations.values():
                    operation["security"] = [{"bearer": []}, {"header": []}] if keyed and scope else []
                    operation["description"] = operation.get("description", "") + (
                        f"\n\nScope: {scope}." if scope else ""
                    )
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]
