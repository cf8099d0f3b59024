"""A life on paper: what it may see and what it does.

What lives here: the rules of a life on small worlds. What doesn't: the bars (tests/scenarios).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from mlops_assets.core.decide.policy import RetrainPolicy
from mlops_assets.core.decide.probe_policy import ProbePolicy
from mlops_assets.core.simulate.life import live
from mlops_assets.core.simulate.life_settings import LifePolicy
from mlops_assets.core.simulate.shared_fits import Rows
from mlops_assets.core.time.windows import Window
from tests.scenarios.breaks import break_world
from tests.scenarios.worlds import CHANGE, DAYS, FIRST, World, scenario

POLICY = LifePolicy(metric="rmse", retrain=RetrainPolicy(window=timedelta(days=DAYS)))


def world(name: str = "sudden +50 %", **changes: Any) -> World:
    return scenario(name, labels=300, seed=1, **changes)


def test_no_row_is_both_fitted_on_and_judged_and_none_is_used_before_its_label_is_known() -> None:
    here = world()
    # The row's own number is its only feature, so that a fit tells what it has seen.
    rows = replace(here.rows, x=np.arange(len(here.rows.y), dtype=float)[:, None])
    known = rows.known.asi8
    judged_late: list[bool] = []

    def learner(x: np.ndarray, y: np.ndarray) -> Any:
        fitted = x[:, 0].astype(int)
        newest = known[fitted].max()

        def predict(values: np.ndarray) -> np.ndarray:
            asked = values[:, 0].astype(int)
            judged_late.append(bool((known[asked] > newest).all() and not set(asked) & set(fitted)))
            return np.full(len(values), y.mean())

        return predict

    live(rows, here.windows[:12], learner, POLICY, first=FIRST)
    assert judged_late
    assert all(judged_late)


def test_late_labels_are_fitted_on_once_known_and_an_embargo_keeps_neighbours_out() -> None:
    here = world("labels two windows late, +20 %")
    rows = replace(here.rows, x=np.arange(len(here.rows.y), dtype=float)[:, None])
    fitted: list[int] = []
    gaps: list[float] = []

    def learner(x: np.ndarray, y: np.ndarray) -> Any:
        newest, is_champion = rows.times[int(x[:, 0].max())], not fitted
        fitted.append(len(y))

        def predict(values: np.ndarray) -> np.ndarray:
            if not is_champion:
                gaps.append((rows.times[int(values[0, 0])] - newest) / timedelta(days=1))
            return np.full(len(values), y.mean())

        return predict

    probe = ProbePolicy(refits=("expanding",))
    live(rows, here.windows[:12], learner, replace(POLICY, probe=probe), first=FIRST)
    # No label came within eight weeks of its event, and none had to.
    assert 0.0 < min(gaps) <= max(gaps) < 1.0
    fitted.clear()
    gaps.clear()
    live(rows, here.windows[:12], learner, replace(POLICY, probe=replace(probe, embargo="10d")), first=FIRST)
    assert 10.0 < min(gaps) <= max(gaps) < 11.0


def test_a_calendar_with_too_few_rows_to_train_never_leads() -> None:
    """After a break the newest window is best, and has fewer rows than a training needs."""
    here = break_world("flip of all", task="regression", labels=300, seed=1)
    policy = replace(POLICY, retrain=RetrainPolicy(window=here.windows[0].end - here.windows[0].start))

    def fewest(policy: LifePolicy) -> int:
        life = live(here.rows, here.windows, here.learner, policy, first=4)
        assert life.updates >= 1
        return min(len(one.rows) for one in life.versions.values())

    assert fewest(policy) < 400
    assert fewest(replace(policy, min_rows=400)) >= 400


def test_the_same_life_twice_is_the_same() -> None:
    here = world()
    one, two = (live(here.rows, here.windows, here.learner, POLICY, first=FIRST) for _ in range(2))
    assert [p.decision.id for p in one.periods] == [p.decision.id for p in two.periods]
    assert one.updates >= 1


def test_a_life_is_judged_by_the_blocks_of_its_rows() -> None:
    """Twenty customers in place of days: the probe pools their windows, and the gate judges by them."""
    here = world()
    customers = np.random.default_rng(1).integers(0, 20, len(here.rows.y))
    rows = replace(here.rows, blocks=customers, by="customer")
    life = live(rows, here.windows, here.learner, POLICY, first=FIRST)
    gates = [period.gain for period in life.periods if period.gain is not None]
    assert {(gain.blocks, gain.n_blocks) for gain in gates} == {("customer", 20)}
    probed = [p.decision.evidence["probe"] for p in life.periods if p.decision]
    gains = [one["refit"] for one in probed if one and one["refit"]]
    assert {gain["blocks"] for gain in gains} == {"customer"}
    # Not each of the twenty came in the newest days.
    assert max(gain["days"] for gain in gains) == 20
    assert max(gain["windows"] for gain in gains) > 1
    assert life.updates >= 1


def test_a_quarantined_window_is_never_fitted_on_judged_or_answered() -> None:
    here = world()
    poisoned: Rows = replace(here.rows, x=here.rows.x.copy())
    number = 16
    inside = (here.rows.times >= here.windows[number].start) & (here.rows.times < here.windows[number].end)
    poisoned.x[np.asarray(inside)] = 1e9
    life = live(poisoned, here.windows, here.learner, POLICY, first=FIRST, healthy=lambda k: "bad" * (k == number))
    assert life.periods[number - FIRST].decision.action == "quarantine"
    worst = max(abs(version.model(np.zeros((1, 8)))[0]) for version in life.versions.values())
    assert worst < 10.0


def test_without_a_gain_nothing_but_growth_and_age_ask() -> None:
    life = live(world("no drift").rows, world().windows, world().learner, POLICY, first=FIRST)
    assert {p.decision.rule for p in life.periods} == {"nothing", "growth", "age"}
    fixed = replace(POLICY.retrain, max_age=None, growth=None)
    never = replace(POLICY, retrain=fixed, probe=ProbePolicy(refits=("expanding",)))
    life = live(world("no drift").rows, world().windows, world().learner, never, first=FIRST)
    assert {p.decision.rule for p in life.periods} == {"nothing"}
    assert life.fitted_rows[1] > 0


def test_what_gained_on_the_newest_days_is_judged_on_them() -> None:
    """A loud change of one half: it fills the window that has closed, and a refit on its earlier days is judged."""
    here = world()
    loud = replace(here.rows, y=np.where(here.rows.times >= here.windows[CHANGE].start, -here.rows.y, here.rows.y))
    life = live(loud, here.windows[: CHANGE + 2], here.learner, POLICY, first=FIRST)
    change = life.periods[CHANGE - FIRST]
    assert change.decision is not None
    assert change.decision.evidence["probe"]["refit"]["windows"] == 0
    assert change.gain is not None
    assert change.gain.n_blocks == 10
    assert change.promoted is not None
    # It is fitted on the window that has closed and on no row from before it.
    rows = life.versions[change.promoted].rows
    assert here.rows.times[rows.min()] >= here.windows[CHANGE].start - timedelta(days=1)
    assert (here.rows.times[rows] >= here.windows[CHANGE].end - timedelta(days=10)).any()


def test_where_labels_come_late_the_newest_stretch_with_labels_is_looked_at() -> None:
    here = world()
    late = replace(here.rows, known=here.rows.times + timedelta(days=40))
    life = live(late, here.windows[:14], here.learner, POLICY, first=FIRST)
    found = [p for p in life.periods if p.decision and p.decision.evidence["probe"]]
    assert found
    for period in found:
        gain = period.decision.evidence["probe"]["refit"]  # type: ignore[union-attr]
        since = datetime.fromisoformat(gain["since"])
        days = 10 if gain["windows"] == 0 else DAYS * gain["windows"]
        # 40 days before the clock, less the day that is not over and the 2 % that maturity does without.
        late_by = period.window.end - (since + timedelta(days=days))
        assert timedelta(days=39) <= late_by <= timedelta(days=41)


def test_the_gate_judges_as_many_windows_as_its_own_is_long() -> None:
    """Weeks in place of months: seven days are too few for an interval, several weeks together are not."""
    here = world()
    weeks = [
        Window(one.start + 7 * k * timedelta(days=1), one.start + 7 * (k + 1) * timedelta(days=1))
        for one in here.windows[: CHANGE + 3]
        for k in range(DAYS // 7)
    ]
    weekly = replace(POLICY, retrain=RetrainPolicy(window=timedelta(days=7)), probe=ProbePolicy(refits=("expanding",)))
    first = 4 * CHANGE - 2
    alone = live(here.rows, weeks, here.learner, weekly, first=first)
    # As many weeks as the probe has looked at, four at most; of the first week alone nothing can be said.
    assert {period.gain.n_blocks for period in alone.periods if period.gain} <= {8, 14, 21, 28}
    together = live(here.rows, weeks, here.learner, replace(weekly, gate_window=timedelta(days=DAYS)), first=first)
    judged = [period.gain.n_blocks for period in together.periods if period.gain]
    assert 8 <= min(judged) <= max(judged) <= DAYS
    assert together.updates >= 1
