"""The probe: candidates, who leads, looks and what they add up to.

What lives here: formulas and hand-made cases. What doesn't: calendars, promises and the day of a change (their own
files beside this one), whole lives (`test_life_on_paper`, tests/scenarios).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_assets.core.decide.folds import fold_windows, hardly_more, newest_days, shift_of
from mlops_assets.core.decide.judged_window import (
    KEEP,
    JudgedRows,
    Money,
    Scores,
    Stretch,
    changed_on,
    changes,
    daily_losses,
    fitted_since,
    look,
)
from mlops_assets.core.decide.probe import SHARES, TRIES, add_up, by_window, gate_confidence
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.decide.probe_result import Candidate, Gain, Look, Part, Probed, ProfitGain, Series
from mlops_assets.core.decide.promised_gains import INSURED, expectations, leading
from mlops_assets.core.record.plain_values import as_plain, from_plain
from mlops_assets.core.stats.intervals import CannotJudge
from mlops_assets.core.stats.metrics import metric
from mlops_assets.core.stats.nested_tests import level_of_each
from mlops_assets.core.time.windows import Window, local_days

START = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(START, START + 28 * DAY)
LENGTH = WINDOW.end - WINDOW.start
FIRST = "refit:expanding"
OF_NEWEST, OF_WINDOWS = (ProbePolicy().level * SHARES[name] for name in ("newest", "windows"))
"""The default level's."""
NAMES = {"keep": KEEP, "all": FIRST, "fading": "refit:decay:2", "four": "refit:4", "two": "refit:2", "one": "refit:1"}


def named(loss: Mapping[str, float]) -> dict[str, float]:
    return {NAMES.get(name, name): value for name, value in loss.items()}


def lost(week: int, whole: Mapping[str, float], newest: Mapping[str, float] | None = None, champion: str = "") -> Look:
    """A look at the losses of candidates alone."""
    start, end = WINDOW.start + week * LENGTH, WINDOW.end + week * LENGTH
    fresh = None if newest is None else Part(end - 10 * DAY, 100, named(newest))
    return Look(f"w{week}", end, end, champion, Part(start, 280, named(whole)), fresh)


def alternating(gain: float, *, noise: float, days: int, blocks: tuple[int, ...] = ()) -> Series:
    """Ten rows a day; days differ by `noise` from the gain, in turns above and below."""
    return Series(gain, tuple(noise * (-1) ** day * 10.0 for day in range(days)), (10.0,) * days, blocks)


def part(start: datetime, gains: Mapping[str, float], *, noise: float, days: int) -> Part:
    series = {name: alternating(gain, noise=noise, days=days) for name, gain in gains.items()}
    return Part(start, 10 * days, {KEEP: 1.0, **{name: 1.0 - gain for name, gain in gains.items()}}, series)


def seen(
    gain: float, *, champion: str = "2", week: int = 0, noise: float = 0.01, days: int = 28, fresh: float | None = None,
    **back: float,
) -> Look:  # fmt: skip
    """A look at a champion that loses 1: the refit's gain in the window and its newest ten days, and of versions."""
    end = WINDOW.end + week * LENGTH
    whole = part(end - LENGTH, {FIRST: gain, **back}, noise=noise, days=days)
    newest = None if fresh is None else part(end - 10 * DAY, {FIRST: fresh}, noise=noise, days=10)
    return Look(f"w{week}", end, end, champion, whole, newest)


def summed(looks: list[Look], policy: ProbePolicy | None = None, **more: Any) -> Probed:
    agreed: dict[str, Any] = {"champion": "2", "since": START, "length": LENGTH, **more}
    return add_up(looks, policy or ProbePolicy(), **agreed)


def refit_of(looks: list[Look], policy: ProbePolicy | None = None, **more: Any) -> Gain:
    found = summed(looks, policy, **more).refit
    assert found is not None
    return found


def error(*, noise: float, days: int) -> float:
    """Standard error by Bell and McCaffrey of the mean of equal days that lie so far above and below it in turns."""
    return noise / math.sqrt(days - 1)


# ---------------------------------------- candidates, policies, days


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("refit:expanding", "a refit on all history"),
        ("refit:4", "a refit on the newest 4 windows"),
        ("refit:1", "a refit on the newest window"),
        ("refit:decay:2", "a refit on rows that count half after 2 windows"),
        ("refit:since:2024-08-01", "a refit on the rows since 2024-08-01"),
        ("revert:7", "going back to version 7"),
    ],
)
def test_a_candidate_is_read_back_from_its_name_and_told(name: str, told: str) -> None:
    assert Candidate.parse(name).name == name
    assert Candidate.parse(name).in_words == told


