"""Letting trainings start in their turn, within what a day's budget has left.

Here: choosing them and counting them, by one process at a time. Not here: the queue (`waiting`), asking Dagster for
their runs (`assets.retrain_sensor`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from mlops_assets.core.decide.fleet.training_queue import Waiting, startable, with_hold
from mlops_assets.core.record.entries import Decision, QueueMove
from mlops_assets.steps.decide.fleet.on_record import is_asked, on_file
from mlops_assets.steps.decide.fleet.waiting import TrainingQueue
from mlops_assets.world.platform import Platform
from mlops_assets.world.runs.training_starts import TrainingStart, TrainingStarts


def next_to_start(queue: TrainingQueue, hold: Callable[[Waiting], str]) -> list[Waiting]:
    """Those whose turn has come, counted in the budget.

    One that was counted and has no run, since the process died between the two, starts now and is not counted again.

    Args:
        queue: as it stands.
        hold: why one whose turn has come cannot start all the same; its turn goes to the next, and it keeps its place.
    """
    if not queue.waiting:
        return []
    starts = TrainingStarts(queue.platform.home.root)
    with starts.alone():
        counted = {start.decision for start in starts.all()}
        again = [each for each in queue.waiting if each.decision in counted and not each.held and not hold(each)]
        new = _chosen(queue, [each for each in queue.waiting if each.decision not in counted], hold)
        starts.note([TrainingStart(each.model, each.decision, queue.now, each.cpu_hours) for each in new])
    return [*again, *new]


def _chosen(queue: TrainingQueue, waiting: list[Waiting], hold: Callable[[Waiting], str]) -> list[Waiting]:
    spent, known = queue.spent(), dict[str, str]()
    while True:
        starting = startable(waiting, spent, queue.policy)
        known |= {each.model: hold(each) for each in starting if each.model not in known}
        if not any(known[each.model] for each in starting):
            return starting
        waiting = [with_hold(each, why) if (why := known.get(each.model)) else each for each in waiting]


def return_to_queue(platform: Platform, decision: Decision) -> None:
    """See that a training which was decided on waits: it may have left the queue, and the decision be no news."""
    stands = on_file(platform.ledger.record, decision.model)
    if stands.waiting is None:
        reason = f"What asks for the training holds again: {decision.reason}"
        _move(platform, decision, "back", reason, stands.moves)


def leave_queue(platform: Platform, model: str, reason: str) -> None:
    """Take a training out of the queue that is asked for no more, where the decision that says so is no news.

    One that a person asked for stays.
    """
    stands = on_file(platform.ledger.record, model)
    if stands.waiting is not None and not is_asked(stands.waiting):
        _move(platform, stands.waiting, "left", reason, stands.moves)


def _move(platform: Platform, decision: Decision, move: Literal["left", "back"], reason: str, moves: int) -> None:
    # Two ticks at once make the same entry.
    identity = f"queue-{decision.id}-{moves + 1}-{move}"
    at = platform.now(platform.models()[decision.model])
    platform.ledger.record.note(
        decision.model, QueueMove, at=at, id=identity, decision=decision.id, move=move, reason=reason
    )


def count_start(platform: Platform, model: str, decision: str) -> None:
    """Count a training that a person starts in a process of its own: it waits for nobody, and takes its share.

    Args:
        platform: the home.
        model: which.
        decision: its id.
    """
    policy = platform.trainings_policy()
    if policy is None:
        return
    queue, starts = TrainingQueue(platform, platform.models(), policy), TrainingStarts(platform.home.root)
    with starts.alone():
        starts.note([TrainingStart(model, decision, queue.now, queue.expected_cpu_hours(model))])
