"""The probe: folds, the leader, looks and what they add up to.

What lives here: formulas and hand-made cases. What doesn't: whole lives (`test_life_on_paper`, tests/scenarios).
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_assets.core.judging import CannotJudge
from mlops_assets.core.probe import (
    Candidate,
    FoldLoss,
    Gain,
    Look,
    Series,
    add_up,
    fold_windows,
    leader,
    look,
)
from mlops_assets.core.probe_policy import ProbePolicy
from mlops_assets.core.windows import Window

START = datetime(2024, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
WINDOW = Window(START, START + 4 * WEEK)
LENGTH = WINDOW.end - WINDOW.start


def fold(week: int, **loss: float) -> FoldLoss:
    names = {"keep": "keep", "all": "refit:expanding", "four": "refit:4", "one": "refit:1", "back": "revert:1"}
    return FoldLoss(START + week * WEEK, START + (week + 1) * WEEK, 100, {names[n]: v for n, v in loss.items()})


def seen(
    gain: float, *, champion: str = "2", week: int = 0, noise: float = 0.01, days: int = 28, **more: float
) -> Look:
    """A look whose days differ by `noise` around the gain, with a champion's loss of 1."""
    sums = tuple(noise * (-1) ** day * 10.0 for day in range(days))
    ways = {"leader": gain, **more}
    series = {name: Series(value, sums, (10.0,) * days) for name, value in ways.items()}
    end = WINDOW.end + week * LENGTH
    return Look(f"w{week}", end, end, champion, 1.0, (), ("refit:expanding",), series)


# ---------------------------------------- candidates and folds


