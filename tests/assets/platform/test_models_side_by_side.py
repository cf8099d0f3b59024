"""Models that share sources and feature views: each fails for itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from mlops_assets.assets.partitions import span_tags
from mlops_assets.core.settings import ModelSettings
from mlops_assets.core.time.spans import Span
from mlops_assets.definitions import build_definitions
from mlops_assets.simulate.engine import Engine, RunFailed
from mlops_assets.steps.predict import predictions
from mlops_assets.world.platform import Platform
from tests.real_slice import COLD_START, World


def test_one_that_fails_in_a_run_leaves_the_other_its_predictions(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = predictions.score_days

    def failing(platform: Platform, model: ModelSettings, days: Sequence[date]) -> Any:
        if model.name == "arrival_delay":
            raise dg.Failure("its champion cannot be read", allow_retries=False)
        return score(platform, model, days)

    monkeypatch.setattr(predictions, "score_days", failing)
    request = dg.RunRequest(
        job_name="landing_flights", tags=span_tags(Span(COLD_START, COLD_START + timedelta(days=1)))
    )
    both = [dg.AssetKey([name, "predictions"]) for name in ("arrival_delay", "flight_delay")]
    engine = Engine(build_definitions(world.home), world.instance)
    with pytest.raises(RunFailed, match="failed in arrival_delay_predictions"):
        engine.execute(request, only=both)
    done = {key: world.instance.get_materialized_partitions(key) for key in both}
    assert done == {both[0]: set(), both[1]: {COLD_START.isoformat()}}
    scores = predictions.read_scores(world.platform, world.model, COLD_START, COLD_START + timedelta(days=1))
    assert len(scores) > 400
