"""The way of nearly all requests: predictions whose bodies are as they should be.

Here: `HotPath`, an ASGI application before the other one, which answers such requests itself and counts all. Not here:
what it can't answer. A body that the forms don't take, an option, any error: the application behind it does the same
again in full, and says what is wrong.

FastAPI and pydantic take 400 us of a request to find the path, its options and the body, of which these need 20.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from starlette.concurrency import run_in_threadpool

from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.serving.engine.arms import Arm, Arms
from mlops_assets.serving.engine.scoring import Service
from mlops_assets.serving.errors import NoModel, Refused
from mlops_assets.serving.http import binary_tensors, oip_api, predict_api
from mlops_assets.serving.http.bodies import OURS, UNAVAILABLE, WrongBody, is_json, problem
from mlops_assets.serving.http.forms import Misfit, read_inference, read_rows
from mlops_assets.serving.http.limits import App, Limits, Message, Receive, Scope, Send
from mlops_assets.serving.http.tensors import rows_of
from mlops_assets.serving.log.records import Answer, LoggedRow

logger = logging.getLogger("mlops.serving")

_encode = msgspec.json.Encoder().encode
_BINARY = binary_tensors.HEADER.encode()
_NUMBER = re.compile("[1-9][0-9]{0,8}", re.ASCII)
_JSON = (b"content-type", b"application/json")
NOT_HERE = (Misfit, Refused, NoModel, WrongBody, CannotJudge)
"""What the application behind answers. Not what is ours: tried again, it would be counted twice."""


class Target(NamedTuple):
    """What an address asks for.

    Attributes:
        model: whose prediction.
        version: which alone; None for whoever it is.
        is_protocol: by the Open Inference Protocol.
    """

    model: str
    version: int | None = None
    is_protocol: bool = False


class HotPath:
    """Answers predictions, and hands on everything else."""

    def __init__(self, app: App, *, service: Service, limits: Limits) -> None:
        self._app, self._service, self._limits = app, service, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        target = target_of(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if target is not None and target.model not in self._service.contracts:
            target = None
        if target is None:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        message = await receive()
        answers: Sequence[Answer]
        status = 200
        try:
            answers, content = await self._answer(target, scope, message)
        except NOT_HERE:
            await self._hand_on(target, began, scope, message, receive, send)
            return
        except UNAVAILABLE as error:
            answers, status, content = (), 503, bytes(problem(503, str(error)).body)
        except Exception:
            logger.exception("a prediction failed")
            answers, status, content = (), 500, bytes(problem(500, OURS).body)
        length = (b"content-length", b"%d" % len(content))
        await send({"type": "http.response.start", "status": status, "headers": [_JSON, length]})
        await send({"type": "http.response.body", "body": content})
        self._count(target, predict_api.answering(answers), status, began)

    async def _answer(self, target: Target, scope: Scope, message: Message) -> tuple[Sequence[Answer], bytes]:
        if scope["query_string"] or not _is_plain(scope["headers"], target):
            raise Misfit
        arms = self._service.models.at_hand(target.model) or await self._service.arms_loaded(target.model)
        body = message.get("body", b"")
        if target.is_protocol:
            asked = read_inference(body)
            rows = rows_of(asked.inputs, arms, self._limits.rows, self._service.contracts.members(target.model))
            oip_api.check_outputs(asked, arms)
            if binary_tensors.wanted(asked.parameters, asked.outputs) != set():
                raise Misfit
            answers = await self._answered(target, arms, rows)
            return answers, _encode(oip_api.plain_answer(asked, arms, answers))
        if (whole := await self._whole(arms, body)) is not None:
            return whole, _encode(predict_api.plain_all(target.model, whole))
        rows = [LoggedRow(row.entities, row.features, row.event_time) for row in read_rows(body)]
        predict_api.check_rows(len(rows), self._limits.rows)
        answers = await self._answered(target, arms, rows)
        return answers, _encode(predict_api.plain_all(target.model, answers))

    async def _whole(self, arms: Arms, body: bytes) -> list[Answer] | None:
        if arms.form is None or self._service.contracts.members(arms.contract.settings.name) is not None:
            return None
        try:
            row = arms.form.read(body)
        except Misfit:
            return None
        return [await self._service.answer_whole(arms, arms.form.names, row)]

    async def _answered(self, target: Target, arms: Arms, rows: list[LoggedRow]) -> list[Answer]:
        answer = self._service.answer
        if self._service.is_long(arms, rows):
            return await run_in_threadpool(answer, target.model, rows, version=target.version)
        return answer(target.model, rows, version=target.version)

    async def _hand_on(
        self, target: Target, began: float, scope: Scope, message: Message, receive: Receive, send: Send
    ) -> None:
        """Let the application answer, and count what it does."""
        given, status = False, 500
        scope[predict_api.ANSWERED_BY] = answered_by = list[tuple[str, Arm]]()

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return message

        async def noting(answer: Message) -> None:
            nonlocal status
            if answer["type"] == "http.response.start":
                status = answer["status"]
            await send(answer)

        try:
            await self._app(scope, replay, noting)
        except asyncio.CancelledError:
            # The time for a request is over; `limits` tells the caller.
            status = 503
            raise
        finally:
            self._count(target, answered_by, status, began)

    def _count(self, target: Target, arms: Sequence[tuple[str, Arm]], status: int, began: float) -> None:
        seconds = time.perf_counter() - began
        if not arms:
            # Not asked for: who counts keeps no model in memory.
            loaded = self._service.models.memory.look(target.model) if status >= 500 else None
            ours = loaded.arms.champion if loaded else None
            self._service.seen.answered(target.model, ours, status, seconds)
        for model, arm in arms:
            self._service.seen.answered(model, arm, status, seconds)


def target_of(path: str) -> Target | None:
    """What an address asks for; None where it is not that of predictions."""
    if path.startswith("/predict/"):
        return Target(path[9:])
    if not (path.startswith("/v2/models/") and path.endswith("/infer")):
        return None
    model, *version = path[11:-6].split("/")
    if not version:
        return Target(model, is_protocol=True)
    if version[0] != "versions" or len(version) != 2 or _NUMBER.fullmatch(version[1]) is None:
        return None
    return Target(model, int(version[1]), is_protocol=True)


def _is_plain(headers: Sequence[tuple[bytes, bytes]], target: Target) -> bool:
    """Whether a body is JSON and nothing else."""
    kind, is_page = None, False
    for name, value in headers:
        if name == b"content-type":
            kind = value
        elif name == b"origin":
            is_page = True
        elif name == _BINARY:
            return False
    if kind is None:
        return target.is_protocol and not is_page
    return kind == b"application/json" or is_json(kind.decode("latin-1"))
