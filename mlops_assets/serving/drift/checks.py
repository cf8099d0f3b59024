"""What was held against a reference, and what follows from it: a history, and what waits to be done.

Here: the values, and how a check or the end of a reference changes them; pure. Not here: the files (`profiles`), doing
it (`reactions`).

Drift is one episode from the first batch that has drifted to the first that has not: it begins once and ends once,
however many batches it lasts. A batch that cannot be judged neither begins nor ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from mlops_assets.core.record.plain_values import Moment

KEPT_CHECKS = 500
"""Checks of a reference that are remembered; what they came to is counted for ever."""
DRIFTED = 20
"""Features of a check that are remembered by name."""
MOST_WAITING = 100
"""Things that may wait to be done for a reference; beyond it the oldest are dropped."""
Reaction = Literal["alert", "webhook", "retrain"]
Result = Literal["drift", "no_drift", "unjudged"]
RESULTS: dict[bool | None, Result] = {True: "drift", False: "no_drift", None: "unjudged"}


class DriftCheck(msgspec.Struct, frozen=True):
    """A batch that was held against a reference.

    Attributes:
        at: when.
        reference: when the reference was registered.
        rows: of the batch.
        drift: whether it has drifted; None where that cannot be judged.
        share: of the judged features that have drifted.
        drifted: those features, the first of them.
        reason: the verdict in words.
    """

    at: Moment
    reference: str
    rows: int
    drift: bool | None
    share: float | None
    drifted: tuple[str, ...]
    reason: str


class Notice(msgspec.Struct, frozen=True):
    """Something that waits to be done because drift has begun or ended.

    Attributes:
        action: tell a person, post to the webhook, or ask for a training.
        began: whether the drift has begun; else it has ended.
        since: when it began.
        at: when this was noted.
        reason: why, in words.
    """

    action: Reaction
    began: bool
    since: Moment
    at: Moment
    reason: str


class Checks(msgspec.Struct, frozen=True):
    """What is known of a reference's batches.

    Attributes:
        checks: the newest, oldest first.
        counts: result -> all checks that came to it.
        drifting: since when the batches have drifted; None while they do not.
        waiting: what is still to be done, in order.
        why: action -> why it was not done at the last try.
        request: id of the training that was asked for last.
    """

    checks: tuple[DriftCheck, ...] = ()
    counts: dict[str, int] = {}
    drifting: Moment | None = None
    waiting: tuple[Notice, ...] = ()
    why: dict[str, str] = {}
    request: str | None = None

    def checked(self, check: DriftCheck, actions: Sequence[Reaction]) -> Checks:
        """After another check, with what is to be done where drift begins or ends with it."""
        result = RESULTS[check.drift]
        known = msgspec.structs.replace(
            self,
            checks=(*self.checks, check)[-KEPT_CHECKS:],
            counts={**self.counts, result: self.counts.get(result, 0) + 1},
        )
        if check.drift and self.drifting is None:
            begun = tuple(Notice(action, True, check.at, check.at, check.reason) for action in actions)
            return msgspec.structs.replace(known, drifting=check.at, waiting=(*self.waiting, *begun)[-MOST_WAITING:])
        if check.drift is False:
            return known.over(check.at, check.reason, [action for action in actions if action != "retrain"])
        return known

    def over(self, at: Moment, reason: str, actions: Sequence[Reaction]) -> Checks:
        """After the end of the drift; nothing changes where there is none. No training is asked for any more."""
        if self.drifting is None:
            return self
        ended = tuple(Notice(action, False, self.drifting, at, reason) for action in actions)
        left = tuple(notice for notice in self.waiting if notice.action != "retrain")
        return msgspec.structs.replace(self, drifting=None, waiting=(*left, *ended)[-MOST_WAITING:])

    def detached(self, at: Moment, reason: str) -> Checks:
        """After the end of a reference: nothing is posted or asked for in its name, and its alert is closed."""
        ended = self.over(at, reason, ["alert"])
        return msgspec.structs.replace(ended, waiting=tuple(n for n in ended.waiting if n.action == "alert"), why={})

    def done(self, notice: Notice, *, request: str | None = None) -> Checks:
        """After something was done, or given up."""
        left = tuple(each for each in self.waiting if each != notice)
        why = {action: reason for action, reason in self.why.items() if action != notice.action}
        return msgspec.structs.replace(self, waiting=left, why=why, request=request or self.request)

    def refused(self, action: Reaction, why: str) -> Checks:
        """After something could not be done."""
        return msgspec.structs.replace(self, why={**self.why, action: why})
