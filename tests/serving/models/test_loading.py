"""Requests that wait for a load on the event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from mlops_assets.serving.engine.arms import Arm, CannotServe, load_arm
from mlops_assets.serving.models.loading import Loading
from tests.serving.models.conftest import Many


def test_who_gives_up_leaves_the_load_to_the_others_and_the_loop_to_all(many: Many) -> None:
    gate = threading.Event()

    def slow(*arguments: Any) -> Arm:
        assert gate.wait(30)
        return load_arm(*arguments)

    loading = Loading(many.watcher(load=slow).models)

    async def ask() -> list[Any]:
        asked = [asyncio.ensure_future(loading.arms("m0")) for _ in range(3)]
        await asyncio.sleep(0)
        asked[0].cancel()
        gate.set()  # the loop is free to say so
        return await asyncio.gather(*asked, return_exceptions=True)

    given_up, *answered = asyncio.run(ask())
    assert isinstance(given_up, asyncio.CancelledError)
    assert [arms.champion.version for arms in answered] == [1, 1]
    assert many.loads == [("m0", 1)]


def test_what_is_known_to_fail_is_said_at_once(many: Many) -> None:
    many.file("m0", 1).unlink()
    loading = Loading(many.watcher().models)

    async def ask() -> None:
        for _ in range(2):
            with pytest.raises(CannotServe, match=r"is gone\. Restore it"):
                await loading.arms("m0")

    asyncio.run(ask())
    assert many.loads == [("m0", 1)]
