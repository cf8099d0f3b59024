"""Rows of requests that come at once are scored in one call, and stand and fall one by one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from mlops_assets.serving.engine.batching import Together


@dataclass
class Doubling:
    """Doubles the only column, but not of 13."""

    asked: list[list[float]] = field(default_factory=list)

    def score(self, matrix: np.ndarray) -> np.ndarray:
        self.asked.append(matrix[:, 0].tolist())
        if 13.0 in self.asked[-1]:
            raise MemoryError("13 does not fit")
        return matrix[:, 0] * 2


def row(value: float) -> Any:
    return np.array([[value]], dtype=np.float32)


def test_one_call_a_turn_and_model() -> None:
    first, second = Doubling(), Doubling()

    async def ask() -> list[Any]:
        together = Together()
        found = await asyncio.gather(*(together.score([first, second][n % 2], row(n)) for n in range(5)))  # type: ignore[call-overload]
        return [*found, await together.score(first, row(9))]  # type: ignore[arg-type]

    assert asyncio.run(ask()) == [0, 2, 4, 6, 8, 18]
    assert (first.asked, second.asked) == ([[0, 2, 4], [9]], [[1, 3]])


def test_a_row_that_fails_and_one_that_nobody_waits_for_take_no_other_with_them() -> None:
    model = Doubling()

    async def ask() -> list[Any]:
        together = Together()
        tasks = [asyncio.create_task(together.score(model, row(n))) for n in (1, 13, 2)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        tasks[2].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    one, failed, gone = asyncio.run(ask())
    assert one == 2
    assert isinstance(failed, MemoryError)
    assert isinstance(gone, asyncio.CancelledError)
    with pytest.raises(MemoryError):
        asyncio.run(Together().score(model, row(13)))  # type: ignore[arg-type]
