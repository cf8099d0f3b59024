"""Turns: who is let start within a day's budget, what stands in the queue, what a kill or a second tick changes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mlops_assets.assets.retrain_sensor import TRAINING_CHAIN
from mlops_assets.core.decide.fleet.trainings_policy import TrainingsPolicy
from mlops_assets.core.record.entries import Freeze, Pause, QueueMove, Request, Snooze, Unfreeze, only
from mlops_assets.steps.decide.fleet.on_record import on_file
from mlops_assets.steps.decide.fleet.turns import count_start, leave_queue, return_to_queue
from mlops_assets.steps.decide.fleet.waiting import ASSUMED_CPU_HOURS
from mlops_assets.world.files.state_files import DamagedFile
from mlops_assets.world.home import HomeSettings
from mlops_assets.world.record.kept_looks import KeptLooks
from mlops_assets.world.runs.training_runs import TrainingRun, TrainingRuns
from mlops_assets.world.runs.training_starts import TrainingStart, TrainingStarts
from tests.fleet_home import NOW, FleetHome, decision
from tests.steps.decide.fleet.conftest import NewFleet

DAY = timedelta(days=1)
TWO = TrainingsPolicy(runs_a_day=2, fdr="never")


def next_day(fleet: FleetHome) -> None:
    """What started so far started yesterday."""
    starts = TrainingStarts(fleet.home.root)
    before = [TrainingStart(start.model, start.decision, start.at - DAY, start.cpu_hours) for start in starts.all()]
    starts.file.unlink()
    starts.note(before)


def test_nothing_waits_and_nothing_is_written(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a", "nothing", action="wait")
    assert (fleet.queue(), fleet.turns()) == ([], [])
    assert not TrainingStarts(fleet.home.root).file.exists()


def test_a_day_has_its_budget_and_the_rest_waits_for_the_next(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    entries = {
        name: fleet.decided(name, gain=gain) for name, gain in zip("abcde", (0.1, 0.5, 0.2, 0.4, 0.3), strict=True)
    }
    assert fleet.queue() == ["b", "d", "e", "c", "a"]
    assert fleet.turns() == ["b", "d"]
    for name in "bd":
        fleet.run(entries[name])
    # However often it ticks; those that run no longer wait.
    for _ in range(2):
        assert fleet.turns() == []
    next_day(fleet)
    assert fleet.turns() == ["e", "c"]
    assert fleet.starts() == ["b", "d", "e", "c"]


def test_what_has_begun_or_has_its_verdict_waits_no_more(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    begun, judged = fleet.decided("a"), fleet.decided("b")
    TrainingRuns(fleet.home.root).note("a", begun.id, TrainingRun("r1"))
    fleet.promoted(judged)
    broke = fleet.decided("c")
    TrainingRuns(fleet.home.root).note("c", broke.id, TrainingRun("r2", "It failed in challenger."))
    assert fleet.queue() == []


def test_killed_between_decision_and_start_it_starts_at_the_next_tick(new_fleet: NewFleet) -> None:
    """On record, and the process was gone before it was counted."""
    fleet = new_fleet(TWO)
    fleet.decided("a")
    assert fleet.starts() == []
    assert FleetHome(fleet.home, fleet.defs, TWO).turns() == ["a"]


def test_killed_between_count_and_run_it_is_asked_for_again_and_counted_once(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    for name in "abc":
        fleet.decided(name)
    first = fleet.turns()
    assert len(first) == 2
    # No run has come of it: another process asks for the same ones, whose keys make a second run impossible.
    again = FleetHome(fleet.home, fleet.defs, TWO)
    assert (again.turns(), again.starts()) == (first, first)
    # On the next day as well, and these count among that day's no more.
    next_day(fleet)
    assert again.turns() == [*first, *({*"abc"} - {*first})]


def test_two_ticks_at_the_same_time_start_no_more_than_one(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    for name in "abcde":
        fleet.decided(name)
    ticks = [FleetHome(fleet.home, fleet.defs, TWO) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        asked = list(pool.map(FleetHome.turns, ticks))
    assert {frozenset(each) for each in asked} == {frozenset(fleet.starts())}
    assert len(fleet.starts()) == 2


def test_a_person_goes_first_and_is_counted(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a", gain=0.9)
    fleet.decided("b", gain=0.8)
    fleet.decided("c", "request", gain=0.0, request="Because [r]")
    assert fleet.turns() == ["c", "a"]
    # The day's budget is used up; who insists does not wait for another day.
    fleet.decided("d", "request", gain=0.0, request="Because [r]")
    fleet.decided("e", "request", gain=0.0, request="Now [r]", request_forced=True)
    assert fleet.turns() == ["c", "a", "e"]
    assert fleet.trainings().spent().runs == 3


def test_what_a_person_approved_goes_first_too(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TrainingsPolicy(runs_a_day=1))
    fleet.decided("a", gain=0.9)
    answer = {"decision": "d", "question": "q", "approved": True, "by": "ana", "at": NOW.isoformat(), "reason": ""}
    fleet.decided("b", gain=0.02, answer=answer)
    assert fleet.turns() == ["b"]


def test_worse_than_guessing_then_no_champion_then_by_gain(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a", gain=0.9)
    fleet.decided("b", "first_model", gain=None, champion=None)
    fleet.decided("c", failing="It is worse than guessing.")
    fleet.decided("d", "schedule", gain=0.0)
    fleet.decided("e", "age", gain=0.3)
    assert fleet.queue() == ["c", "b", "a", "e", "d"]


def test_who_has_waited_a_week_goes_before_what_has_a_larger_gain(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a", gain=0.9)
    fleet.decided("b", "schedule", gain=0.0, at=NOW - 8 * DAY)
    assert fleet.queue() == ["b", "a"]


def test_a_training_that_is_decided_on_anew_keeps_its_age(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    for days in (9, 5, 1):
        newest = fleet.decided("a", at=NOW - days * DAY)
    (waiting,) = fleet.trainings().waiting
    assert (waiting.decision, waiting.since) == (newest.id, NOW - 9 * DAY)
    # Of another champion it is another training.
    newest = fleet.decided("a", at=NOW, champion="2")
    (waiting,) = fleet.trainings().waiting
    assert (waiting.decision, waiting.since) == (newest.id, NOW)


@pytest.mark.parametrize(
    ("action", "rule"), [("wait", "frozen"), ("quarantine", "data"), ("revert", "revert"), ("wait", "nothing")]
)
def test_another_decision_takes_it_out_of_the_queue(new_fleet: NewFleet, action: str, rule: str) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a")
    fleet.decided("a", rule, action=action, at=NOW + timedelta(seconds=1))
    assert (fleet.queue(), fleet.turns()) == ([], [])


def test_a_persons_word_stands_after_other_decisions(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a", "request", request="Because [r]")
    fleet.decided("a", "data", action="quarantine", at=NOW + timedelta(seconds=1))
    assert fleet.queue() == ["a"]


def test_going_back_answers_what_was_decided_before(new_fleet: NewFleet) -> None:
    from mlops_assets.core.record.entries import Rollback

    fleet = new_fleet(TWO)
    fleet.decided("a", "request", request="Because [r]")
    fleet.platform.ledger.record.note("a", Rollback, version=1, by="ada", reason="It is worse.")
    assert fleet.queue() == []


def test_a_decision_that_is_no_news_leaves_the_queue_and_comes_back_by_an_entry(new_fleet: NewFleet) -> None:
    """Evidence that is as it was before makes the same decision, which stands on record already."""
    fleet = new_fleet(TWO)
    entry = fleet.decided("a")
    for number in range(2):
        leave_queue(fleet.platform, "a", "wait (frozen): The model is frozen.")
        leave_queue(fleet.platform, "a", "wait (frozen): The model is frozen.")
        assert fleet.queue() == []
        return_to_queue(fleet.platform, entry)
        return_to_queue(fleet.platform, entry)
        assert fleet.queue() == ["a"]
        moves = only(fleet.platform.ledger.entries("a"), QueueMove)
        assert [move.move for move in moves] == ["left", "back"] * (number + 1)
    assert moves[0].reason == "wait (frozen): The model is frozen."
    assert moves[1].reason == "What asks for the training holds again: gain asks for it."
    # Behind a later decision, too.
    fleet.decided("a", "frozen", action="wait", at=NOW + timedelta(seconds=1))
    assert fleet.queue() == []
    return_to_queue(fleet.platform, entry)
    assert fleet.queue() == ["a"]
    assert fleet.platform.ledger.verify("a").whole


def test_a_person_s_request_never_leaves_by_itself(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a", "request", request="Because [r]")
    leave_queue(fleet.platform, "a", "wait (paused): The model is paused.")
    assert fleet.queue() == ["a"]


def test_what_is_held_gives_its_turn_to_the_next_and_says_why(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    for name, gain in zip("abcd", (0.4, 0.3, 0.2, 0.1), strict=True):
        fleet.decided(name, gain=gain)
    record, until = fleet.platform.ledger.record, (NOW + DAY).isoformat()
    record.note("a", Freeze, reason="year-end.", by="ada", until=until)
    record.note("b", Snooze, reason="holidays.", by="ada", until=until)
    held = {each.model: each.held for each in fleet.trainings().waiting}
    assert held["a"].startswith("The model is frozen until ")
    assert held["b"].startswith("Trainings are snoozed until ")
    assert (held["c"], held["d"]) == ("", "")
    assert fleet.turns() == ["c", "d"]
    record.note("a", Unfreeze, reason="over", by="ada")
    next_day(fleet)
    fleet.run(fleet.platform.ledger.entries("c")[-1])  # type: ignore[arg-type]
    fleet.run(fleet.platform.ledger.entries("d")[-1])  # type: ignore[arg-type]
    assert fleet.turns() == ["a"]


def test_a_pause_that_no_tick_has_seen_holds_all_the_same(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a")
    fleet.decided("b", "request", request="Because [r]")
    for name in "ab":
        fleet.platform.ledger.record.note(name, Pause, reason="the warehouse is being moved", by="ada")
    assert fleet.turns() == ["b"]


def test_cpu_hours_are_those_that_trainings_took(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TrainingsPolicy(cpu_hours_a_day=4, fdr="never"))
    assert fleet.trainings().expected_cpu_hours("a") == ASSUMED_CPU_HOURS
    runs = TrainingRuns(fleet.home.root)
    for number, hours in enumerate((50.0, 1.0, 3.0, 2.0, 2.0, 4.0)):
        runs.note("a", f"d{number}", TrainingRun(f"r{number}"))
        for _ in range(2):
            runs.add_cpu("a", f"d{number}", f"r{number}", hours * 1800)
    runs.note("b", "d", TrainingRun("r"))
    runs.add_cpu("b", "d", "r", 3600)
    # Its own newest five: 1, 2, 2, 3, 4. Who has none is taken to be like the others: between 1 and 2.
    queue = fleet.trainings()
    assert [queue.expected_cpu_hours(name) for name in "abc"] == [2.0, 1.0, 1.5]
    # Gains alike: by hour the cheapest first; 1 + 1.5 leaves no room for 2.
    entries = {name: fleet.decided(name) for name in "abc"}
    assert fleet.turns() == ["b", "c"]
    # It takes more than was expected, and the day's budget knows.
    runs.note("c", entries["c"].id, TrainingRun("r9"))
    runs.add_cpu("c", entries["c"].id, "r9", 2.5 * 3600)
    assert fleet.trainings().spent().cpu_hours == 3.5


def test_of_a_run_that_broke_nobody_learns_what_one_takes(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    runs = TrainingRuns(fleet.home.root)
    runs.note("a", "d1", TrainingRun("r1"))
    runs.add_cpu("a", "d1", "r1", 7200)
    runs.note("a", "d1", TrainingRun("r1", "It failed in evaluation."))
    assert runs.of("a")["d1"] == TrainingRun("r1", "It failed in evaluation.", 7200.0)
    assert fleet.trainings().expected_cpu_hours("a") == ASSUMED_CPU_HOURS
    # A second run of the same decision begins anew, and what is not known is not noted.
    runs.note("a", "d1", TrainingRun("r2"))
    runs.add_cpu("a", "d1", "r1", 5.0)
    runs.add_cpu("a", "d2", "r3", 5.0)
    assert runs.of("a") == {"d1": TrainingRun("r2")}


def test_a_training_in_a_process_of_its_own_is_counted(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    for name in "ab":
        fleet.decided(name)
    count_start(fleet.platform, "c", "d1")
    count_start(fleet.platform, "c", "d1")
    assert fleet.turns() == ["a"]
    fleet.policy = None
    count_start(fleet.platform, "d", "d2")
    assert fleet.starts() == ["c", "a"]


def test_by_the_clock_of_the_data_a_day_is_one_of_theirs(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TrainingsPolicy(runs_a_day=1, fdr="never"))
    first = datetime(2013, 3, 4, 5, tzinfo=UTC)
    fleet.home.configure(HomeSettings(clock="data", until=first))
    for name in "ab":
        fleet.decided(name, at=first)
    queue = fleet.trainings()
    assert (queue.now, queue.today) == (first, first.date())
    starts = TrainingStarts(fleet.home.root)
    starts.note([TrainingStart("a", fleet.platform.ledger.entries("a")[-1].id, first)])
    assert queue.spent().runs == 1
    fleet.home.configure(HomeSettings(clock="data", until=first + DAY))
    assert fleet.trainings().spent().runs == 0
    # Without an end it is as far as any of them has come.
    fleet.home.configure(HomeSettings(clock="data"))
    fleet.decided("c", at=first + 2 * DAY)
    assert fleet.trainings().now == first + 2 * DAY


def test_a_damaged_count_is_named_and_nothing_starts(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.decided("a")
    TrainingStarts(fleet.home.root).file.write_text("[{", encoding="utf-8")
    with pytest.raises(DamagedFile, match=r"training_starts\.json cannot be read .* so many trainings more may start"):
        fleet.turns()


def test_a_damaged_record_hides_no_other_model(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    for name in "ab":
        fleet.decided(name)
    file = fleet.platform.ledger.file("a")
    file.write_text(file.read_text(encoding="utf-8").replace('"action": "retrain"', '"action": 7'), encoding="utf-8")
    assert fleet.turns() == ["b"]


def test_a_record_is_read_once_for_each_change(new_fleet: NewFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlops_assets.world.record.record import Record

    fleet, reads = new_fleet(TWO), list[str]()
    for name in "ab":
        fleet.decided(name, "nothing", action="wait")
    newest = Record.newest
    monkeypatch.setattr(Record, "newest", lambda self, model: (reads.append(model), newest(self, model))[1])
    for _ in range(3):
        assert fleet.turns() == []
    assert sorted(reads) == ["a", "b"]
    fleet.decided("a", at=NOW + timedelta(seconds=1))
    assert fleet.turns() == ["a"]
    assert sorted(reads) == ["a", "a", "b"]


def test_what_waits_has_waited_since_the_last_verdict_at_most(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    fleet.promoted(fleet.decided("a", at=NOW - 9 * DAY))
    newest = fleet.decided("a", at=NOW)
    on = on_file(fleet.platform.ledger.record, "a")
    assert on.waiting is not None
    assert (on.waiting.id, on.since) == (newest.id, NOW)


def test_lines_that_a_verdict_has_answered_are_not_read(new_fleet: NewFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a model has lived; where nothing waits, the newest decision says so alone."""
    from mlops_assets.world.record.record import RecordLine

    fleet, reads = new_fleet(TWO), list[str]()
    for days in range(30, 10, -1):
        fleet.promoted(fleet.decided("a", at=NOW - days * DAY), version=days)
    fleet.decided("a", "cooldown", action="wait", gain=None)
    entry = RecordLine.entry.fget
    assert entry is not None
    monkeypatch.setattr(RecordLine, "entry", property(lambda line: (reads.append("x"), entry(line))[1]))
    assert fleet.queue() == []
    # The wait, the verdict before it, and the gain that was tested last.
    assert len(reads) == 3


