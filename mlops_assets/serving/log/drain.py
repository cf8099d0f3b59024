"""When the log goes from the spool into the lake.

Here: the thread that has it moved every few seconds, and one round of it. Not here: the
spool (`spool`), the move (`into_lake`) and the process that does it (`mover`), the counts of requests
(`engine.publishing`).
"""

from __future__ import annotations

import logging
import threading
import time

from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.log.mover import Mover, NotMoved
from mlops_assets.serving.log.spool import Spool
from mlops_assets.serving.rounds import Rounds
from mlops_assets.steps.predict.predictions import ONLINE
from mlops_assets.world.lake import Lake

logger = logging.getLogger("mlops.serving")

SECONDS = 10.0
"""Between two rounds; more when a round takes long, so that it never takes over a twentieth of the time."""
_PART = "log"


class Drain:
    """Has moved into the lake what was spooled."""

    def __init__(self, spool: Spool, lake: Lake, health: Health, *, seconds: float = SECONDS) -> None:
        self._spool, self._health, self._seconds = spool, health, seconds
        self._mover = Mover(spool.folder, lake.folder("predictions"), ONLINE)
        self._round = threading.Lock()
        self._rounds = Rounds("drain-log", self._timed)

    def start(self) -> None:
        """Begin; what an earlier process left is moved first."""
        self._rounds.start()

    def stop(self) -> None:
        """End after a last round."""
        self._rounds.stop()
        self.round()
        self._mover.stop()
        self._spool.close()

    def round(self) -> int:
        """Have everything moved that was spooled up to now; the rows moved. A failure is told and leaves the spool."""
        with self._round:
            try:
                self._spool.rotate()
                moved = self._mover.move()
                if moved.refused:
                    raise NotMoved(f"put aside, because it cannot be read: {moved.refused[0]}")
            except (OSError, NotMoved) as error:
                self._health.bad(
                    _PART,
                    f"logged predictions cannot be moved into the lake ({error}).",
                    did="They stay in the spool, which grows; answers go on.",
                    do=f"Make room or fix what the message names; the spool is {self._spool.folder}.",
                    runbook="prediction-log-behind",
                )
                return 0
            self._health.good(_PART)
            return moved.rows

    def _timed(self) -> float:
        began = time.monotonic()
        try:
            self.round()
        except Exception:
            logger.exception("moving the prediction log failed")
        return max(self._seconds, 20 * (time.monotonic() - began))
