"""The first day of a training window, held against the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlops_assets.core.models.training_window import TrainingWindow
from mlops_assets.core.stats.intervals import CannotJudge

# In New York it is still the evening of 28 February.
NOW = datetime(2013, 3, 1, 4, 30, tzinfo=UTC)
NY = "America/New_York"


@pytest.mark.parametrize("text", ["auto", "expanding", "rolling: 90d", "decay: 60d", "since: 2013-02-28"])
def test_a_window_that_has_begun_is_taken(text: str) -> None:
    TrainingWindow.parse(text).refuse_future(NOW, NY)


@pytest.mark.parametrize("day", ["2013-03-01", "2999-01-01"])
def test_a_day_that_has_not_come_is_nothing_to_train_from(day: str) -> None:
    why = f"training.window is since: {day}, and by the model's clock it is 2013-02-28. Write a day from which on"
    with pytest.raises(CannotJudge, match=why):
        TrainingWindow.parse(f"since: {day}").refuse_future(NOW, NY)
