"""How the service is, and what an operator may ask of it.

Here: `/livez`, `/readyz`, `/metrics`, `/admin/reload`, `/admin/flush`. Not here: finding out (`models.alias_watch`,
`lookup`, `drain`, `engine.prometheus_counts`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from mlops_assets.serving.drift.metrics import DriftSeen
from mlops_assets.serving.engine.prometheus_counts import CONTENT_TYPE, exposition
from mlops_assets.serving.engine.scoring import Service
from mlops_assets.serving.http.bodies import PROBLEMS, Strict, reply
from mlops_assets.serving.log.drain import Drain
from mlops_assets.serving.log.spool import waiting


class PartState(Strict):
    """One part of the service."""

    ok: bool
    since: datetime
    why: str = Field(description="What is wrong and what to do; empty if nothing is.")


class MemoryState(Strict):
    """What is loaded."""

    models: int = Field(description="Models in memory.")
    bytes: int = Field(description="What they take, estimated, with the versions that are ready to be gone back to.")
    limit: int = Field(description="What they may take (--models-memory).")
    loads: int = Field(description="Versions loaded since the start; many more than models: the limit is low.")


class Readiness(Strict):
    """How the service is."""

    status: Literal["ready", "degraded", "not ready"] = Field(
        description="degraded: it answers with what it has. not ready: no model is in service (HTTP 503)."
    )
    models: dict[str, dict[str, int]] = Field(
        description="Model -> arm -> version; those that are not in memory are loaded by their first request."
    )
    ready_versions: dict[str, list[int]] = Field(
        description="Model -> versions in memory, the last champions: going back to one loads nothing."
    )
    without_champion: list[str] = Field(description="Declared models that nothing can be served for.")
    parts: dict[str, PartState]
    log_bytes_waiting: int = Field(description="Logged predictions that are not in the lake yet.")
    memory: MemoryState = Field(description="The models that are loaded.")
    shadow_dropped: int = Field(description="Rows that the shadow did not score, since the start.")


def router(service: Service, drain: Drain, drift: DriftSeen) -> APIRouter:
    """The paths."""
    api = APIRouter(tags=["operation"], responses=PROBLEMS)

    @api.get("/livez")
    async def live() -> Response:
        """Whether the process answers."""
        return reply({"status": "live"})

    @api.get("/readyz", response_model=Readiness)
    async def ready() -> Response:
        """What works, what doesn't, and since when."""
        await run_in_threadpool(service.lookup.check)
        health = readiness(service)
        return reply(health, 503 if health.status == "not ready" else 200)

    @api.get("/metrics", responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """What was answered since the start, for Prometheus."""
        content = await run_in_threadpool(exposition, service.seen, drift)
        return Response(content, media_type=CONTENT_TYPE)

    @api.post("/admin/reload", response_model=Readiness)
    async def reload() -> Response:
        """Ask the registry for its aliases now."""
        await run_in_threadpool(service.watcher.look, anyway=True)
        return reply(readiness(service))

    @api.post("/admin/flush")
    async def flush() -> Response:
        """Move logged predictions into the lake now."""
        return reply({"moved": await run_in_threadpool(drain.round)})

    return api


def readiness(service: Service) -> Readiness:
    """How the service is."""
    answering, parts, memory = service.models.answering, service.health.parts, service.models.memory
    good = all(part.ok for part in parts.values())
    return Readiness(
        status="not ready" if not answering else "ready" if good else "degraded",
        models=dict(sorted(answering.items())),
        ready_versions=service.watcher.ready,
        without_champion=sorted(service.contracts.keys() - answering.keys()),
        parts={name: PartState(ok=p.ok, since=p.since, why=p.why) for name, p in parts.items()},
        log_bytes_waiting=waiting(service.spool.folder),
        memory=MemoryState(models=len(memory.names), bytes=memory.used, limit=memory.limit, loads=service.models.loads),
        shadow_dropped=service.shadow.dropped,
    )