@pytest.mark.parametrize("name", ["keep", "refit:", "since:2024-08-01"])
def test_what_is_no_candidate_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"no candidate: write"):
        Candidate.parse(name)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"refits": ("some",)}, "write expanding"),
        ({"refits": ("expanding", "0")}, "write expanding"),
        ({"refits": ("99999999",)}, "1,000 at most"),
        ({"refits": ("decay:" + "9" * 5000,)}, "1,000 at most"),
        ({"refits": ("since:2024-08-01",)}, "write expanding"),
        ({"refits": ()}, "write expanding"),
        ({"change_level": 0.5}, "for example 0.01"),
        ({"change_level": -0.01}, "for example 0.01"),
        ({"level": 0.5}, "between 0 and 0.5"),
        ({"spending": "never"}, "set each_look, or whole_life"),
        ({"folds": 0}, "from 1 to"),
        ({"half_life": 0.0}, "above 0"),
        ({"lead": 1.0}, "for example 0.01"),
        ({"embargo": "long"}, r"probe\.embargo"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ProbePolicy(**changes)


def test_the_shares_are_of_one_level() -> None:
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_folds_are_whole_days_that_tile_the_window_across_a_change_of_clocks() -> None:
    window = Window(datetime(2024, 3, 1, 5, tzinfo=UTC), datetime(2024, 4, 1, 4, tzinfo=UTC))
    folds = fold_windows(window, 4, "America/New_York")
    assert [len(f.days("America/New_York")) for f in folds] == [8, 8, 8, 7]
    assert (folds[0].start, folds[-1].end) == (window.start, window.end)
    assert all(a.end == b.start for a, b in pairwise(folds))
    assert len(fold_windows(Window(START, START + 2 * DAY), 4, "UTC")) == 2


@pytest.mark.parametrize(("days", "newest"), [(28, 10), (31, 11), (24, 8), (14, 8), (7, 8), (1, 8)])
def test_the_newest_days_are_a_third_of_the_window_and_no_fewer_than_an_interval_needs(days: int, newest: int) -> None:
    window = Window(START, START + days * DAY)
    assert newest_days(window, "UTC") == Window(window.end - newest * DAY, window.end)


def test_the_newest_days_begin_at_local_midnight_across_a_change_of_clocks() -> None:
    # Clocks went forward in New York on 10 March: the ten days to the 19th are nine of 24 hours and one of 23.
    window = Window(datetime(2024, 2, 20, 5, tzinfo=UTC), datetime(2024, 3, 19, 4, tzinfo=UTC))
    found = newest_days(window, "America/New_York")
    assert (found.start, found.end) == (datetime(2024, 3, 9, 5, tzinfo=UTC), window.end)
    assert len(found.days("America/New_York")) == 10


@pytest.mark.parametrize("mature", range(6))
def test_the_shift_ends_where_the_newest_known_labels_do(mature: int) -> None:
    ends = [START + k * DAY for k in range(5)]
    asked: list[datetime] = []

    def is_mature(end: datetime) -> bool:
        asked.append(end)
        return end < START + mature * DAY

    assert shift_of(ends, is_mature) == (ends[min(mature, 5) - 1] if mature else None)
    assert len(asked) <= 3  # it halves: maturity is read from rows


def test_without_a_moment_there_is_no_shift() -> None:
    assert shift_of([], lambda _: True) is None


def test_hardly_more_rows_are_a_hundredth_of_those_seen() -> None:
    seen_rows = np.arange(1000)
    assert hardly_more(np.arange(1010), seen_rows)
    assert not hardly_more(np.arange(1011), seen_rows)
    assert not hardly_more(np.arange(6, 1006), seen_rows)  # six gone and six new


# ---------------------------------------- who leads


def test_the_first_named_leads_until_something_was_judged() -> None:
    assert leading([], ProbePolicy()) == FIRST
    assert expectations([], ProbePolicy()) == {}
    assert leading([lost(0, {"all": 0.9, "one": 0.8})], ProbePolicy()) == "refit:1"
    assert leading([lost(0, {"four": 0.8, "one": 0.9})], ProbePolicy(refits=("4", "1"))) == "refit:4"


def test_another_leads_only_where_it_is_expected_to_lose_clearly_less() -> None:
    even = [lost(0, {"all": 0.5, "four": 0.497, "one": 0.496}), lost(1, {"all": 0.5, "four": 0.496, "one": 0.497})]
    assert leading(even, ProbePolicy()) == FIRST
    assert leading(even, ProbePolicy(lead=0.0)) == "refit:4"
    assert leading([lost(0, {"all": 0.5, "four": 0.49, "one": 0.494})], ProbePolicy()) == "refit:4"


def test_of_equals_the_first_named_leads() -> None:
    equal = [lost(0, {"all": 0.5, "four": 0.4, "two": 0.4, "one": 0.4})]
    assert leading(equal, ProbePolicy()) == "refit:4"
    assert leading(equal, ProbePolicy(refits=("expanding", "1", "2", "4"))) == "refit:1"


def test_recent_windows_weigh_more_by_their_half_life() -> None:
    # In the older window all history loses 0.3 less, in the newer one the newest window does. At a half-life of one
    # window the older counts half, so 1 is ahead: (0.3 - 0.3 / 2) / 1.5 = 0.1; with equal weights they are even.
    looks = [lost(0, {"all": 1.0, "one": 1.3}), lost(1, {"all": 1.0, "one": 0.7})]
    assert expectations(looks, ProbePolicy(half_life=1.0))["refit:1"] == pytest.approx(0.1)
    assert expectations(looks, ProbePolicy(half_life=1e9))["refit:1"] == pytest.approx(0.0, abs=1e-6)
    assert leading(looks, ProbePolicy(half_life=1.0)) == "refit:1"
    assert leading(looks, ProbePolicy(half_life=1e9)) == FIRST


def test_a_window_that_one_of_them_missed_is_not_compared() -> None:
    looks = [lost(0, {"all": 0.5, "one": 0.6}), lost(1, {"one": 0.0}), lost(2, {"all": 0.5})]
    assert expectations(looks, ProbePolicy()) == {FIRST: 0.0}
    assert expectations(looks[:2], ProbePolicy()) == {"refit:1": pytest.approx(-0.2)}
    assert leading(looks[:2], ProbePolicy()) == FIRST


def test_a_promise_without_a_record_counts_half() -> None:
    looks = [lost(0, {"all": 0.5, "one": 0.5}, {"all": 0.5, "one": 0.4})]
    assert expectations(looks, ProbePolicy())["refit:1"] == pytest.approx(0.1)


def test_a_promise_beyond_all_others_is_believed_in_full() -> None:
    # The only earlier promise, 0.1, was kept; 0.3 is 0.2 more than any. The usual advantage is that of whole windows,
    # 0.0 and 0.1, weighted by age in windows.
    looks = [
        lost(0, {"all": 1.0, "one": 1.0}, {"all": 1.0, "one": 0.9}),
        lost(1, {"all": 1.0, "one": 0.9}, {"all": 1.0, "one": 0.7}),
    ]
    weight = 0.5 ** (0.5 / 1.5)
    usual = 0.1 * weight / (weight + 0.5)
    assert expectations(looks, ProbePolicy())["refit:1"] == pytest.approx(usual + 0.2)


def test_a_calendar_that_began_with_the_change_has_the_record_of_the_most_similar_one() -> None:
    since = "refit:since:2024-05-06"  # 18 days before the end of the third window: nearer to one window than to two
    before = [
        lost(week, {"all": 1.0, "one": 1.1, "two": 1.0, "four": 1.0}, {"all": 1.0, "one": 1.1}) for week in (0, 1)
    ]
    now = lost(2, {"all": 1.0, "one": 1.1, "two": 1.0, "four": 1.0}, {"all": 1.0, "one": 1.0, since: 0.5})
    found = expectations([*before, now], ProbePolicy())
    # It usually loses a tenth more, as 1 does; the promise is 0.6 more than any that 1 made.
    assert found[since] == pytest.approx(-0.1 + 0.6)
    assert leading([*before, now], ProbePolicy()) == since
    # Fifty days before, it is like the newest two windows.
    older = replace(now, newest=Part(now.end - 10 * DAY, 100, {FIRST: 1.0, "refit:since:2024-04-04": 0.5}))
    assert expectations([*before, older], ProbePolicy())["refit:since:2024-04-04"] == pytest.approx((0.0 + 0.5) / 2)


def test_rows_from_before_a_change_are_an_insurance_where_it_may_be_over() -> None:
    since = "refit:since:2024-03-03"  # the third day of the window: its newest window has two older ones
    loss = {"all": 2.0, "one": 1.02, since: 1.0}
    now = lost(0, {"all": 2.0}, loss)
    gains = {FIRST: 0.0, "refit:1": pytest.approx(0.49), since: pytest.approx(0.5)}
    # Labels at once, or less late than the change has lasted (26 days): it is known to last.
    for days in (0, 25):
        assert expectations([replace(now, at=now.end + days * DAY)], ProbePolicy()) == gains
    # It may be over: the rows since then alone must be expected to lose less by more than `INSURED`.
    late = replace(now, at=now.end + 30 * DAY)
    assert expectations([late], ProbePolicy())[since] == pytest.approx(0.5 - INSURED)
    assert leading([late], ProbePolicy()) == "refit:1"
    assert leading([now], ProbePolicy()) == since
    dear = replace(late, newest=Part(now.end - 10 * DAY, 100, named({**loss, "one": 1.12})))
    assert leading([dear], ProbePolicy()) == since
    # A change from before the newest window leaves it no older rows to be insured by.
    before = "refit:since:2024-02-20"
    earlier = replace(late, newest=Part(now.end - 10 * DAY, 100, named({"all": 2.0, "one": 1.02, before: 1.0})))
    assert leading([earlier], ProbePolicy()) == before


def test_what_was_before_a_change_is_no_record() -> None:
    """The newest window alone knows what changed, and has always lost more: that was another world."""
    before = [
        lost(week, {"all": 1.0, "one": 1.2, "two": 1.0}, {"all": 1.0, "one": 1.2, "two": 1.1}) for week in (0, 1, 2)
    ]
    now = lost(3, {"all": 2.0, "one": 1.9, "two": 2.0}, {"all": 2.0, "one": 1.0, "two": 1.4})
    start = now.end - LENGTH
    changed = replace(now, changed=start.date())
    # Without one, what the newest two promise goes beyond all that they promised before by 0.3 + 0.1.
    assert expectations([*before, now], ProbePolicy())["refit:2"] == pytest.approx(0.0 + 0.4)
    # With one, promises are all there is: the window's whole was judged by refits from before it.
    told = expectations([*before, changed], ProbePolicy())
    assert told == {FIRST: 0.0, "refit:2": pytest.approx(0.3), "refit:1": pytest.approx(0.5)}
    # A window on, that promise and what came of it are the record: 1 kept a half of it, and is half of that from it.
    later = lost(4, {"all": 2.0, "one": 1.5, "two": 2.0}, {"all": 2.0, "one": 1.0, "two": 2.0})
    assert expectations([*before, changed, later], ProbePolicy())["refit:1"] == pytest.approx(0.25)
    # What changed among the newest days no refit knows yet: the record stands.
    unknown = replace(now, changed=(now.end - 5 * DAY).date())
    assert expectations([*before, unknown], ProbePolicy()) == expectations([*before, now], ProbePolicy())


def test_a_window_without_a_loss_says_nothing_of_who_leads() -> None:
    """A metric that is undefined on a window, of one class, say."""
    undefined = lost(0, {"all": math.nan, "one": math.nan}, {"all": math.nan, "one": math.nan})
    looks = [undefined, lost(1, {"all": 0.9, "one": 0.8})]
    assert leading(looks, ProbePolicy()) == "refit:1"
    assert leading([undefined], ProbePolicy()) == FIRST


def test_of_a_window_that_was_looked_at_anew_the_last_look_counts() -> None:
    one = lost(0, {"all": 0.9}, champion="1")
    anew = replace(one, champion="2", at=one.at + DAY)
    assert by_window([anew, lost(1, {"all": 0.5}), one]) == [anew, lost(1, {"all": 0.5})]


# ---------------------------------------- the champion's days


@pytest.mark.parametrize("name", ["mae", "rmse", "log_loss", "roc_auc"])
def test_daily_losses_are_the_metrics_loss_carried_to_days(name: str) -> None:
    rng = np.random.default_rng(4)
    days = np.repeat(np.arange("2024-03-01", "2024-03-11", dtype="datetime64[D]"), np.arange(5, 15) * 4)
    binary = name in ("log_loss", "roc_auc")
    y = rng.integers(0, 2, len(days)).astype(float) if binary else rng.normal(size=len(days))
    s = rng.uniform(0.1, 0.9, len(days)) if binary else y + rng.normal(size=len(days))
    found = daily_losses(y, s, days, name)
    judge = metric(name)
    assert [(day, rows) for day, rows, _ in found] == [(f"2024-03-{k + 1:02}", float((k + 5) * 4)) for k in range(10)]
    mean = np.average([loss for *_, loss in found], weights=[rows for _, rows, _ in found])
    assert mean == pytest.approx(judge.loss(judge.score(y, s), y))
    if name in ("mae", "log_loss"):  # means over rows: each day's is its own
        own = [judge.score(y[days == day], s[days == day]) for day in np.unique(days)]
        assert [loss for *_, loss in found] == pytest.approx(own)


def days_of(start: date, losses: list[float]) -> tuple[tuple[str, float, float], ...]:
    return tuple((str(start + k * DAY), 20.0, loss) for k, loss in enumerate(losses))


def test_a_rise_is_dated_over_the_windows_of_the_champions_life() -> None:
    rng = np.random.default_rng(7)
    quiet, loud = (list(level + 0.05 * rng.normal(size=28)) for level in (1.0, 1.5))
    first, day = date(2024, 3, 1), date(2024, 3, 29)
    before = replace(seen(0.0), daily=days_of(first, quiet))
    assert changed_on([before], days_of(day, loud), 0.01) == day
    assert changed_on([before], days_of(day, quiet), 0.01) is None
    assert changed_on([before], days_of(day, [1.0 - (loss - 1.0) for loss in loud]), 0.01) is None  # it fell
    assert changed_on([], days_of(day, [*quiet[:14], *loud[:14]]), 0.01) == day + 14 * DAY
    # What was four windows ago is no longer asked.
    old = [replace(before, daily=days_of(first, quiet))]
    high = [replace(seen(0.0), daily=days_of(day + k * LENGTH, loud)) for k in range(3)]
    assert changed_on([*old, *high], days_of(day + 3 * LENGTH, loud), 0.01) is None


def test_a_day_that_two_looks_judged_counts_once() -> None:
    """Eight days are judged of a short window: some of them are those of the window before it."""
    first, losses = date(2024, 3, 1), [1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 2.0, 2.1, 1.9, 2.0, 2.1, 1.9]

    def told(starts: tuple[int, ...]) -> date | None:
        daily = [days_of(first + k * DAY, losses[k : k + 8]) for k in starts]
        looks = [replace(seen(0.0, week=k), daily=one) for k, one in enumerate(daily)]
        return changed_on(looks[:-1], daily[-1], 0.05)

    assert told((0, 4)) == first + 6 * DAY
    # Eleven days, told sixteen times, are still too few.
    assert told((0, 3)) is None


# ---------------------------------------- a look


def rows(seed: int = 5, n: int = 400) -> tuple[np.ndarray, pd.DatetimeIndex, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = pd.DatetimeIndex(pd.Timestamp(START) + pd.to_timedelta(np.sort(rng.uniform(0, 28, n)), unit="D"))
    return rng.normal(size=n), times, local_days(times, "UTC")


def looked(whole: dict[str, np.ndarray], fresh: dict[str, np.ndarray], kept: np.ndarray | None, **more: Any) -> Look:
    y, times, days = rows()
    return look(
        Stretch(WINDOW, newest_days(WINDOW, "UTC"), "March"),
        JudgedRows(more.get("y", y), more.get("times", times), more.get("blocks", days)),
        Scores(kept, whole, fresh, more.get("twin"), more.get("daily", ())),
        at=WINDOW.end,
        champion="2" if kept is not None else "",
        metric_name=more.get("metric_name", "rmse"),
        money=Money(labelled=more.get("labelled")),
    )


def test_a_window_is_judged_whole_and_on_its_newest_days() -> None:
    y, times, _ = rows()
    newest = np.asarray(times >= WINDOW.end - 10 * DAY)
    rng = np.random.default_rng(6)
    kept, refit, again = (y + size * rng.normal(size=len(y)) for size in (1.0, 0.9, 0.5))
    daily = days_of(date(2024, 3, 1), [1.0] * 28)
    found = looked({FIRST: refit}, {FIRST: np.where(newest, again, np.nan)}, kept, daily=daily, labelled=900)

    def rmse(s: np.ndarray, where: Any) -> float:
        return float(np.sqrt(np.mean((y[where] - s[where]) ** 2)))

    assert (found.window, found.end, found.champion, found.labelled) == ("March", WINDOW.end, "2", 900)
    assert found.daily == daily
    assert found.newest is not None
    for judged, where, scores in ((found.whole, slice(None), refit), (found.newest, newest, again)):
        assert judged.loss == {KEEP: pytest.approx(rmse(kept, where)), FIRST: pytest.approx(rmse(scores, where))}
        series = judged.series[FIRST]
        assert series.gain == pytest.approx(rmse(kept, where) - rmse(scores, where))
        assert sum(series.sizes) == judged.rows == len(y[where])
        assert sum(series.sums) == pytest.approx(0.0, abs=1e-9)
    assert (found.whole.start, found.newest.start) == (WINDOW.start, WINDOW.end - 10 * DAY)
    assert (len(found.whole.series[FIRST].sums), len(found.newest.series[FIRST].sums)) == (28, 10)


def test_a_look_is_read_back_from_json() -> None:
    y, _, days = rows()
    scores = {FIRST: y + 0.9, "refit:since:2024-03-20": y + 0.5, "revert:1": y + 0.8}
    found = looked(scores, scores, y + 1.0, daily=daily_losses(y, y + 1.0, days, "rmse"), labelled=400)
    assert from_plain(Look, json.loads(json.dumps(as_plain(found)))) == found
    changed = replace(found, changed=date(2024, 3, 9))
    assert from_plain(Look, json.loads(json.dumps(as_plain(changed)))) == changed
    # Looks from before changes were kept have none.
    assert from_plain(Look, {k: v for k, v in as_plain(found).items() if k != "changed"}) == found
    bare = replace(found, newest=None)
    assert from_plain(Look, json.loads(json.dumps(as_plain(bare)))) == bare
    probed = summed([found])
    assert from_plain(Probed, json.loads(json.dumps(as_plain(probed)))) == probed


def test_a_candidate_that_could_not_be_fitted_has_no_say_there() -> None:
    y, _, _ = rows()
    gone = np.full(len(y), np.nan)
    found = looked({FIRST: y + 0.9, "refit:1": gone}, {FIRST: y + 0.9, "refit:1": y + 0.5}, y + 1.0)
    assert set(found.whole.loss) == {KEEP, FIRST}
    assert found.newest is not None
    assert set(found.newest.loss) == {KEEP, FIRST, "refit:1"}
    # It may lead all the same: its newest days are all that it is tested on.
    gain = refit_of([found])
    assert (gain.candidate, gain.windows) == ("refit:1", 0)


def test_without_a_champion_candidates_are_held_against_each_other_and_nothing_is_gained() -> None:
    y, _, _ = rows()
    found = looked({FIRST: y + 0.9, "refit:1": y + 0.5}, {FIRST: y + 0.9}, None)
    assert found.whole.loss == {FIRST: pytest.approx(0.9), "refit:1": pytest.approx(0.5)}
    assert found.whole.series == {}
    assert leading([found], ProbePolicy()) == "refit:1"


def test_refits_on_samples_are_held_against_the_champions_twin_and_versions_against_itself() -> None:
    y, _, _ = rows()
    scores = {FIRST: y + 0.9, "revert:1": y + 0.9}
    found = looked(scores, scores, y + 1.0, twin=y + 1.2)
    assert found.whole.loss[KEEP] == pytest.approx(1.0)
    assert found.whole.series[FIRST].gain == pytest.approx(0.3)
    assert found.whole.series["revert:1"].gain == pytest.approx(0.1)


def test_newest_days_that_cannot_be_judged_leave_the_window() -> None:
    _, times, _ = rows()
    classes = np.where(times >= WINDOW.end - 10 * DAY, 1.0, np.arange(len(times)) % 2)
    scores = {FIRST: np.linspace(0.1, 0.9, len(times))}
    found = looked(scores, scores, np.full(len(times), 0.5), y=classes, metric_name="roc_auc")
    assert found.newest is None
    assert found.whole.rows == len(times)
    early = np.asarray(times < WINDOW.start + 10 * DAY)
    y, _, days = rows()
    missing = looked({FIRST: y[early]}, {FIRST: y[early]}, y[early] + 1, y=y[early], times=times[early],
                     blocks=days[early])  # fmt: skip
    assert missing.newest is None


def test_no_rows_is_no_number() -> None:
    empty = np.empty(0)
    times = pd.DatetimeIndex([], tz="UTC")
    with pytest.raises(CannotJudge, match="no labelled rows"):
        looked({"refit:1": empty}, {}, empty, y=empty, times=times, blocks=np.empty(0, dtype=int))


def test_a_refit_since_a_change_needs_as_many_days_as_are_judged() -> None:
    newest = Window(START + timedelta(days=18), START + timedelta(days=28))
    enough, too_few = (START + timedelta(days=8)).date(), (START + timedelta(days=9)).date()
    assert fitted_since([enough], newest) == ("since:2024-03-09",)
    assert fitted_since([too_few], newest) == ()
    assert fitted_since([], newest) == ()
    # The newest that is old enough, whenever it was found.
    assert fitted_since([enough, too_few, enough - DAY], newest) == ("since:2024-03-09",)


def test_changes_are_those_that_were_found_and_what_is_found_now() -> None:
    day = date(2024, 3, 9)
    looks = [seen(0.0), replace(seen(0.0), changed=day)]
    assert changes(looks) == [day]
    assert changes(looks, day + DAY) == [day, day + DAY]
    assert changes([seen(0.0)]) == []


# ---------------------------------------- adding up


def test_the_lower_bound_is_the_block_t_interval_at_the_windows_share_of_the_level() -> None:
    found = refit_of([seen(0.2)], ProbePolicy(level=0.01))
    bound = 0.2 - stats.t.ppf(1 - 0.01 * SHARES["windows"], 27) * error(noise=0.01, days=28)
    assert found.lower == pytest.approx(bound)
    assert (found.mean, found.windows, found.rows, found.days) == (0.2, 1, 280, 28)
    assert found.since == WINDOW.start.isoformat()
    assert found.in_words == (
        "a refit on all history would have reduced the champion's loss by 20.0% in the newest window "
        f"(surely by at least {bound:.1%}; 280 rows on 28 days)"
    )


def test_a_loud_change_is_sure_on_the_newest_days_at_their_share() -> None:
    found = refit_of([seen(0.0, fresh=0.4)], ProbePolicy(level=0.01))
    # Days that alternate remember nothing: the textbook interval.
    assert found.lower == pytest.approx(0.4 - stats.t.ppf(1 - 0.01 * SHARES["newest"], 9) * error(noise=0.01, days=10))
    assert (found.mean, found.windows, found.rows, found.days) == (0.4, 0, 100, 10)
    assert found.since == (WINDOW.end - 10 * DAY).isoformat()
    assert "in the newest days (surely by at least" in found.in_words
    # The newest days of an older look say nothing of now.
    assert refit_of([seen(0.0, fresh=0.4), seen(0.0, week=1, fresh=0.0)]).lower < 0.0


def test_gains_are_shares_of_the_champions_loss() -> None:
    one = seen(0.2)
    half = replace(one, whole=replace(one.whole, loss={KEEP: 0.5, FIRST: 0.3}))
    assert refit_of([half]).mean == pytest.approx(0.4)
    assert refit_of([half]).lower == pytest.approx(2 * refit_of([one]).lower)
    nothing = replace(one, whole=replace(one.whole, loss={KEEP: 0.0, FIRST: 0.0}))
    assert summed([nothing]).refit is None  # a faultless champion cannot be bettered


def test_a_faint_gain_adds_up_over_windows_at_a_share_of_the_level() -> None:
    four = [seen(0.012, noise=0.03, week=k) for k in range(4)]
    policy = ProbePolicy(level=0.01)
    alone, together = refit_of(four[:1], policy), refit_of(four, policy)
    assert alone.lower < 0.0 < together.lower
    assert together.windows == 4
    each = level_of_each(0.01 * SHARES["windows"], (1, 2, 4))
    assert together.lower == pytest.approx(0.012 - stats.t.ppf(1 - each, 111) * error(noise=0.03, days=112))
    assert summed(four, policy).alpha_spent == pytest.approx(0.04)
    # A window that the leader missed breaks the pool: it is not known what it would have lost there.
    hole = replace(four[2], whole=replace(four[2].whole, series={}))
    assert refit_of([*four[:2], hole, four[3]], policy).windows == 1


def test_looks_at_another_champion_are_not_pooled() -> None:
    looks = [seen(0.5, champion="1", week=0), seen(0.0, champion="2", week=1)]
    found = summed(looks)
    assert found.looks == 1
    assert found.refit is not None
    assert found.refit.mean == 0.0
    with pytest.raises(CannotJudge, match="has not looked at the champion"):
        summed(looks, champion="3")


def test_looks_at_another_champion_help_to_choose_the_leader() -> None:
    before = lost(0, {"all": 1.0, "one": 0.6}, champion="1")
    one = seen(0.0, week=1)
    both = part(one.whole.start, {FIRST: 0.0, "refit:1": -0.01}, noise=0.01, days=28)
    assert summed([replace(one, whole=both)]).leader == FIRST
    assert summed([before, replace(one, whole=both)]).leader == "refit:1"


def test_what_was_seen_before_the_champion_came_back_has_been_answered() -> None:
    looks = [seen(0.5, week=0), seen(0.0, week=2)]
    found = summed(looks, since=WINDOW.end + LENGTH)
    assert found.looks == 1
    assert found.refit is not None
    assert found.refit.mean == 0.0


def test_the_best_version_to_go_back_to_is_found_and_its_choice_is_paid_for() -> None:
    one = summed([seen(0.0, **{"revert:1": 0.2})]).revert
    two = summed([seen(0.0, **{"revert:1": 0.2, "revert:5": 0.1})]).revert
    assert one is not None
    assert two is not None
    assert (one.candidate, two.candidate) == ("revert:1", "revert:1")
    # Half of going back's share is for the windows, and the versions share that.
    for found, versions in ((one, 1), (two, 2)):
        share = ProbePolicy().level * SHARES["back"] / (2 * versions)
        assert found.lower == pytest.approx(0.2 - stats.t.ppf(1 - share, 27) * error(noise=0.01, days=28))
    # A version that the newest look did not judge is no longer there to go back to.
    gone = [seen(0.0, **{"revert:1": 0.2}), seen(0.0, week=1)]
    assert summed(gone).revert is None


def test_the_sentence_is_of_the_surer_of_refit_and_going_back() -> None:
    won = "would have reduced the champion's loss by 20.0%"
    assert summed([seen(0.1, **{"revert:1": 0.2})]).sentence.startswith(f"Going back to version 1 {won}")
    assert summed([seen(0.2, **{"revert:1": 0.1})]).sentence.startswith(f"A refit on all history {won}")
    assert "would have had the champion's loss" in summed([seen(0.0)]).sentence
    worse = "raised the champion's loss by 50.0% in the newest window (which may be chance"
    assert worse in summed([seen(-0.5)]).sentence


def test_fewer_than_eight_days_cannot_be_judged() -> None:
    found = summed([seen(0.9, days=7)])
    assert found.refit is None
    assert "cannot say: fewer than 8 days of labels" in found.sentence
    assert refit_of([seen(0.9, days=7, week=k) for k in range(2)]).windows == 2
    # Newest days that reach back before a short window are enough.
    assert refit_of([seen(0.9, days=7, fresh=0.9)]).windows == 0


def test_an_entity_of_several_windows_is_one_observation() -> None:
    """Four windows of the same 28 customers say no more of how customers differ than one does."""

    def by_customer(week: int, first: int) -> Look:
        one = seen(0.2, week=week)
        series = {FIRST: alternating(0.2, noise=0.01, days=28, blocks=tuple(range(first, first + 28)))}
        return replace(one, whole=replace(one.whole, series=series), blocks="customer_id")

    same, others = ([by_customer(k, k * step) for k in range(4)] for step in (0, 28))
    assert refit_of(others).lower > refit_of(same[:1]).lower > refit_of(same).lower  # three tests' level, nothing new
    assert refit_of(others).days == 112
    lower = 0.2 - stats.t.ppf(1 - level_of_each(OF_WINDOWS, (1, 2, 4)), 27) * error(noise=0.01, days=28)
    assert refit_of(same).lower == pytest.approx(lower)
    assert refit_of(same).in_words.endswith(f"(surely by at least {lower:.1%}; 280 rows on 28 blocks by customer_id)")
    assert from_plain(Look, json.loads(json.dumps(as_plain(same[0])))) == same[0]
    # A window that was judged by days is not pooled with these.
    assert refit_of([seen(0.2, week=0), *others[1:2]]).windows == 1


def test_the_gain_in_money_is_that_of_the_stretch_which_surely_earns_most() -> None:
    costs = {"true_positive": 2.0}

    def earning(gain: float, fresh: float, *, week: int = 0, table: dict[str, float] | None = None) -> Look:
        one = seen(0.2, week=week, fresh=0.2)
        assert one.newest is not None
        whole = replace(one.whole, profit={FIRST: alternating(gain, noise=0.01, days=28)})
        newest = replace(one.newest, profit={FIRST: alternating(fresh, noise=0.01, days=10)})
        return replace(one, whole=whole, newest=newest, costs=costs if table is None else table, labelled=560)

    def profit(looks: list[Look]) -> ProfitGain | None:
        return refit_of(looks, costs=costs).profit

    window = profit([earning(3.0, 1.0)])
    assert window is not None
    assert (window.mean, window.rows_per_day) == (3.0, 20.0)
    assert window.lower == pytest.approx(3.0 - stats.t.ppf(1 - OF_WINDOWS, 27) * error(noise=0.01, days=28))
    newest = profit([earning(1.0, 3.0)])
    assert newest is not None
    assert newest.lower == pytest.approx(3.0 - stats.t.ppf(1 - OF_NEWEST, 9) * error(noise=0.01, days=10))
    both = profit([earning(3.0, 1.0), earning(3.0, 1.0, week=1)])
    assert both is not None
    assert (both.mean, both.rows_per_day) == (3.0, 20.0)  # 1,120 labelled rows in 56 days
    assert profit([earning(3.0, 1.0, table={"true_positive": 1.0})]) is None
    assert refit_of([earning(3.0, 1.0)]).profit is None  # no table today


# ---------------------------------------- levels


def quiet_life(rng: np.random.Generator, looks: int) -> list[Look]:
    """Looks at a champion that cannot be bettered, on days that share an effect; nor by the version before it."""

    def quiet(start: datetime, sums: np.ndarray, names: tuple[str, ...]) -> Part:
        ways = {}
        for name, values in zip(names, np.atleast_2d(sums), strict=True):
            n = 10.0 * len(values)
            ways[name] = Series(values.sum() / n, tuple(values - values.mean()), (10.0,) * len(values))
        return Part(start, int(n), dict.fromkeys((KEEP, *names), 1.0), ways)

    life = []
    for week in range(looks):
        sums, end = rng.normal(size=(2, 28)) * 3.0, WINDOW.end + week * LENGTH
        names = (FIRST, "revert:1")
        whole, newest = quiet(end - LENGTH, sums, names), quiet(end - 10 * DAY, sums[:, -10:], names)
        life.append(Look(f"w{week}", end, end, "2", whole, newest))
    return life


def test_false_alarms_stay_at_the_level() -> None:
    """No gain, days that share an effect: all tests together ring in at most 5 % of the looks (binomial bounds)."""
    rng, runs, refits, rings = np.random.default_rng(11), 800, 0, 0
    for _ in range(runs):
        found = summed(quiet_life(rng, 4))
        refits += found.refit is not None and found.refit.lower > 0.0
        rings += any(gain is not None and gain.lower > 0.0 for gain in (found.refit, found.revert))
    # The leader has a share for the newest days and one for the windows; these overlap, and so may their alarms.
    assert stats.binom.ppf(0.001, runs, OF_WINDOWS) <= refits <= stats.binom.ppf(0.999, runs, OF_NEWEST + OF_WINDOWS)
    assert refits <= rings <= stats.binom.ppf(0.999, runs, 0.05)


def test_a_level_that_a_whole_life_shares_bounds_any_false_alarm_in_it() -> None:
    policy, rng = ProbePolicy(level=0.05, spending="whole_life"), np.random.default_rng(12)
    assert [policy.level_of(number) for number in (1, 2, 9)] == pytest.approx([0.025, 0.05 / 6, 0.05 / 90])
    assert policy.spent(9) == pytest.approx(0.05 * 0.9)
    rings = {"whole_life": 0, "each_look": 0}
    for _ in range(150):
        life = quiet_life(rng, 8)
        for spending in rings:
            agreed = replace(policy, spending=spending)
            found = [summed(life[:count], agreed) for count in range(1, 9)]
            rings[spending] += any(one.refit is not None and one.refit.lower > 0.0 for one in found)
    assert rings["whole_life"] <= stats.binom.ppf(0.999, 150, 0.05)
    assert rings["each_look"] > 2 * rings["whole_life"]
    # And a change that is large enough is seen all the same, late in a life too.
    assert refit_of([*quiet_life(rng, 8), seen(0.2, week=8)], policy).lower > 0.1


def test_false_alarms_stay_near_the_level_where_days_resemble_the_day_before() -> None:
    """A lasting effect moves whole windows: 0.7 of it is left a day later. Independent days would ring in a third."""
    rng, runs, rings = np.random.default_rng(7), 400, 0
    for _ in range(runs):
        days = rng.normal(size=112)
        for day in range(1, 112):
            days[day] = 0.7 * days[day - 1] + 0.51**0.5 * days[day]
        life = []
        for week, sums in enumerate(days.reshape(4, 28)):
            one = seen(0.0, week=week, fresh=0.0)
            assert one.newest is not None
            series = [
                Series(float(of.mean()) / 10, tuple(of - of.mean()), (10.0,) * len(of)) for of in (sums, sums[-10:])
            ]
            whole, newest = (
                replace(one.whole, series={FIRST: series[0]}),
                replace(one.newest, series={FIRST: series[1]}),
            )
            life.append(replace(one, whole=whole, newest=newest))
        found = summed(life).refit
        rings += found is not None and found.lower > 0.0
    assert rings <= stats.binom.ppf(0.999, runs, 1.28 * (OF_NEWEST + OF_WINDOWS))


def test_a_look_keeps_the_noise_of_its_rows_and_one_from_before_has_none() -> None:
    series = Series(0.2, (0.1, -0.1), (10.0, 10.0), noise=3.5)
    one = seen(0.2)
    one = replace(one, whole=replace(one.whole, series={FIRST: series}))
    plain = json.loads(json.dumps(as_plain(one)))
    assert from_plain(Look, plain) == one
    del plain["whole"]["series"][FIRST]["noise"]
    assert from_plain(Look, plain).whole.series[FIRST].noise is None


def test_trainings_that_nothing_promises_a_gain_for_share_the_level_of_the_gate() -> None:
    def found(lower: float | None) -> Probed:
        gain = None if lower is None else Gain("refit:4", lower, 0.05, 1, 1000, 28)
        return Probed(gain, None, "refit:4", looks=2, alpha_spent=0.01, sentence="The probe has looked.")

    # A gain that is surely above its price, or no probe: as agreed.
    assert gate_confidence(found(0.011), 0.01, 0.95) == 0.95
    assert gate_confidence(None, 0.01, 0.95) == 0.95
    # Bonferroni: all tries together err no more often than one challenger may.
    for lower in (0.01, -0.02, None):
        assert TRIES * (1.0 - gate_confidence(found(lower), 0.01, 0.9)) == pytest.approx(0.1)
