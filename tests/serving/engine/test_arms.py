"""Who answers: sticky shares, tags of a rollout, the shadow, and what the monitors read of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from mlops_assets.core.models.row_scoring import RowScorer
from mlops_assets.core.rollout.sticky_shares import place
from mlops_assets.serving.app import build
from mlops_assets.serving.engine.arms import CANARY, CHAMPION, SHADOW, Arm, Arms, CannotServe, rollout_of
from mlops_assets.serving.engine.routing import choose
from mlops_assets.serving.http.keys import Keys
from mlops_assets.serving.http.limits import Limits
from mlops_assets.serving.log import into_lake
from mlops_assets.serving.log.mover import LOW_PRIORITY, Moved, Mover, NotMoved
from mlops_assets.serving.log.records import Answer, LoggedRow, line, record, record_types
from mlops_assets.serving.log.spool import Spool, closed_segments, types_file
from mlops_assets.steps.predict.predictions import ONLINE, predicted_days, read_scores
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from mlops_assets.world.mlflow.registry import ModelVersion, Registry
from mlops_assets.world.model_data import EVENT_TIME
from mlops_assets.world.platform import Platform
from tests.serving.conftest import EVENT, MODEL, contract, features, make_model


@pytest.fixture(scope="module")
def arms() -> Arms:
    champion = Arm(CHAMPION, 1, "a", RowScorer(make_model(1)))
    return Arms(contract(), champion, Arm(CANARY, 2, "b", RowScorer(make_model(2))), 0.25)


def entity(number: int) -> dict[str, object]:
    return {"flight_id": f"f{number}", "carrier": "UA"}


def test_the_share_is_met_and_sticks(arms: Arms) -> None:
    first = [choose(arms, entity(n)).name for n in range(4_000)]
    # Binomial: 0.25 +- 4 standard deviations of sqrt(0.25 * 0.75 / 4000).
    assert abs(first.count(CANARY) / 4_000 - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4_000)
    assert [choose(arms, dict(reversed(entity(n).items()))).name for n in range(4_000)] == first
    wider = replace(arms, share=0.5)
    assert all(choose(wider, entity(n)).name == CANARY for n in range(4_000) if first[n] == CANARY)
    assert choose(replace(arms, share=1.0), entity(0)).name == CANARY
    assert choose(replace(arms, share=1.0), {}).name == CHAMPION
    assert choose(replace(arms, share=0.0), entity(0)).name == CHAMPION
    # Another rollout tries on others.
    assert place(2, entity(1)) != place(3, entity(1))


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({}, (None, 0.0)),
        ({"rollout_state": "done"}, (None, 0.0)),
        ({"rollout_state": "shadow", "rollout_share": "0.5"}, (SHADOW, 0.0)),
        ({"rollout_state": "canary", "rollout_share": "0.05"}, (CANARY, 0.05)),
        ({"rollout_state": "canary"}, (CANARY, 0.0)),
    ],
)
def test_tags_of_a_rollout(tags: Mapping[str, str], found: tuple[str | None, float]) -> None:
    assert rollout_of(ModelVersion(MODEL, 2, "r", tags)) == found


@pytest.mark.parametrize("share", ["5", "-0.1", "half", "nan"])
def test_a_share_that_makes_no_sense_is_told(share: str) -> None:
    with pytest.raises(CannotServe, match="write a share from 0 to 1"):
        rollout_of(ModelVersion(MODEL, 2, "r", {"rollout_state": "canary", "rollout_share": share}))


@pytest.fixture
def client(home: Home) -> Iterator[TestClient]:
    with TestClient(build(Platform.of(home), keys=Keys(), limits=Limits())) as made:
        yield made


def rollout(home: Home, client: TestClient, **tags: str) -> None:
    registry = Registry(home=str(home.root))
    registry.tag(MODEL, 2, tags)
    registry.alias(MODEL, "candidate", 2)
    assert client.post("/admin/reload").status_code == 200


def ask(client: TestClient, count: int) -> pd.DataFrame:
    keys = {"flight_id": None, "carrier": "UA", "origin": "EWR", "route": "EWR-IAH", "tailnum": None, "dest": "IAH"}
    rows = [
        {"entities": {**keys, "flight_id": f"f{n}"}, "features": features(n), "event_timestamp": EVENT.isoformat()}
        for n in range(count)
    ]
    answer = client.post(f"/predict/{MODEL}", json={"rows": rows})
    assert answer.status_code == 200, answer.json()
    return pd.DataFrame(answer.json()["predictions"])


def test_a_shadow_scores_and_never_answers(home: Home, client: TestClient) -> None:
    rollout(home, client, rollout_state="shadow")
    answers = ask(client, 20)
    assert answers["arm"].unique().tolist() == ["champion"]
    client.__exit__(None, None, None)
    platform, model = Platform.of(home), Platform.of(home).models()[MODEL]
    day = EVENT.astimezone(model.zone).date()
    span = (day, day.replace(day=day.day + 1))
    shadow = read_scores(platform, model, *span, arm="shadow").sort_values("flight_id")
    expected = Registry(home=str(home.root)).load(MODEL, 2).predict(pd.DataFrame([features(n) for n in range(20)]))
    scores = dict(zip([f"f{n}" for n in range(20)], expected.astype(float), strict=True))
    assert dict(zip(shadow["flight_id"], shadow["score"], strict=True)) == scores
    assert shadow["model_version"].unique().tolist() == [2]
    assert len(read_scores(platform, model, *span)) == 20


def test_a_canary_answers_for_its_share(home: Home, client: TestClient) -> None:
    rollout(home, client, rollout_state="canary", rollout_share="0.5")
    answers = ask(client, 40)
    assert set(answers["arm"]) == {"champion", "canary"}
    assert (answers["model_version"] == answers["arm"].map({"champion": 1, "canary": 2})).all()
    registry = Registry(home=str(home.root))
    rows = pd.DataFrame([features(n) for n in range(40)])
    both = {arm: registry.load(MODEL, number).predict(rows) for arm, number in (("champion", 1), ("canary", 2))}
    assert answers["score"].tolist() == [float(both[arm][n]) for n, arm in enumerate(answers["arm"])]
    rollout(home, client, rollout_share="7")
    assert set(ask(client, 40)["arm"]) == {"champion"}
    assert "write a share" in client.get("/readyz").json()["parts"][f"{MODEL}@candidate"]["why"]
    # A candidate that is withdrawn is no part of the service any more.
    registry.client.delete_registered_model_alias(MODEL, "candidate")
    client.post("/admin/reload")
    ready = client.get("/readyz").json()
    assert (ready["status"], f"{MODEL}@candidate" in ready["parts"]) == ("ready", False)


# --- the log -----------------------------------------------------------------------------------------------


def spooled(folder: Path, arms: Arms, rows: list[LoggedRow], scores: list[float], ids: list[str]) -> None:
    """Answers written down by a process that has ended."""
    spool = Spool(folder)
    spool.declare(MODEL, record_types(arms))
    answers = [
        Answer(id=i, score=s, scores=(), arm=arms.champion, event_time=EVENT, feature_times={}, values=r.features)
        for r, s, i in zip(rows, scores, ids, strict=True)
    ]
    spool.append(MODEL, b"".join(line(record(arms, r, a)) for r, a in zip(rows, answers, strict=True)))
    spool.close()


def killed(segment: Path) -> None:
    raise KeyboardInterrupt


def move(folder: Path, lake: Lake) -> tuple[int, list[Path]]:
    return into_lake.move(folder, lake.folder("predictions"), ONLINE)


def test_each_record_is_in_the_lake_once(tmp_path: Path, arms: Arms, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, folder = Platform.of(Home(tmp_path)).lake, tmp_path / "spool"
    row = LoggedRow(features=features())
    spooled(folder, arms, [row], [0.1], ["a"])
    # A kill between the file in the lake and the end of the spooled ones: two of the next round's three were moved.
    spooled(folder, arms, [row], [0.2], ["b"])
    with monkeypatch.context() as patched:
        patched.setattr(into_lake, "_forget", killed)
        with pytest.raises(KeyboardInterrupt):
            move(folder, lake)
    spooled(folder, arms, [row], [0.3], ["c"])
    (*_, segment) = closed_segments(folder)[MODEL]
    with segment.open("ab") as file:
        file.write(b'{"prediction_id": "never answ')
    assert move(folder, lake) == (1, [])
    assert move(folder, lake) == (0, [])
    kept = lake.read("predictions", MODEL, name="online", order_by=["prediction_id"])
    assert kept[["prediction_id", "score"]].to_numpy().tolist() == [["a", 0.1], ["b", 0.2], ["c", 0.3]]
    assert kept["feat_flight__distance_miles"].tolist() == [row.features["feat_flight__distance_miles"]] * 3
    assert list(folder.glob("*/*")) == []


def test_a_file_that_cannot_be_read_does_not_hold_up_the_others(tmp_path: Path, arms: Arms) -> None:
    lake, folder = Platform.of(Home(tmp_path)).lake, tmp_path / "spool"
    spooled(folder, arms, [LoggedRow(features=features())], [0.1], ["a"])
    (segment,) = closed_segments(folder)[MODEL]
    segment.write_bytes(segment.read_bytes().replace(b'"score":0.1', b'"score":"x"'))
    spooled(folder, arms, [LoggedRow(features=features())], [0.2], ["b"])
    moved, refused = move(folder, lake)
    assert (moved, [path.suffix for path in refused]) == (1, [".refused"])
    assert lake.read("predictions", MODEL, name="online")["prediction_id"].tolist() == ["b"]


def test_a_mover_that_is_killed_is_started_anew(tmp_path: Path, arms: Arms) -> None:
    lake, folder = Platform.of(Home(tmp_path)).lake, tmp_path / "spool"
    mover = Mover(folder, lake.folder("predictions"), ONLINE)
    spooled(folder, arms, [LoggedRow(features=features())], [0.1], ["a"])
    assert mover.move() == Moved(1)
    process = mover._process
    assert process is not None
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == LOW_PRIORITY
    spooled(folder, arms, [LoggedRow(features=features())], [0.2], ["b"])
    process.kill()
    process.wait()
    assert mover.move() == Moved(1)
    segment = folder / MODEL / "0.jsonl"
    segment.write_text('{"score": "x"}\n')
    types_file(segment).write_text('{"score": "DOUBLE"}')
    assert mover.move() == Moved(0, (str(segment.with_suffix(".refused")),))
    shutil.rmtree(folder)
    folder.write_text("no folder")
    with pytest.raises(NotMoved, match="File exists"):
        mover.move()
    mover.stop()
    assert sorted(lake.read("predictions", MODEL, name=ONLINE)["prediction_id"]) == ["a", "b"]


def test_a_log_of_more_models_than_there_may_be_files_is_whole(
    tmp_path: Path, arms: Arms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.serving.log.spool.most_open", lambda: 2)
    spool, names = Spool(tmp_path / "spool"), [f"m{number}" for number in range(5)]
    for name in names * 2:
        spool.declare(name, record_types(arms))
        spool.append(name, line({"prediction_id": name}))
    assert len(spool._open) == 2
    spool.close()
    assert {name: len(files) for name, files in closed_segments(spool.folder).items()} == dict.fromkeys(names, 2)


def test_files_in_use_are_left_alone(tmp_path: Path, arms: Arms) -> None:
    spool = Spool(tmp_path / "spool")
    spool.declare(MODEL, record_types(arms))
    spool.append(MODEL, line({"prediction_id": "a"}))
    assert closed_segments(spool.folder) == {}
    spool.rotate()
    assert len(closed_segments(spool.folder)[MODEL]) == 1


def test_online_wins_over_the_batch_and_the_newest_over_the_older(tmp_path: Path, arms: Arms) -> None:
    platform = Platform.of(Home(tmp_path))
    model = platform.models()[MODEL]
    keys = [{**dict.fromkeys(arms.contract.keys), "flight_id": name} for name in ("both", "batch")]
    told = {EVENT_TIME: EVENT, "score": 0.5, "model_version": 1, "outcome": "landed"}
    batch = pd.DataFrame([{**key, **told} for key in keys])
    day = EVENT.astimezone(model.zone).date()
    platform.lake.write(batch, platform.lake.file("predictions", MODEL, partition=day, name="batch"))
    span = (day, day.replace(day=day.day + 1))
    before = read_scores(platform, model, *span)
    assert before["score"].tolist() == [0.5, 0.5]
    for index, score in enumerate((0.1, 0.2)):
        spooled(tmp_path / "spool", arms, [LoggedRow(keys[0]), LoggedRow()], [score, 0.9], [f"a{index}", f"b{index}"])
        move(tmp_path / "spool", platform.lake)
    after = read_scores(platform, model, *span)
    assert dict(zip(after["flight_id"], after["score"], strict=True)) == {"both": 0.2, "batch": 0.5}
    assert after["outcome"].tolist() == ["landed", "landed"]
    assert list(after.columns) == list(before.columns)
    assert predicted_days(platform.lake, MODEL) == [day]
