from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlops_assets.core.performance.label_maturity import age_told, early_classes, early_labels, maturity_curve, restated
from mlops_assets.core.stats.intervals import CannotJudge

NOW = datetime(2013, 1, 11, tzinfo=UTC)
START = pd.Timestamp("2013-01-01", tz="UTC")
RNG = np.random.default_rng(5)


def hours(values: list[float]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([START + pd.Timedelta(hours=v) if np.isfinite(v) else pd.NaT for v in values])


# --- the curve ---------------------------------------------------------------------------------------------


def test_the_curve_by_hand() -> None:
    # Kaplan and Meier: labels after 1, 2, 2 and 4 hours; one event followed for 3 hours, one for 5, without a label.
    # Waiting: 5/6 after 1 h, of it 3/5 after 2 h, of it 1/2 after 4 h.
    now = datetime(2013, 1, 1, 5, tzinfo=UTC)
    events = hours([0, 0, 0, 0, 2, 0])
    curve = maturity_curve(events, events + pd.to_timedelta([1, 2, 2, 4, np.nan, np.nan], "h"), now=now)
    assert curve.ages == (1.0, 2.0, 4.0, 5.0)
    assert curve.share == pytest.approx((1 / 6, 1 / 2, 3 / 4, 3 / 4))
    assert curve.at_risk == (6, 5, 2, 1)
    assert (curve.events, curve.unlabelled) == (6, 2)
    assert (curve.known_by(0.5), curve.known_by(3.0), curve.known_by(9.0)) == pytest.approx((0.0, 1 / 2, 3 / 4))
    assert (curve.age_of(0.5), curve.age_of(0.95)) == (2.0, None)
    assert "50% are known after 2 h, 95% are never known, and 25.0% are unknown after 5 h" in curve.sentence


def test_ages_are_told_as_people_say_them() -> None:
    ages = (0.75, 2.301, 11.6, 71.0, 2_925.0)
    assert [age_told(age) for age in ages] == ["45 min", "2.3 h", "12 h", "71 h", "122 days"]


def cohorts(n: int = 4_000) -> tuple[pd.DatetimeIndex, pd.DatetimeIndex, np.ndarray]:
    """Events of ten days, labels after 40 hours on average, one in ten never."""
    events = hours(list(RNG.random(n) * 240))
    delay = RNG.exponential(40.0, n)
    known = pd.DatetimeIndex(pd.Series(events + pd.to_timedelta(delay, "h")).where(RNG.random(n) > 0.1))
    return events, known, delay


def test_the_curve_is_scipys() -> None:
    events, known, _ = cohorts()
    curve = maturity_curve(events, known, now=NOW)
    came = np.asarray(known <= NOW)
    ages = np.asarray((known.where(came, pd.Timestamp(NOW)) - events) / pd.Timedelta(hours=1), dtype=float)
    theirs = stats.ecdf(stats.CensoredData.right_censored(ages, ~came)).cdf
    for age in (5.0, 40.0, 100.0, 200.0):
        assert curve.known_by(age) == pytest.approx(float(theirs.evaluate(age)), abs=1e-9)


def test_young_cohorts_do_not_pull_the_curve_down() -> None:
    events, known, _ = cohorts()
    curve = maturity_curve(events, known, now=NOW)
    for age in (10.0, 40.0, 120.0):
        truth = 0.9 * (1 - np.exp(-age / 40.0))
        assert curve.known_by(age) == pytest.approx(truth, abs=0.025)
    share_now = float(np.mean(np.asarray(known <= NOW)))
    assert share_now < 0.9 * (1 - np.exp(-240 / 40.0)) - 0.1  # what counting would say


def test_the_curve_is_told_at_even_ages_to_its_end() -> None:
    points = maturity_curve(*cohorts()[:2], now=NOW).sampled()
    ages, shares = zip(*points, strict=True)
    assert np.diff(ages[:-1]) == pytest.approx(np.full(len(ages) - 2, ages[1]))
    assert list(shares) == sorted(shares)
    assert shares[-2] >= 0.98 * shares[-1]


@pytest.mark.parametrize(
    ("events", "known", "why"),
    [
        ([], [], "of 0 events none has a label"),
        ([1.0, 2.0], [np.nan, np.nan], "of 2 events none has a label"),
        ([1.0, 2.0], [0.5, 3.0], "1 labels were known before their event"),
        ([300.0], [301.0], "of 0 events none has a label"),
    ],
)
def test_a_curve_that_cannot_be_says_why(events: list, known: list, why: str) -> None:
    with pytest.raises(CannotJudge, match=why) as caught:
        maturity_curve(hours(events), hours(known), now=NOW)
    assert caught.value.remedy


def test_times_that_do_not_match_are_a_fault() -> None:
    with pytest.raises(ValueError, match="one of each per row"):
        maturity_curve(hours([1.0]), hours([1.0, 2.0]), now=NOW)


# --- early labels ------------------------------------------------------------------------------------------


def test_early_labels_by_hand_and_their_interval_by_simulation() -> None:
    (found,) = early_labels([0, 0, 1, 1], [1, 1, 2, 9], ["a", "a", "b", "b"], [2])
    assert (found.share, found.mean, found.final) == pytest.approx((0.75, 1 / 3, 1 / 2))
    assert found.difference == pytest.approx(-1 / 6)
    assert found.lower is None  # two days

    def fast_ones_are_fewer(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        y = (rng.random(2_000) < 0.3).astype(float)
        delay = rng.exponential(1.0 + y, 2_000)
        early, late = (1 - np.exp(-1)) * 0.7, (1 - np.exp(-0.5)) * 0.3
        (found,) = early_labels(y, delay, np.arange(2_000) % 20, [1.0])
        return found.lower <= late / (early + late) - 0.3 <= found.upper

    assert np.mean([fast_ones_are_fewer(seed) for seed in range(200)]) == pytest.approx(0.95, abs=0.04)


def test_of_classes_the_one_is_told_that_early_labels_mislead_about_most() -> None:
    # Within two hours: classes 0, 0 and 2 of 0, 0, 1, 1, 2: shares 2/3, 0 and 1/3 against 2/5, 2/5 and 1/5.
    code, (found,) = early_classes([0, 0, 1, 1, 2], [1, 1, 9, 9, 2], ["a", "a", "b", "b", "b"], [2])
    assert (code, found.share) == (1.0, 0.6)
    assert (found.mean, found.final, found.difference) == pytest.approx((0.0, 0.4, -0.4))


@pytest.mark.parametrize("judge", [early_labels, early_classes])
@pytest.mark.parametrize("labels", [[], [1.0, np.nan], [1.0, np.inf]])
def test_early_labels_need_labels(labels: list, judge: Callable) -> None:
    with pytest.raises(CannotJudge, match="need known labels"):
        judge(labels, [1.0] * len(labels), list(range(len(labels))), [1.0])


# --- restated ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "changed", "withdrawn"),
    [
        ({"a": 0, "b": 1, "c": 1}, 0, 0),
        ({"a": 0, "b": 1, "c": 1, "late": 1}, 0, 0),
        ({"a": 1, "b": 1, "c": 0}, 2, 0),
        ({"a": 0, "c": 0}, 1, 1),
    ],
)
def test_restated_labels_are_counted_and_late_ones_are_not(now: dict, changed: int, withdrawn: int) -> None:
    def frame(labels: dict) -> pd.DataFrame:
        return pd.DataFrame({"id": list(labels), "label": [float(v) for v in labels.values()]})

    found = restated(frame({"a": 0, "b": 1, "c": 1}), frame(now), keys=["id"], label="label")
    assert (found.changed, found.withdrawn, found.judged) == (changed, withdrawn, 3)
    assert bool(found) is bool(changed + withdrawn)
