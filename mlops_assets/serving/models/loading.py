"""Loading for the event loop: in a thread, once for all who wait for the same model.

Here: who waits for what. Not here: the load (`served_models`).
"""

from __future__ import annotations

import asyncio

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from mlops_assets.serving.engine.arms import Arms
from mlops_assets.serving.models.served_models import ServedModels

LOADS_AT_ONCE = 2
"""A load is work for the processor, and threads that wait for one are none for requests."""


class Loading:
    """The loads that requests wait for. For one event loop."""

    def __init__(self, models: ServedModels) -> None:
        self._models = models
        self._under_way: dict[str, asyncio.Future[Arms]] = {}
        self._threads: CapacityLimiter | None = None

    async def arms(self, model: str) -> Arms:
        """The arms of a model that is not in memory.

        Raises:
            CannotServe: they cannot be loaded; at once, where that is known.
        """
        self._models.require_loadable(model)
        if (load := self._under_way.get(model)) is None:
            load = self._under_way[model] = asyncio.ensure_future(self._in_thread(model))
            load.add_done_callback(lambda done: self._done(model, done))
        # Shielded: who runs out of time leaves the others waiting.
        return await asyncio.shield(load)

    async def _in_thread(self, model: str) -> Arms:
        if self._threads is None:  # it belongs to the loop that runs
            self._threads = CapacityLimiter(LOADS_AT_ONCE)
        return await run_sync(self._models.arms, model, limiter=self._threads)

    def _done(self, model: str, load: asyncio.Future[Arms]) -> None:
        del self._under_way[model]
        if not load.cancelled():
            load.exception()  # asked for here, where nobody waits any more
