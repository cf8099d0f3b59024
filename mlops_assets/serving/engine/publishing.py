"""When the counts of requests are told: live twice a second, into the lake every few seconds.

Here: the thread. Not here: the counts (`request_counts`), the log's way into the lake (`drain`), which takes as long as
it takes and holds up nobody who watches a candidate.
"""

from __future__ import annotations

import logging
import time

from mlops_assets.serving.engine.health import Health
from mlops_assets.serving.engine.request_counts import Tally
from mlops_assets.serving.rounds import Rounds
from mlops_assets.world.lake import Lake

logger = logging.getLogger("mlops.serving")

LIVE_SECONDS = 0.5
"""Between two rounds; more where they take long, so that they never take over a tenth of the time."""
FILES_AT_ONCE = 5
"""Of the lake in one round; the live file has the rest."""
_PART = "counts"


class Counting:
    """Tells the counts of one process."""

    def __init__(self, tally: Tally, lake: Lake, health: Health, *, seconds: float) -> None:
        self._tally, self._lake, self._health, self._seconds = tally, lake, health, seconds
        self._write_at = time.monotonic()
        self._rounds = Rounds("count-requests", self._round, pause=LIVE_SECONDS)

    def start(self) -> None:
        """Begin."""
        self._rounds.start()

    def stop(self) -> None:
        """End, with everything in the lake."""
        self._rounds.stop()
        self._write_at = 0.0
        self._tell(most=None)

    def _round(self) -> float:
        began = time.monotonic()
        self._tell(most=FILES_AT_ONCE)
        # A thousand models that are asked have a thousand files, and what writes them keeps requests waiting.
        return max(LIVE_SECONDS, 9 * (time.monotonic() - began))

    def _tell(self, *, most: int | None) -> None:
        try:
            if time.monotonic() >= self._write_at:
                if not self._tally.write(self._lake, most=most):
                    self._write_at = time.monotonic() + self._seconds
            else:
                self._tally.publish(self._lake)
        except Exception as error:
            # The thread must outlive whatever a round meets; the counts are kept for the next.
            logger.exception("telling the counts of requests failed")
            self._health.bad(
                _PART,
                f"counts of requests cannot be written ({error}).",
                did="They are kept in memory; answers go on, but guardrails do not see them.",
                do="Make room or fix what the message names.",
                runbook="prediction-log-behind",
            )
        else:
            self._health.good(_PART)