def test_a_candidate_is_read_back_from_its_name() -> None:
    for name in ("refit:expanding", "refit:4", "revert:7"):
        assert Candidate.parse(name).name == name
    with pytest.raises(ValueError, match=r"no candidate: write"):
        Candidate.parse("keep")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"refits": ("some",)}, "write expanding"),
        ({"refits": ()}, "write expanding"),
        ({"level": 0.5}, "between 0 and 0.5"),
        ({"spending": "never"}, "set each_look, or whole_life"),
        ({"folds": 0}, "above zero"),
        ({"half_life": 0.0}, "above zero"),
        ({"lead": 1.0}, "for example 0.01"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(changes: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ProbePolicy(**changes)


def test_folds_are_whole_days_that_tile_the_window_across_a_change_of_clocks() -> None:
    window = Window(datetime(2024, 3, 1, 5, tzinfo=UTC), datetime(2024, 4, 1, 4, tzinfo=UTC))
    folds = fold_windows(window, 4, "America/New_York")
    assert [len(f.days("America/New_York")) for f in folds] == [8, 8, 8, 7]
    assert (folds[0].start, folds[-1].end) == (window.start, window.end)
    assert all(a.end == b.start for a, b in pairwise(folds))
    assert len(fold_windows(Window(START, START + timedelta(days=2)), 4, "UTC")) == 2


# ---------------------------------------- the leader


def test_the_first_named_leads_until_something_was_judged() -> None:
    names = ["refit:expanding", "refit:1"]
    assert leader([], names, length=LENGTH, policy=ProbePolicy()) == "refit:expanding"
    assert leader([fold(0, keep=1.0, all=0.9, one=0.8)], names, length=LENGTH, policy=ProbePolicy()) == "refit:1"


def test_another_leads_only_where_it_has_clearly_lost_less() -> None:
    names = ["refit:expanding", "refit:4", "refit:1"]
    even = [fold(0, all=0.5, four=0.497, one=0.496), fold(1, all=0.5, four=0.496, one=0.497)]
    assert leader(even, names, length=LENGTH, policy=ProbePolicy()) == "refit:expanding"
    assert leader(even, names, length=LENGTH, policy=ProbePolicy(lead=0.0)) == "refit:4"
    ahead = [fold(0, all=0.5, four=0.49, one=0.494)]
    assert leader(ahead, names, length=LENGTH, policy=ProbePolicy()) == "refit:4"


def test_recent_folds_weigh_more_by_their_half_life() -> None:
    names = ["refit:expanding", "refit:1"]
    # Old: all history better by 0.3; four weeks later, the newest window by 0.2. At a half-life of one window the
    # old fold weighs half: 0.15 against 0.2.
    folds = [fold(0, all=0.5, one=0.8), fold(4, all=0.8, one=0.6)]
    assert leader(folds, names, length=LENGTH, policy=ProbePolicy()) == "refit:1"
    assert leader(folds, names, length=LENGTH, policy=ProbePolicy(half_life=10.0)) == "refit:expanding"


def test_a_fold_that_one_of_them_missed_is_not_compared() -> None:
    names = ["refit:expanding", "refit:1"]
    folds = [fold(0, all=0.5, one=0.6), fold(1, one=0.0)]
    assert leader(folds, names, length=LENGTH, policy=ProbePolicy()) == "refit:expanding"


# ---------------------------------------- a look


def rows(seed: int = 5, n: int = 400) -> tuple[np.ndarray, pd.DatetimeIndex, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = pd.DatetimeIndex(pd.Timestamp(START) + pd.to_timedelta(np.sort(rng.uniform(0, 28, n)), unit="D"))
    return rng.normal(size=n), times, np.asarray((times - pd.Timestamp(START)).days)


def looked(
    scores: dict[str, np.ndarray], kept: np.ndarray, y: np.ndarray, times: pd.DatetimeIndex, days: np.ndarray
) -> Look:
    return look(
        WINDOW, fold_windows(WINDOW, 4, "UTC"), label="March", at=WINDOW.end, champion="2", y=y, times=times,
        blocks=days, kept=kept, scores=scores, metric_name="rmse", earlier=[], policy=ProbePolicy(),
    )  # fmt: skip


def test_the_leader_is_followed_from_the_fold_after_it_took_the_lead() -> None:
    y, times, days = rows()
    kept = y + 1.0
    scores = {"refit:expanding": y + 2.0, "refit:1": y + 0.5}
    found = looked(scores, kept, y, times, days)
    assert found.followed == ("refit:expanding", "refit:1", "refit:1", "refit:1")
    first = days < 7
    followed = np.where(first, y + 2.0, y + 0.5)
    expected = np.sqrt(np.mean((y - kept) ** 2)) - np.sqrt(np.mean((y - followed) ** 2))
    assert found.series["leader"].gain == pytest.approx(expected)
    assert found.champion_loss == pytest.approx(1.0)
    assert sum(found.series["leader"].sizes) == len(y)
    assert sum(found.series["leader"].sums) == pytest.approx(0.0, abs=1e-9)


def test_a_look_is_read_back_from_json() -> None:
    y, times, days = rows()
    found = looked({"refit:expanding": y + 0.9, "revert:1": y + 0.8}, y + 1.0, y, times, days)
    assert Look.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_candidate_that_could_not_be_fitted_in_a_fold_is_not_followed_there() -> None:
    y, times, days = rows()
    gone = np.where(days < 7, np.nan, y)
    found = looked({"refit:1": gone}, y + 1.0, y, times, days)
    assert found.followed == ("refit:1",) * 3
    assert [f.start for f in found.folds] == [START + k * WEEK for k in (1, 2, 3)]
    assert found.series["leader"].gain < 1.0


def test_no_rows_is_no_number() -> None:
    empty = np.empty(0)
    with pytest.raises(CannotJudge, match="no rows"):
        looked({"refit:1": empty}, empty, empty, pd.DatetimeIndex([], tz="UTC"), np.empty(0, dtype=int))


# ---------------------------------------- adding up


def test_the_lower_bound_is_the_block_t_interval_at_the_levels_share() -> None:
    policy = ProbePolicy(level=0.01)
    found = add_up([seen(0.2)], policy, champion="2", since=START, length=LENGTH).refit
    assert found is not None
    sums = np.array([0.1 * (-1) ** day for day in range(28)])
    se = np.sqrt(np.sum(sums**2 / (1 - 10 / 280))) / 280
    assert found.lower == pytest.approx(0.2 - stats.t.ppf(1 - 0.01, 27) * se)
    assert (found.mean, found.windows, found.rows, found.days) == (0.2, 1, 280, 28)


def test_a_faint_gain_adds_up_over_windows_at_a_share_of_the_level() -> None:
    one = [seen(0.012, noise=0.03)]
    four = [seen(0.012, noise=0.03, week=k) for k in range(4)]
    policy = ProbePolicy(level=0.01)
    alone, together = (add_up(looks, policy, champion="2", since=START, length=LENGTH).refit for looks in (one, four))
    assert alone is not None
    assert together is not None
    assert alone.lower < 0.0 < together.lower
    assert together.windows == 4
    assert add_up(four, policy, champion="2", since=START, length=LENGTH).alpha_spent == pytest.approx(0.04)


def test_looks_at_another_champion_are_not_pooled() -> None:
    looks = [seen(0.5, champion="1", week=0), seen(0.0, champion="2", week=1)]
    found = add_up(looks, ProbePolicy(), champion="2", since=START, length=LENGTH)
    assert found.looks == 1
    assert found.refit is not None
    assert found.refit.mean == 0.0
    with pytest.raises(CannotJudge, match="has not looked at the champion"):
        add_up(looks, ProbePolicy(), champion="3", since=START, length=LENGTH)


def test_what_was_seen_before_the_champion_came_back_has_been_answered() -> None:
    looks = [seen(0.5, week=0), seen(0.0, week=2)]
    found = add_up(looks, ProbePolicy(), champion="2", since=WINDOW.end + LENGTH, length=LENGTH)
    assert found.looks == 1
    assert found.refit is not None
    assert found.refit.mean == 0.0


def test_the_best_version_to_go_back_to_is_found_and_its_choice_is_paid_for() -> None:
    one = add_up([seen(0.0, **{"revert:1": 0.2})], ProbePolicy(), champion="2", since=START, length=LENGTH).revert
    two = add_up(
        [seen(0.0, **{"revert:1": 0.2, "revert:5": 0.1})], ProbePolicy(), champion="2", since=START, length=LENGTH
    ).revert
    assert one is not None
    assert two is not None
    assert (one.candidate, two.candidate) == ("revert:1", "revert:1")
    assert two.lower < one.lower


def test_fewer_than_eight_days_cannot_be_judged() -> None:
    found = add_up([seen(0.9, days=7)], ProbePolicy(), champion="2", since=START, length=LENGTH)
    assert found.refit is None
    assert "cannot say" in found.sentence
    pooled = add_up(
        [seen(0.9, days=7, week=k) for k in range(2)], ProbePolicy(), champion="2", since=START, length=LENGTH
    )
    assert pooled.refit is not None
    assert pooled.refit.windows == 2


def test_an_entity_of_several_windows_is_one_observation() -> None:
    """Four windows of the same 28 customers say no more of how customers differ than one does."""
    sums = tuple(0.1 * (-1) ** block for block in range(28))

    def by_customer(week: int, numbers: tuple[int, ...]) -> Look:
        series = {"leader": Series(0.2, sums, (10.0,) * 28, numbers)}
        return replace(seen(0.2, week=week), series=series, blocks="customer_id")

    def gain(looks: list[Look]) -> Gain:
        found = add_up(looks, ProbePolicy(), champion="2", since=START, length=LENGTH).refit
        assert found is not None
        return found

    same, others = ([by_customer(k, tuple(range(k * step, k * step + 28))) for k in range(4)] for step in (0, 28))
    assert gain(others).lower > gain([same[0]]).lower > gain(same).lower  # three tests' level, and nothing new
    assert gain(others).days == 112
    assert gain(same).told.endswith("(surely at least 19.6%; 280 rows on 28 blocks by customer_id)")
    back = Look.from_dict(json.loads(json.dumps(same[0].to_dict())))
    assert back == same[0]
    # A window that was judged by days is not pooled with these.
    assert gain([seen(0.2, week=0), *others[1:2]]).windows == 1


def quiet_life(rng: np.random.Generator, looks: int) -> list[Look]:
    """Looks at a champion that cannot be bettered, on days that share an effect."""
    life = []
    for week in range(looks):
        sums = rng.normal(size=28) * 3.0
        series = Series(sums.sum() / 280, tuple(sums - sums.mean()), (10.0,) * 28)
        life.append(replace(seen(0.0, week=week), series={"leader": series}))
    return life


def test_a_level_that_a_whole_life_shares_bounds_any_false_alarm_in_it() -> None:
    policy, rng = ProbePolicy(spending="whole_life"), np.random.default_rng(12)
    assert [policy.level_of(look) for look in (1, 2, 9)] == pytest.approx([0.025, 0.05 / 6, 0.05 / 90])
    assert policy.spent(9) == pytest.approx(0.05 * 0.9)
    rings = {"whole_life": 0, "each_look": 0}
    for _ in range(150):
        life = quiet_life(rng, 8)
        for spending in rings:
            agreed = replace(policy, spending=spending)
            found = [add_up(life[:count], agreed, champion="2", since=START, length=LENGTH) for count in range(1, 9)]
            rings[spending] += any(one.refit is not None and one.refit.lower > 0.0 for one in found)
    assert rings["whole_life"] <= stats.binom.ppf(0.999, 150, 0.05)
    assert rings["each_look"] > stats.binom.ppf(0.999, 150, 0.05)
    # And a change that is large enough is seen all the same, late in a life too.
    late = [*quiet_life(rng, 8), seen(0.2, week=8)]
    assert add_up(late, policy, champion="2", since=START, length=LENGTH).refit.lower > 0.1


def test_false_alarms_stay_near_the_level_where_days_resemble_the_day_before() -> None:
    """A lasting effect moves whole windows: 0.7 of it is left a day later. Independent days would ring in 36 %."""
    rng, policy, rings = np.random.default_rng(7), ProbePolicy(level=0.05), 0
    for _ in range(400):
        days = rng.normal(size=112)
        for day in range(1, 112):
            days[day] = 0.7 * days[day - 1] + 0.51**0.5 * days[day]
        life = []
        for week, sums in enumerate(days.reshape(4, 28)):
            series = Series(sums.sum() / 280, tuple(sums - sums.mean()), (10.0,) * 28)
            life.append(replace(seen(0.0, week=week), series={"leader": series}))
        found = add_up(life, policy, champion="2", since=START, length=LENGTH).refit
        rings += found is not None and found.lower > 0.0
    assert rings <= stats.binom.ppf(0.999, 400, 1.28 * 0.05)


def test_a_look_keeps_the_noise_of_its_rows_and_one_from_before_has_none() -> None:
    series = Series(0.2, (0.1, -0.1), (10.0, 10.0), noise=3.5)
    one = replace(seen(0.2), series={"leader": series})
    plain = json.loads(json.dumps(one.to_dict()))
    assert Look.from_dict(plain) == one
    del plain["series"]["leader"]["noise"]
    assert Look.from_dict(plain).series["leader"].noise is None


def test_false_alarms_stay_at_the_level() -> None:
    """No gain, days that share an effect: all spans together act in 5 % of the looks (binomial bounds at 600)."""
    rng, policy, rings = np.random.default_rng(11), ProbePolicy(level=0.05), 0
    for _ in range(600):
        found = add_up(quiet_life(rng, 4), policy, champion="2", since=START, length=LENGTH).refit
        rings += found is not None and found.lower > 0.0
    assert stats.binom.ppf(0.001, 600, 0.05) <= rings <= stats.binom.ppf(0.999, 600, 0.05)
