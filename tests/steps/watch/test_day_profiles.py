"""Day profiles on real flights: a window is the sum of its days, and each day is read once for each state of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from mlops_assets.core.drift.local import slice_profiles
from mlops_assets.core.drift.profile import Profile
from mlops_assets.core.time.windows import Window, midnight
from mlops_assets.steps.predict.predictions import SCORE, read_scores, score_days
from mlops_assets.steps.predict.slice_references import Slices
from mlops_assets.steps.watch.day_profiles import WindowSeen, seen
from mlops_assets.steps.watch.windows import samples
from mlops_assets.world.columns import slice_columns
from tests.real_slice import WEEKS, World

CORRECTED = date(2013, 2, 20)


def week(world: World) -> Window:
    return Window(*(midnight(day, world.model.timezone) for day in WEEKS[:2]))


def correct(world: World, day: date = CORRECTED) -> None:
    path = world.platform.lake.partitions("features", "feat_flight")[day]
    world.platform.lake.write(pd.read_parquet(path).assign(distance_miles=5_000), path)
    score_days(world.platform, world.model, [day])


def same(one: Profile, other: Profile) -> None:
    assert one.rows == other.rows
    for name in other.counts:
        np.testing.assert_array_equal(one.counts[name], other.counts[name], err_msg=name)
        np.testing.assert_allclose(one.extra[name], other.extra[name], rtol=1e-6, atol=1e-6, err_msg=name)


def is_the_whole(found: WindowSeen, world: World) -> None:
    """The sum of the days is the profile of all rows at once, and every slice's is that of its rows."""
    rows = read_scores(world.platform, world.model, *WEEKS[:2])
    same(found.features, Profile.of(found.features.grid, rows))
    same(found.scores, Profile.of(found.scores.grid, rows[[SCORE]]))
    slices = found.against.slices
    assert isinstance(slices, Slices)
    columns = {name: rows[name].to_numpy() for name in slice_columns(world.model, rows)}
    whole = slice_profiles(slices.grid, rows, columns)
    assert found.slices.keys() == whole.keys()
    for name, profile in found.slices.items():
        assert profile.rows == whole[name].rows
        if name in slices.references:
            same(profile, whole[name])


def test_a_corrected_day_is_all_that_is_read(drifting: World) -> None:
    before = seen(drifting.platform, drifting.model, week(drifting))
    assert before.read == ()  # the report has read them
    is_the_whole(before, drifting)
    correct(drifting)
    after = seen(drifting.platform, drifting.model, week(drifting))
    assert after.read == (CORRECTED,)
    is_the_whole(after, drifting)
    assert (after.sample["feat_flight__distance_miles"] == 5_000).any()
    assert seen(drifting.platform, drifting.model, week(drifting)).read == ()


def test_the_sample_of_a_corrected_window_is_the_one_that_all_rows_would_give(drifting: World, monkeypatch) -> None:
    monkeypatch.setattr(samples, "WINDOW_SAMPLE", 500)
    folder = drifting.platform.lake.folder("reports", "flight_delay", "drift")
    for path in folder.glob("window=*/sample.parquet"):
        path.unlink()
    first = seen(drifting.platform, drifting.model, week(drifting))
    assert len(first.read) == 7  # without a sample all days are read, and one is kept
    assert len(first.sample) == 500
    correct(drifting)
    again = seen(drifting.platform, drifting.model, week(drifting)).sample
    rows = read_scores(drifting.platform, drifting.model, *WEEKS[:2])
    rank = samples.ranks(rows, drifting.platform.data(drifting.model).keys)
    whole = rows.iloc[np.argsort(rank, kind="stable")[: len(again)]]
    assert again["flight_id"].tolist() == whole["flight_id"].tolist()
    assert abs(len(again) - 500) < 50
    mean, sd = rows["feat_flight__distance_miles"].mean(), rows["feat_flight__distance_miles"].std()
    assert abs(again["feat_flight__distance_miles"].mean() - mean) < 4 * sd / np.sqrt(len(again))


def test_another_reference_counts_all_days_again(drifting: World) -> None:
    before = seen(drifting.platform, drifting.model, week(drifting))
    drift = replace(drifting.model.monitoring.drift, reference="2013-01-07/2013-01-21")
    pinned = drifting.with_settings(monitoring={"drift": drift})
    after = seen(pinned.platform, pinned.model, week(pinned))
    assert len(after.read) == 7
    assert after.features.grid.fingerprint != before.features.grid.fingerprint
    is_the_whole(after, pinned)
