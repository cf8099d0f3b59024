"""The rollout's moves: each guardrail passes, fails, and says nothing where nothing was measured."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mlops_assets.core.record.entries import Promotion, Rollback, RolloutMove
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.rollout.moves import Rollout, RolloutPolicy, Seen, advance, begin, guardrails, rollbacks
from mlops_assets.core.stats.comparison import Paired
from mlops_assets.core.stats.intervals import CannotJudge

NOW = datetime(2026, 1, 5, tzinfo=UTC)
POLICY = RolloutPolicy()
DAY = timedelta(days=1)
FINE = Seen(rows=1_000)


def rollout(state: str = "shadow", step: int = 0) -> Rollout:
    return Rollout(version=7, champion=6, state=state, step=step, since=NOW, decision="d1")  # type: ignore[arg-type]


def paired(gain: float, *, half: float) -> Paired:
    return Paired("roc_auc", gain, gain - half, gain + half, half / 2, 20.0, 5_000, 20, 0.8, 0.8 + gain, 0.95)


def test_a_good_candidate_goes_all_the_way() -> None:
    now, at, seen = NOW, begin(7, 6, POLICY, decision="d1", now=NOW), []
    for _ in range(40):
        seen.append((at.state, at.step, at.share(POLICY)))
        now += timedelta(hours=12)
        at = advance(at, FINE, POLICY, now).rollout
    steps = list(dict.fromkeys(seen))
    assert steps == [
        ("shadow", 0, 0.0), ("canary", 0, 0.05), ("canary", 1, 0.25), ("watch", 1, 1.0), ("champion", 1, 1.0),
    ]  # fmt: skip
    assert not advance(at, FINE, POLICY, now + DAY).moved


def test_a_first_model_answers_at_once() -> None:
    assert begin(1, None, POLICY, decision="d", now=NOW).state == "champion"


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        (RolloutPolicy.of_preset("direct"), ["champion"]),
        (RolloutPolicy(shadow=0), ["canary", "canary", "watch", "champion"]),
        (RolloutPolicy(canary=()), ["shadow", "watch", "champion"]),
        (RolloutPolicy(watch=0, canary=(10,)), ["shadow", "canary", "champion"]),
    ],
)
def test_steps_that_are_left_out_are_skipped(policy: RolloutPolicy, states: list[str]) -> None:
    at, found, now = begin(7, 6, policy, decision="d", now=NOW), [], NOW
    while True:
        found.append(at.state)
        if not at.is_open:
            break
        now += 8 * DAY
        at = advance(at, FINE, policy, now).rollout
    assert found == states


def test_time_alone_does_not_move_a_candidate_that_scored_too_little() -> None:
    move = advance(rollout(), Seen(rows=199), POLICY, NOW + 5 * DAY)
    assert not move.moved
    assert "199 of 200 rows were scored" in move.reason
    assert advance(rollout(), Seen(rows=200), POLICY, NOW + 5 * DAY).moved


def test_rows_alone_do_not_move_it_before_its_time() -> None:
    move = advance(rollout(), FINE, POLICY, NOW + timedelta(hours=23))
    assert not move.moved
    assert "until 2026-01-06 00:00 UTC" in move.reason


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        (Seen(rows=10, loaded=False), "loads"),
        (Seen(rows=10, gain=paired(-0.06, half=0.02)), "metric"),
        (Seen(rows=0, answers=90, errors=10), "errors"),
        (Seen(rows=0, answers=10, slow=3, p99_ms=201.0), "p99"),
        (Seen(rows=10, psi=0.51), "scores"),
    ],
)
def test_each_guardrail_stops_it_at_once(seen: Seen, name: str) -> None:
    for state, ends in (("shadow", "rejected"), ("canary", "rolled_back"), ("watch", "rolled_back")):
        move = advance(rollout(state), seen, POLICY, NOW + timedelta(minutes=1))
        assert (move.moved, move.rollout.state) == (True, ends)
        assert [rail.name for rail in move.guardrails if not rail.holds] == [name]
        assert move.rollout.share(POLICY) == 0.0


@pytest.mark.parametrize(
    "seen",
    [
        Seen(rows=500, gain=paired(-0.06, half=0.07)),
        Seen(rows=500, gain=paired(-0.03, half=0.01)),
        Seen(rows=500, gain=CannotJudge("no labels yet", "wait")),
        Seen(rows=9, answers=9, errors=1),
        Seen(rows=500, answers=100, slow=1, p99_ms=900.0),
        Seen(rows=500, answers=500, p99_ms=200.0, psi=0.5, calibration_rise=0.05),
    ],
)
def test_what_is_not_surely_worse_stops_nothing(seen: Seen) -> None:
    assert advance(rollout("canary"), seen, POLICY, NOW + timedelta(hours=1)).rollout.state == "canary"


def test_in_the_watch_being_surely_worse_is_enough_to_go_back() -> None:
    seen = Seen(rows=500, gain=paired(-0.03, half=0.01))
    assert advance(rollout("watch"), seen, POLICY, NOW + DAY).rollout.state == "rolled_back"
    assert "of the version before" in advance(rollout("watch"), seen, POLICY, NOW + DAY).reason


def test_the_bound_of_the_error_rate_is_clopper_and_pearsons() -> None:
    """Their table: 10 of 100 has 4.9005 % as its lower 97.5 % bound."""
    seen = Seen(rows=0, answers=90, errors=10)
    (rail,) = guardrails(rollout(), seen, replace(POLICY, max_error_rate=0.04901))
    assert rail.holds
    (rail,) = guardrails(rollout(), seen, replace(POLICY, max_error_rate=0.04900))
    assert not rail.holds


def test_a_limit_of_p99_is_broken_where_one_in_a_hundred_is_surely_exceeded() -> None:
    """Their table once more: 1 of 3 has 0.8404 % as its lower 97.5 % bound, 1 of 2 has 1.2579 %."""
    for answers, holds in ((3, True), (2, False)):
        seen = Seen(rows=0, answers=answers, slow=1, p99_ms=250.0)
        rails = {rail.name: rail for rail in guardrails(rollout("canary"), seen, POLICY)}
        assert (rails["p99"].holds, rails["p99"].value, rails["p99"].limit) == (holds, 250.0, 200.0)
    assert [rail.name for rail in guardrails(rollout(), Seen(rows=500), POLICY)] == []


def test_a_candidate_that_is_less_calibrated_goes_no_further() -> None:
    less = Seen(rows=500, calibration_rise=0.06)
    assert advance(rollout(), less, POLICY, NOW).rollout.state == "rejected"
    assert advance(rollout("watch"), less, POLICY, NOW).rollout.state == "rolled_back"
    assert advance(rollout(), less, replace(POLICY, max_calibration_rise=None), NOW).rollout.state == "shadow"
    for rise in (0.04, -0.2, None):
        assert advance(rollout(), Seen(rows=500, calibration_rise=rise), POLICY, NOW).rollout.state == "shadow"


def test_a_rollout_reads_back() -> None:
    assert from_plain(Rollout, as_plain(rollout("canary", 1))) == rollout("canary", 1)


def test_a_clock_that_leaps_begins_canaries_when_they_were_due_and_the_watch_now() -> None:
    now, at, seen = NOW + 30 * DAY, rollout(), []
    while (move := advance(at, FINE, POLICY, now, in_leaps=True)).moved:
        at = move.rollout
        seen.append((at.state, at.since))
    assert seen == [("canary", NOW + DAY), ("canary", NOW + 2 * DAY), ("watch", now)]
    # A clock that runs on moves one step at a look: nobody was served by a canary that nobody had begun.
    at = advance(rollout(), FINE, POLICY, now).rollout
    assert (at.state, at.since) == ("canary", now)
    assert not advance(at, FINE, POLICY, now).moved


def test_frozen_it_waits_but_a_guardrail_stops_it() -> None:
    move = advance(rollout(), FINE, POLICY, NOW + DAY, frozen="The model is frozen.")
    assert (move.moved, move.reason, move.rollout.state) == (False, "The model is frozen.", "shadow")
    broken = Seen(rows=10, loaded=False)
    assert advance(rollout("canary"), broken, POLICY, NOW, frozen="frozen").rollout.state == "rolled_back"


def test_a_canary_that_was_taken_out_of_the_policy_answers_nothing() -> None:
    assert rollout("canary", 1).share(replace(POLICY, canary=(5.0,))) == 0.0
    assert advance(rollout("canary", 1), FINE, replace(POLICY, canary=()), NOW + DAY).rollout.state == "watch"


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"canary": (25, 5)}, "growing percentages"), ({"canary": (0,)}, "between 0 and 100"), ({"watch": -1}, "watch")],
)
def test_a_policy_that_makes_no_sense_says_what_to_write(fields: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RolloutPolicy(**fields)


def test_a_going_back_counts_once_and_what_never_answered_does_not() -> None:
    def moved(before: str, state: str) -> RolloutMove:
        return RolloutMove(id=f"{before}-{state}", at=NOW, since=NOW, version=2, before=before, state=state)

    back = Rollback(id="back", at=NOW, version=1)
    assert rollbacks([]) == 0
    assert (
        rollbacks([Promotion(id="p", at=NOW, version=2), moved("shadow", "canary"), moved("shadow", "rejected")]) == 0
    )
    assert rollbacks([moved("canary", "rolled_back")]) == 1
    # Out of the watch the version before is champion again: one going back, two entries.
    assert rollbacks([back, moved("watch", "rolled_back"), back]) == 2
