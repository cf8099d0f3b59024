"""Scores of versions that know other classes, side by side: in files, in a rollout, in the service's answers."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from mlops_assets.core.rollout.moves import Rollout
from mlops_assets.serving.engine.arms import Arms
from mlops_assets.serving.http.oip_api import outputs_of
from mlops_assets.serving.log.records import Answer, record_types
from mlops_assets.steps.predict.references import score_matrix
from mlops_assets.steps.predict.scoring_versions import same_classes
from mlops_assets.steps.rollout.measurements import _psi, pairs_of
from mlops_assets.steps.watch.classes import class_counts, classes_markdown
from mlops_assets.world.lake import Lake

NOW = datetime(2023, 6, 10, tzinfo=UTC)


def frame_of(scores: list[list[float]], version: int) -> pd.DataFrame:
    columns = {f"score_{code}": column for code, column in enumerate(zip(*scores, strict=True))}
    return pd.DataFrame({"key": range(len(scores)), **columns, "score": 0.5, "model_version": version})


def test_a_version_gave_a_class_that_it_does_not_know_no_chance() -> None:
    three, four = frame_of([[0.2, 0.3, 0.5]], 1), frame_of([[0.1, 0.2, 0.3, 0.4]], 2)
    ours, theirs = same_classes(three, four)
    assert list(ours) == list(theirs)
    assert ours["score_3"].tolist() == [0.0]
    assert theirs["score_3"].tolist() == [0.4]
    # As days of both are read from files.
    both = pd.concat([three, four], ignore_index=True)
    assert score_matrix(both).tolist() == [[0.2, 0.3, 0.5, 0.0], [0.1, 0.2, 0.3, 0.4]]


def test_a_row_without_any_score_stays_without() -> None:
    rows = frame_of([[0.2, 0.8], [np.nan, np.nan]], 1)
    (found,) = same_classes(rows)
    assert found[["score_0", "score_1"]].isna().all(axis=1).tolist() == [False, True]


def test_columns_are_in_the_order_of_the_codes() -> None:
    rows = pd.DataFrame({f"score_{code}": [float(code)] for code in (10, 2, 0, 1)})
    assert score_matrix(rows).tolist() == [[0.0, 1.0, 2.0, 10.0]]


def test_frames_without_classes_come_back_as_they_are() -> None:
    rows = pd.DataFrame({"score": [0.5]})
    assert same_classes(rows, pd.DataFrame())[0] is rows


def test_a_candidate_that_knows_more_is_paired_with_its_champion() -> None:
    said = pd.concat(
        [frame_of([[0.2, 0.3, 0.5]] * 20, 1), frame_of([[0.1, 0.2, 0.3, 0.4]] * 20, 2)], ignore_index=True
    ).assign(event_timestamp=NOW)
    rollout = Rollout(version=2, champion=1, state="canary", step=0, since=NOW, decision="d")
    pairs = pairs_of(said, ["key"], rollout)
    assert pairs.other[0].tolist() == [0.2, 0.3, 0.5, 0.0]
    assert pairs.candidate[0].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert np.isfinite(_psi(pairs))


def arm(name: str, classes: int) -> Any:
    recipe = SimpleNamespace(classes=classes)
    return SimpleNamespace(
        name=name, version=classes, scorer=SimpleNamespace(model=SimpleNamespace(recipe=recipe), columns={})
    )


def test_the_service_answers_with_the_classes_of_both_arms() -> None:
    contract: Any = SimpleNamespace(keys={}, kinds={}, views={})
    arms = Arms(contract, arm("champion", 3), arm("canary", 4), 0.5)
    assert [name for name in record_types(arms) if name.startswith("score_")] == [f"score_{code}" for code in range(4)]
    answers = [
        Answer(str(n), max(scores), scores, each, NOW, {}, {})
        for n, (scores, each) in enumerate(
            [([0.2, 0.3, 0.5], arms.champion), ([0.1, 0.2, 0.3, 0.4], arms.candidate)]  # type: ignore[list-item]
        )
    ]
    (told,) = outputs_of(answers, ["scores"])
    assert told["shape"] == [2, 4]
    assert told["data"] == [0.2, 0.3, 0.5, 0.0, 0.1, 0.2, 0.3, 0.4]


def test_shares_are_followed_by_window(tmp_path: Any) -> None:
    counts = class_counts(pd.DataFrame({"label": [0.0, 0.0, 2.0, np.nan]}))
    assert counts == {"0": 2, "2": 1}
    platform: Any = SimpleNamespace(lake=Lake(root=str(tmp_path)))
    windows = {"2023-05": counts, "2023-06": {"0": 1, "10": 1}}
    told: Any = [SimpleNamespace(window=window, classes=classes) for window, classes in windows.items()]
    table = classes_markdown(platform, "tier", told)
    assert [line.count("|") for line in table.splitlines()] == [6] * 4
    header = [cell.strip() for cell in table.splitlines()[0].split("|")[1:-1]]
    assert header == ["window", "labels", "share of class 0", "share of class 2", "share of class 10"]
    assert classes_markdown(platform, "tier", []) == "No label is known yet."
