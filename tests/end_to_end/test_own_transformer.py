"""A model behind a transformer of the user's, from the file to production: trained, judged, served, made again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PowerTransformer, StandardScaler

from mlops_assets.core.models.families.skops_file import with_entries
from mlops_assets.core.record.entries import Decision, only
from mlops_assets.serving.engine.arms import verified
from mlops_assets.simulate.engine import RunFailed
from mlops_assets.steps.decide.probe import probe
from mlops_assets.steps.keep.doctor import examine
from mlops_assets.steps.predict.predictions import SCORE, read_scores
from mlops_assets.steps.promote.golden import golden_rules, write_golden
from mlops_assets.steps.promote.reproduction import LIBRARIES, reproduce
from tests.real_slice import COLD_START, WEEKS, World

MODEL = "flight_delay"
NAMED = "scaled.skops"
QUICK = {"rows": 2_000, "rounds": 10, "refits": ("expanding", "4")}


def write(world: World, transformer: Any) -> Path:
    file = world.home.root / "pipelines" / NAMED
    file.parent.mkdir(exist_ok=True)
    skops.io.dump(transformer, file)
    return file


def usual(world: World) -> ColumnTransformer:
    """Components of the numbers, a column a category."""
    columns = world.platform.data(world.model).columns
    numbers = [column.name for column in columns if column.kind != "categorical"]
    texts = [column.name for column in columns if column.kind == "categorical"]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False, max_categories=20)
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler(), PCA(0.95)), numbers),
            ("texts", one_hot, texts),
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["xgboost", "linear"])
def test_it_goes_with_the_model_wherever_that_goes(new_world: Callable[..., World], family: str) -> None:
    world = new_world(training={"families": [family], "pipeline": NAMED, "max_rounds": 15})
    file = write(world, usual(world))
    world.at(COLD_START)
    world.tick()
    assert world.aliases() == {"champion": 1}
    registry, platform = world.platform.registry, world.platform
    champion = registry.load(MODEL, 1)
    assert champion.recipe.transformer is not None
    # Batch, monitors, and the probe, whose refits follow the champion's recipe.
    for first, end in pairwise(WEEKS):
        world.at(end)
        world.watch(first, end)
    looked = probe(platform, world.model.model_copy(update={"probe": replace(world.model.probe, **QUICK)}))
    assert looked is not None
    # Nobody needs the file any more.
    file.unlink()
    rows = read_scores(platform, world.model, WEEKS[0], WEEKS[-1])
    assert len(rows) > 1_000
    assert np.array_equal(champion.predict(rows), rows[SCORE].to_numpy(dtype=np.float32))
    # Online: one by one as together, bit by bit.
    assert verified(champion, "models:/flight_delay/1").model is champion
    # Explanations name features, and not components.
    assert set(champion.contributions(rows.head(3)).columns) == {*champion.recipe.names, "bias"}
    # Golden rows, and stock MLflow.
    write_golden(platform, world.model, rows=6, expires=date(2014, 1, 1))
    held = world.with_settings(gate={"golden_set": "flight_delay.csv"})
    (rule,) = golden_rules(held.platform, held.model, champion, date(2013, 3, 1))
    assert rule.passed
    import mlflow

    mlflow.set_tracking_uri(registry.client.tracking_uri)
    stock = mlflow.pyfunc.load_model(f"models:/{MODEL}@champion")
    some = rows[list(champion.recipe.names)].head(50)
    assert np.array_equal(stock.predict(some), champion.predict(some))
    # Made again.
    assert '"scikit-learn"' in registry.version(MODEL, 1).tags[LIBRARIES]
    again = reproduce(platform, world.model, 1)
    assert (again.agrees, again.refitted) == (True, champion.sha256)


def test_a_file_that_is_not_there_or_holds_a_model_is_refused_before_a_join(drifting: World) -> None:
    world = drifting.with_settings(training={"pipeline": NAMED})
    job = dg.RunRequest(job_name="retrain")
    with pytest.raises(RunFailed, match=r"training_set: .*names scaled.skops, which is neither .*skops.io.dump"):
        world.engine.execute(job)
    write(world, make_pipeline(StandardScaler(), LogisticRegression()))
    with pytest.raises(RunFailed, match=r"LogisticRegression, which is not a transformer: leave the model out"):
        world.engine.execute(job)
    # What only the rows can say is said of the file, too, and before the search.
    (name, *_) = [column.name for column in world.platform.data(world.model).columns if column.kind == "numeric"]
    file = write(
        world, ColumnTransformer([("n", make_pipeline(SimpleImputer(), PowerTransformer(method="box-cox")), [name])])
    )
    with pytest.raises(
        RunFailed, match=rf"Cannot train: {re.escape(str(file))}: the transformer of .*strictly positive"
    ):
        world.engine.execute(job)
    assert world.aliases() == {"champion": 1}
    (request,) = world.engine.requests(world.sensor)[0]
    assert only(world.platform.ledger.entries(MODEL), Decision)[-1].id == request.tags["mlops/decision"]


def documented(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the code of docs/training.md writes, typed in as it stands."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"(?s)```python\n(import skops.io.*?)```", page)
    (place := folder / "mlops_assets" / "defs" / MODEL).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        exec(code, {})
    return skops.io.load(place / NAMED)


def test_the_doctor_says_what_a_training_would_refuse(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = world.with_settings(training={"families": ["linear"], "pipeline": NAMED}).model
    monkeypatch.setattr(type(world.platform), "models", lambda _: {MODEL: asking})

    def broken(transformer: Any) -> list[tuple[str, str]]:
        file = write(world, transformer)
        findings = [f for f in examine(world.home, [MODEL]) if f.about == MODEL and f.state == "broken"]
        assert all(str(file) in finding.what for finding in findings)
        return [(finding.what.partition(": ")[2], finding.fix) for finding in findings]

    assert broken(usual(world)) == []
    assert broken(documented(tmp_path, monkeypatch)) == []
    ((what, fix),) = broken(make_pipeline(SimpleImputer(), StandardScaler()))
    assert what.startswith("the transformer of training.pipeline cannot be fitted (Cannot use mean strategy")
    assert fix.startswith("Correct it, or the features that it names; there are feat_")
    lacks = ColumnTransformer([("one", StandardScaler(), ["feat_flight__gone"])])
    assert (
        "cannot be fitted (Some column names are not columns of the dataframe: {'feat_flight__gone'})"
        in broken(lacks)[0][0]
    )
    strict = ColumnTransformer([("texts", OneHotEncoder(), ["feat_flight__flight_carrier"])])
    assert "takes no row in which everything is missing" in broken(strict)[0][0]


def test_the_doctor_names_a_transformer_that_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = world.with_settings(training={"pipeline": NAMED}).model
    monkeypatch.setattr(type(world.platform), "models", lambda _: {MODEL: asking})
    found = [finding.what for finding in examine(world.home) if finding.about == MODEL and finding.state == "broken"]
    assert any("training.pipeline of flight_delay names scaled.skops" in what for what in found), found
    file = write(world, StandardScaler())
    file.write_bytes(with_entries(file.read_bytes(), {"schema.json": "{"}))
    (broken,) = [finding for finding in examine(world.home) if finding.about == MODEL and finding.state == "broken"]
    assert f"{file} is not a file of skops" in broken.what
    assert broken.fix == f"Write {file} anew."
