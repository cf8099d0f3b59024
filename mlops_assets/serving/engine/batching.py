"""Requests that come at once, scored at once.

Here: what waits for the end of the event loop's turn, and one call of the model for all of it. Not here: the model
(`core.models.row_scoring`), what a request is (`scoring`).

A call of XGBoost takes 36 us for one row and 50 for sixteen: 20 us of it are spent on the name of the device. That a
row gets the same score in company, bit by bit, is tried for each version before it takes traffic (`arms.verified`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np

from mlops_assets.core.models.matrix import FloatMatrix
from mlops_assets.core.models.row_scoring import RowScorer

Waiting = tuple[RowScorer, FloatMatrix, "asyncio.Future[np.ndarray]"]


class Together:
    """Rows that wait to be scored. For one event loop."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []

    async def score(self, scorer: RowScorer, row: FloatMatrix) -> np.ndarray:
        """The score of one encoded row, shape () or (classes,), together with those that come in the same turn.

        Args:
            scorer: whose score.
            row: shape (1, columns).
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._score_all)
        future: asyncio.Future[np.ndarray] = loop.create_future()
        self._waiting.append((scorer, row, future))
        return await future

    def _score_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for scorer in {id(each[0]): each[0] for each in waiting}.values():
            _score([each for each in waiting if each[0] is scorer])


def _score(waiting: Sequence[Waiting]) -> None:
    """Score rows of one scorer, and tell those who wait for them."""
    try:
        scores = waiting[0][0].score(np.concatenate([row for _, row, _ in waiting]))
    except Exception as error:  # noqa: BLE001  whoever waits raises it
        if len(waiting) > 1:  # a row that fails takes no other with it
            for each in waiting:
                _score([each])
        elif not waiting[0][2].done():
            waiting[0][2].set_exception(error)
        return
    for (_, _, future), score in zip(waiting, scores, strict=True):
        if not future.done():  # its request may have run out of time
            future.set_result(score)
