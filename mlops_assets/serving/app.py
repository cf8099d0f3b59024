"""Putting the online service of a home together.

Here: `build` and running it. Not here: any of its parts.
"""

from __future__ import annotations

import gc
import logging
import resource
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from fastapi import APIRouter, FastAPI

from mlops_assets.core.settings import ModelSettings
from mlops_assets.serving.drift.metrics import DriftSeen
from mlops_assets.serving.drift.profiles import Profiles
from mlops_assets.serving.drift.reactions import Reactions
from mlops_assets.serving.engine.arms import CannotServe, Load, load_arm
from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.engine.lookup import Lookup
from mlops_assets.serving.engine.publishing import Counting
from mlops_assets.serving.engine.request_counts import Tally
from mlops_assets.serving.engine.scoring import Service
from mlops_assets.serving.http import admin_api, drift_api, events_api, oip_api, predict_api
from mlops_assets.serving.http.bodies import add_handlers, add_schema
from mlops_assets.serving.http.keys import FILE_VARIABLE, VARIABLE, Keys
from mlops_assets.serving.http.limits import App, Guard, Limits
from mlops_assets.serving.http.short_way import HotPath
from mlops_assets.serving.log.drain import Drain
from mlops_assets.serving.log.records import record_types
from mlops_assets.serving.log.spool import Spool
from mlops_assets.serving.models.alias_watch import Hooks, Watcher
from mlops_assets.serving.models.contracts import Contracts
from mlops_assets.serving.models.served_models import DEFAULT_MEMORY
from mlops_assets.serving.rounds import Rounds
from mlops_assets.world.alerts.alerts import Alerts
from mlops_assets.world.alerts.webhooks import Webhooks
from mlops_assets.world.clock import NoDataYet
from mlops_assets.world.platform import Platform

logger = logging.getLogger("mlops.serving")

CONNECTIONS = 512
"""At once; more are told to come back."""
OPEN_FILES = 10_240
"""As many as macOS allows a process, whatever it says."""
THIS_MACHINE = frozenset(("127.0.0.1", "localhost", "[::1]", "testserver"))
CLOCK_SECONDS = timedelta(seconds=5)


def build(
    platform: Platform,
    *,
    keys: Keys,
    limits: Limits,
    flush_seconds: float = 10.0,
    models_memory: int = DEFAULT_MEMORY,
    load: Load = load_arm,
) -> App:
    """The service of a home, with its threads started and stopped by the application's lifespan.

    Args:
        platform: the home.
        keys: who may call.
        limits: what a request may take.
        flush_seconds: between two moves of the log, and of the counts, into the lake.
        models_memory: bytes that loaded models may take; what was asked for longest ago leaves first.
        load: makes an arm of a version; a rehearsal injects a fault here.
    """
    home, contracts = platform.home, Contracts(platform)
    alerts = Alerts(root=str(home.root))
    health = Health(alerts)
    spool = Spool(home.root / "serving" / "spool")

    watcher = Watcher(
        home,
        platform.registry,
        contracts,
        health,
        memory=models_memory,
        hooks=Hooks(
            on_load=lambda arms: spool.declare(arms.contract.settings.name, record_types(arms)),
            before_look=contracts.look,
            # As at the start (`short_pauses`): a thousand models are a quarter of a million objects that stay.
            settled=gc.freeze,
        ),
        load=load,
    )
    lookup = Lookup(platform.features, health)
    # Not the clock whose answers are kept: a count of the wrong side of a step's beginning would be lost to it.
    tally = Tally(contracts, platform.now)
    service = Service(contracts, watcher, lookup, spool, health, tally, now=_clock(platform))
    drain = Drain(spool, platform.lake, health, seconds=flush_seconds)
    counting = Counting(tally, platform.lake, health, seconds=flush_seconds)

    profiles = Profiles(home, platform.lake)
    reacting = Rounds("drift-reactions", Reactions(profiles, platform, alerts).round)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watcher.start()
        lookup.check()
        service.shadow.start()
        drain.start()
        counting.start()
        reacting.start()
        with short_pauses():
            yield
        reacting.stop()
        watcher.stop()
        service.shadow.stop()
        counting.stop()
        drain.stop()

    app = _application(
        [
            predict_api.router(service, limits),
            oip_api.router(service, limits),
            drift_api.router(profiles, contracts, limits, Webhooks.for_callers(home.root)),
            events_api.router(platform),
            admin_api.router(service, drain, DriftSeen(profiles)),
        ],
        lifespan,
    )
    add_schema(
        app,
        [
            predict_api.PredictRequest,
            oip_api.InferRequest,
            drift_api.ProfileRequest,
            drift_api.BatchRequest,
            events_api.RetrainRequest,
        ],
        keyed=bool(keys.keys),
    )
    # Around FastAPI and not among its middlewares: what it does for each request takes longer than both.
    # Without keys only this machine may call, and no web page through a name that points to it.
    hot = HotPath(app, service=service, limits=limits)
    return Guard(hot, keys=keys, limits=limits, hosts=None if keys.keys else THIS_MACHINE)


def _application(routers: Sequence[APIRouter], lifespan: Any) -> FastAPI:
    """The paths, with what is said of errors."""
    app = FastAPI(
        title="mlops serve",
        version="1",
        description="Predictions of the models in production, and drift as a service. docs/serving.md says more.",
        lifespan=lifespan,
        # They load scripts from a public network.
        docs_url=None,
        redoc_url=None,
        # A redirect would name whatever host the caller named.
        redirect_slashes=False,
    )
    for router in routers:
        app.include_router(router)
    add_handlers(app)
    return app


@contextmanager
def short_pauses() -> Iterator[None]:
    """Keep what else runs in the process from holding up requests."""
    # Libraries and models make a million objects that stay: to look through them took 0.3 s, time and again.
    gc.collect()
    gc.freeze()
    # A thread that moves the log or scores a shadow gives the interpreter back after so long, and not after 5 ms.
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0005)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        gc.unfreeze()


def check_keys(keys: Keys, host: str) -> str | None:
    """The warning to give where keys are off.

    Raises:
        ValueError: they are off and others than this machine could call.
    """
    if keys.keys:
        return None
    if host != "localhost" and not _is_loopback(host):
        raise ValueError(
            f"Without API keys only this machine may be listened on: set {VARIABLE} or "
            f"{FILE_VARIABLE} (`mlops api-key NAME --scope predict` makes one), or leave --host out."
        )
    return f"API keys are off: whoever works on this machine may call. Set {VARIABLE} to turn them on."


def run(app: App, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first."""
    import uvicorn

    from mlops_assets.serving.http.one_write import OneWrite

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > soft:
        # Each model that is asked writes a log of its own; the usual 1,024 files are few for a thousand of them.
        most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    uvicorn.run(
        app,
        http=OneWrite,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        # Nothing here asks who called a proxy or how, and a caller could say what it likes.
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=30,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _clock(platform: Platform) -> Callable[[ModelSettings], datetime]:
    """The home's clock; the data clock looks at files, so its answer is kept for some seconds."""
    if platform.home.settings.clock == "wall":
        return lambda model: datetime.now(UTC)
    known: dict[str, tuple[datetime, datetime]] = {}

    def now(model: ModelSettings) -> datetime:
        wall = datetime.now(UTC)
        if model.name not in known or wall - known[model.name][0] > CLOCK_SECONDS:
            try:
                known[model.name] = (wall, platform.now(model))
            except NoDataYet as error:
                raise CannotServe(f"the data clock stands: {error} Or send event_timestamp.") from error
        return known[model.name][1]

    return now
