"""The version that scores beside the one that answers, after the answer.

Here: what waits for it, and the thread that scores it. Not here: which version it is (`arms`), its records (`records`).

Rows wait in memory and are scored many at once a few times a second: a caller pays for putting one there, some
microseconds, and the thread takes the interpreter from the requests as seldom as it can.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from mlops_assets.serving.engine.arms import Arm, Arms
from mlops_assets.serving.log.records import Answer, LoggedRow
from mlops_assets.serving.rounds import Rounds

logger = logging.getLogger("mlops.serving")

WAITING = 10_000
"""Rows that wait for the shadow; more are dropped and counted, for the shadow answers nobody."""
EVERY_SECONDS = 0.2
AT_ONCE = 64
"""Rows scored at once; between two such portions the requests have their turn."""

Asked = tuple[Arms, LoggedRow, Answer]
Score = Callable[[Arms, Arm, Sequence[Asked]], int]


class Shadow:
    """Rows that wait to be scored by the candidate, and the thread that hands them on."""

    def __init__(self, score: Score) -> None:
        """Prepare, without starting.

        Args:
            score: scores rows of one model by an arm, writes them down, and gives the number that failed.
        """
        self.dropped = 0
        self._score = score
        self._waiting: deque[Asked] = deque()
        self._rounds = Rounds("shadow", self._round, pause=EVERY_SECONDS)

    def start(self) -> None:
        """Begin."""
        self._rounds.start()

    def stop(self) -> None:
        """Score what waits, and end."""
        self._rounds.stop()
        self._round()

    def cast(self, arms: Arms, rows: Sequence[LoggedRow], answers: Sequence[Answer]) -> None:
        """Let whoever stands beside the one that answered score the rows later."""
        if arms.candidate is None:
            return
        for row, answer in zip(rows, answers, strict=True):
            if len(self._waiting) < WAITING:
                self._waiting.append((arms, row, answer))
            else:
                self.dropped += 1

    def _round(self) -> float:
        while self._waiting:
            first = self._waiting[0]
            portion: list[Asked] = []
            while self._waiting and len(portion) < AT_ONCE and _is_like(self._waiting[0], first):
                portion.append(self._waiting.popleft())
            self._score_portion(portion)
        return EVERY_SECONDS

    def _score_portion(self, portion: Sequence[Asked]) -> None:
        arms, _, answer = portion[0]
        beside = arms.beside(answer.arm)
        if beside is None:
            return
        try:
            self.dropped += self._score(arms, beside, portion)
        except Exception:
            # The thread must outlive whatever a version does; it is counted, told and answers nobody.
            self.dropped += len(portion)
            logger.exception("%s rows were not scored by the shadow", len(portion))


def _is_like(asked: Asked, other: Asked) -> bool:
    """Whether two rows are of one model and were answered by one arm."""
    return asked[0] is other[0] and asked[2].arm is other[2].arm