def test_the_cursor_says_nothing_of_the_queue(new_fleet: NewFleet) -> None:
    """It is what stands on record: without the cursor nothing is lost."""
    fleet = new_fleet(TWO)
    for name in "abc":
        fleet.decided(name, "request", request="Because [r]")
    result = fleet.tick()
    assert len(result.run_requests or ()) == 2
    seen = KeptLooks(fleet.platform.home, TRAINING_CHAIN[0]).read(result.cursor)
    assert not seen.keys() & {request.tags["mlops/model"] for request in result.run_requests or ()}
    assert {request.run_key for request in fleet.tick().run_requests or ()} == {
        request.run_key for request in result.run_requests or ()
    }


def test_requests_keep_their_parameters_while_they_wait(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TrainingsPolicy(runs_a_day=1))
    fleet.platform.ledger.record.note("a", Request, reason="try", by="ada", parameters={"trials": 3})
    entry = decision("a", "request", request="try [r]")
    fleet.platform.ledger.append("a", entry)
    (request,) = fleet.tick().run_requests or ()
    assert json.loads(request.tags["mlops/parameters"]) == {"trials": 3}
    assert (request.run_key, request.job_name) == (entry.id, "retrain")


def test_a_run_that_is_under_way_holds_only_its_model(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    first, _ = fleet.decided("a"), fleet.decided("b")
    fleet.run(first)
    assert fleet.turns() == ["b"]


def test_a_run_is_asked_for_by_the_decision_that_waits(new_fleet: NewFleet) -> None:
    fleet = new_fleet(TWO)
    entry = fleet.decided("a")
    fleet.run(entry, dg.DagsterRunStatus.NOT_STARTED)
    assert fleet.turns() == []
