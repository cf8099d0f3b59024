"""Training-serving skew: answers of the service against the offline join of the same events."""

from __future__ import annotations

import json
from datetime import date

import pandas as pd
import pytest

from mlops_assets.steps.keep.metric_values import reports
from mlops_assets.steps.predict.predictions import ONLINE
from mlops_assets.steps.predict.scoring_versions import ARM, SCORE, VERSION
from mlops_assets.steps.watch.skew import SKEW_CHECK, watch_skew
from mlops_assets.world.model_data import EVENT_TIME
from tests.real_slice import WEEKS, World

DAY = date(2013, 2, 19)
FEATURE = "feat_origin_history__origin_flights_7d"


def serve(world: World, *, wrong: int = 0) -> None:
    """A day's answers as the service logs them, of which the first hold another value of one feature."""
    data = world.platform.data(world.model)
    events = data.events(DAY, date(2013, 2, 20), as_of=pd.Timestamp("2013-02-20 12:00", tz="UTC").to_pydatetime())
    rows = data.with_features(events[[*data.keys, EVENT_TIME]]).head(400)
    assert len(rows) == 400
    # The log has doubles where the lake has whole numbers.
    rows[FEATURE] = rows[FEATURE].astype("float64")
    rows.loc[: wrong - 1, FEATURE] += 1
    rows = rows.assign(**{SCORE: 0.5, VERSION: 1, ARM: "champion", "is_identified": True})
    rows["prediction_id"], rows["predicted_at"] = [f"p{n:04}" for n in range(len(rows))], rows[EVENT_TIME]
    world.platform.lake.write(rows, world.platform.lake.file("predictions", "flight_delay", partition=DAY, name=ONLINE))


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (4, True), (40, False)])
def test_answers_are_held_against_the_offline_join(world: World, wrong: int, passed: bool) -> None:
    world.at(WEEKS[1])
    assert watch_skew(world.platform, world.model) is None, "nothing was served yet"
    serve(world, wrong=wrong)
    check = watch_skew(world.platform, world.model)
    assert check is not None
    assert (check.name, check.passed, check.value, check.limit) == (SKEW_CHECK, passed, wrong / 400, 0.01)
    assert ("400 answers" in check.sentence, FEATURE in check.sentence) == (True, not passed)
    assert watch_skew(world.platform, world.model) is None, "a window is judged once for each state of its data"
    (path,) = world.platform.lake.folder("reports", "flight_delay", "skew").glob("*/summary.json")
    assert json.loads(path.read_text())["features"][FEATURE] == wrong / 400
    values = {(sample.name, sample.labels): sample.value for sample in reports(world.platform)}
    shares = [value for (name, _), value in values.items() if name == "serving_skew_share"]
    assert max(shares) == wrong / 400
    assert values["check_passed", ("flight_delay", SKEW_CHECK)] == passed
