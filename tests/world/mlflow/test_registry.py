"""The registry on real SQLite stores: versions, hashes, aliases, and promotions that are killed half-way."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from mlops_assets.core.models.families import family_called
from mlops_assets.core.models.matrix import WrongColumns
from mlops_assets.core.models.training import FeatureColumn, Model, Recipe, fit
from mlops_assets.world.home import Home
from mlops_assets.world.mlflow import registry as registry_module
from mlops_assets.world.mlflow import versions
from mlops_assets.world.mlflow.logged_models import discard_unregistered
from mlops_assets.world.mlflow.registry import ModelDamaged, NoSuchVersion, Registry
from mlops_assets.world.mlflow.store import MlflowUnavailable, artifact_location, open_client

COLUMNS = (
    FeatureColumn("x"),
    FeatureColumn("n"),
    FeatureColumn("c", "categorical"),
    FeatureColumn("b", "boolean"),
)


def rows(count=600, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.normal(size=count),
            "n": rng.integers(0, 50, count),
            "c": rng.choice(["JFK", "LGA", "EWR"], count),
            "b": rng.random(count) < 0.5,
        }
    )


@pytest.fixture(scope="module")
def models() -> list[Model]:
    frame = rows()
    y = ((frame.x + (frame.c == "JFK")) > 0.3).astype(int)
    params = {"objective": "binary:logistic", "max_depth": 3}
    return [fit(Recipe("xgboost", "binary", params, 5 + k, COLUMNS, seed=k), frame, y) for k in range(4)]


@pytest.fixture(autouse=True)
def empty_cache():
    registry_module._cache.clear()


@pytest.fixture
def registry(home):
    return Registry(home=str(home.root))


@pytest.fixture
def run_id(registry, home):
    uri = home.mlflow_uri
    return registry.client.create_run(
        registry.client.create_experiment("flights", artifact_location=artifact_location(home, uri, "flights"))
    ).info.run_id


def promote(registry, version, decision):
    return registry.promote("late", version, decision_id=decision, reason=f"because of {decision}")


def test_a_registered_model_comes_back_byte_for_byte_with_its_tags(registry, run_id, models):
    made = registry.register("late", models[0], run_id=run_id, tags={"training_set": "abc", "roc_auc": 0.7})
    assert (made.version, made.run_id, made.sha256) == (1, run_id, models[0].sha256)
    assert made.tags["training_set"] == "abc"
    assert made.tags["roc_auc"] == "0.7"
    assert made.tags["seed"] == "0"
    loaded = registry.load("late", 1)
    assert loaded.to_bytes() == models[0].to_bytes()
    assert loaded.recipe == models[0].recipe


def by_client(registry, version):
    """The same through MLflow's own client."""
    client = registry.client
    by_number = isinstance(version, int)
    found = (client.get_model_version if by_number else client.get_model_version_by_alias)("late", str(version))
    return versions.version_of(found, client.get_registered_model("late").aliases)


def test_what_is_read_from_the_file_is_what_mlflow_says(registry, run_id, models):
    assert registry.find("late", 1) is None
    for model in models[:3]:
        registry.register("late", model, run_id=run_id, tags={"note": 'ü\'s "x"', "empty": ""})
    promote(registry, 1, "d1")
    promote(registry, 2, "d2")
    registry.alias("late", "challenger", 3)
    for version in (1, 2, 3, "champion", "previous", "challenger"):
        assert registry.find("late", version) == by_client(registry, version)
    assert registry.versions("late") == [by_client(registry, number) for number in (3, 2, 1)]
    stored = registry.client.search_registered_models()
    assert registry.aliases() == {each.name: {a: int(of) for a, of in each.aliases.items()} for each in stored}
    registry.alias("late", "challenger", None)
    registry.client.delete_model_version("late", "3")
    assert [version.version for version in registry.versions("late")] == [2, 1]
    assert registry.versions("nobody") == []
    assert [registry.find("late", gone) for gone in (3, "challenger", 99, "nobody")] == [None] * 4
    assert registry.find("early", "champion") is None


def logged(registry, run_id):
    experiment = registry.client.get_run(run_id).info.experiment_id
    return {model.model_id: model for model in registry.client.search_logged_models([experiment])}


def dying(monkeypatch, method):
    """The registry dies at this call, once."""

    def killed(*_, **__):
        monkeypatch.undo()
        raise SystemExit("killed")

    monkeypatch.setattr(MlflowClient, method, killed)


def test_a_version_is_queried_once_until_something_is_written(registry, run_id, models, monkeypatch):
    """Whatever is written in MLflow's client, in the same tick of the system's clock too, is there at once."""
    queried = []
    query = versions._queried
    monkeypatch.setattr(versions, "_queried", lambda *of: (queried.append(of), query(*of))[1])
    registry.register("late", models[0], run_id=run_id)
    registry.register("late", models[1], run_id=run_id)
    for number in range(20):
        of = 1 + number % 2
        registry.client.set_registered_model_alias("late", "champion", str(of))
        queried.clear()
        assert [registry.champion("late").version for _ in range(3)] == [of] * 3
        assert len(queried) == 1
        registry.client.set_model_version_tag("late", str(of), "number", str(number))
        assert registry.champion("late").tags["number"] == str(number)


def test_a_store_with_a_write_ahead_log_is_queried_each_time(registry, run_id, models, home, monkeypatch):
    registry.register("late", models[0], run_id=run_id)
    with closing(sqlite3.connect(home.mlflow / "mlflow.db")) as connection:
        assert connection.execute("pragma journal_mode = wal").fetchone() == ("wal",)
        connection.execute("insert into registered_model_aliases (name, alias, version) values ('late', 'champion', 1)")
        connection.commit()
        assert registry.champion("late").version == 1
        connection.execute("delete from registered_model_aliases")
        connection.commit()
        assert registry.champion("late") is None


@pytest.mark.parametrize(("at", "is_adopted"), [("log_model_artifacts", False), ("create_model_version", True)])
def test_a_kill_between_logging_and_registering_leaves_no_file_for_ever(
    registry, run_id, models, home, monkeypatch, at, is_adopted
):
    dying(monkeypatch, at)
    with pytest.raises(SystemExit):
        registry.register("late", models[0], run_id=run_id)
    (left,) = logged(registry, run_id)
    made = registry.register("late", models[0], run_id=run_id)
    assert (left in made.source) is is_adopted, "what was complete is used"
    assert registry.load("late", 1).sha256 == models[0].sha256
    discarded = discard_unregistered(registry.client, run_id)
    assert discarded == ([] if is_adopted else [left])
    assert [model.artifact_location for model in logged(registry, run_id).values()] == [made.source]
    assert discard_unregistered(registry.client, run_id) == []
    assert [path.parts[-3] for path in home.mlflow.rglob("MLmodel")] == [made.source.split("/")[-2]]
    registry.verify("late", 1)


def test_stock_mlflow_loads_the_champion_and_scores_texts(registry, run_id, models, home):
    import mlflow

    frame = rows(50, seed=1)
    registry.register("late", models[0], run_id=run_id, signature_frame=rows(), tags={})
    promote(registry, 1, "d1")
    mlflow.set_tracking_uri(home.mlflow_uri)
    try:
        stock = mlflow.pyfunc.load_model("models:/late@champion")
        native = mlflow.xgboost.load_model("models:/late@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert np.array_equal(stock.predict(frame), models[0].predict(frame))
    assert native.num_boosted_rounds() == models[0].recipe.rounds
    types = {column["name"]: column["type"] for column in stock.metadata.signature.inputs.to_dict()}
    assert types == {"x": "any", "n": "any", "c": "string", "b": "any"}
    assert stock.metadata.metadata["feature_kinds"] == {column.name: column.kind for column in COLUMNS}
    forms = {
        "integers where there were fractions": frame.assign(x=np.arange(50)),
        "gaps": frame.mask(np.random.default_rng(2).random(frame.shape) < 0.3),
        "nullable integers with gaps": frame.assign(n=frame["n"].astype("Int64").mask(frame["n"] > 20)),
        "flags with gaps": frame.assign(b=frame["b"].astype(object).where(frame["x"] > 0, None)),
        "flags as pandas' own with gaps": frame.assign(b=frame["b"].astype("boolean").mask(frame["x"] > 0)),
        "flags as Arrow's with gaps": frame.assign(b=frame["b"].astype("bool[pyarrow]").mask(frame["x"] > 0)),
        "flags as numbers with gaps": frame.assign(b=frame["b"].astype(float).mask(frame["x"] > 0)),
        "flags as whole numbers": frame.assign(b=frame["b"].astype(int)),
        "flags as text": frame.assign(b=frame["b"].astype(str)),
        "small types": frame.astype({"x": "float32", "n": "int8", "c": "string"}),
        "nothing known": frame.head(3).assign(x=None, n=np.nan, c=None, b=None),
    }
    for name, form in forms.items():
        assert np.array_equal(stock.predict(form), models[0].predict(form)), name
        assert np.isfinite(stock.predict(form)).all(), name
    plain = models[0].predict(frame)
    assert np.array_equal(stock.predict(forms["flags as text"]), plain)
    with pytest.raises(WrongColumns, match=r"column 'x' holds .*, for example 'much', where a number is expected"):
        stock.predict(frame.assign(x="much"))


@pytest.mark.parametrize("family", ["random_forest", "linear", "sgd", "river"])
def test_stock_mlflow_loads_every_family(registry, run_id, home, family):
    import mlflow

    kind, frame = family_called(family), rows()
    y = ((frame.x + (frame.c == "JFK")) > 0.3).astype(int).to_numpy()
    recipe = Recipe(family, "binary", {**kind.defaults, **kind.fixed("binary", "roc_auc", y)}, 1, COLUMNS)
    model = fit(recipe, frame, y)
    made = registry.register("late", model, run_id=run_id, signature_frame=frame)
    promote(registry, 1, "d1")
    assert registry.load("late").to_bytes() == model.to_bytes()
    assert made.tags["family"] == family
    mlflow.set_tracking_uri(home.mlflow_uri)
    try:
        stock = mlflow.pyfunc.load_model("models:/late@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert np.array_equal(stock.predict(frame), model.predict(frame))
    names = {path.name for path in Path(made.source.removeprefix("file://")).rglob("*") if path.is_file()}
    # The last one is written by loading.
    own = {"MLmodel", f"model.{kind.ending}", "conda.yaml", "python_env.yaml", "requirements.txt"}
    assert names == {*own, "registered_model_meta"}


def test_what_is_stored_holds_no_pickle(registry, run_id, models):
    made = registry.register("late", models[0], run_id=run_id, signature_frame=rows())
    folder = Path(made.source.removeprefix("file://"))
    names = {path.name for path in folder.rglob("*") if path.is_file()}
    assert names == {"MLmodel", "model.ubj", "conda.yaml", "python_env.yaml", "requirements.txt"}


def test_another_store_being_the_global_one_changes_nothing(registry, run_id, models, tmp_path, home):
    import mlflow

    registry = Registry(home=str(home.root), tracking_uri=home.mlflow_uri)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    try:
        registry.register("late", models[0], run_id=run_id, signature_frame=rows())
        promote(registry, 1, "d1")
        assert registry.load("late").sha256 == models[0].sha256
    finally:
        mlflow.set_tracking_uri(None)
    assert not (tmp_path / "elsewhere.db").exists()


def test_the_same_model_of_the_same_run_is_one_version(registry, run_id, models):
    first = registry.register("late", models[0], run_id=run_id)
    again = registry.register("late", models[0], run_id=run_id, tags={"note": "retried step"})
    assert again.version == first.version == 1
    assert again.tags["note"] == "retried step"
    assert registry.register("late", models[1], run_id=run_id).version == 2


def test_three_promotions_keep_the_last_three_versions_loadable(registry, run_id, models):
    for number, model in enumerate(models[:3], start=1):
        registry.register("late", model, run_id=run_id)
        promote(registry, number, f"d{number}")
    assert registry.champion("late").version == 3
    assert registry.previous("late").version == 2
    newest = registry.versions("late")
    assert [entry.version for entry in newest] == [3, 2, 1]
    assert [entry.aliases for entry in newest] == [("champion",), ("previous",), ()]
    for entry, model in zip(newest, models[2::-1], strict=True):
        assert registry.load("late", entry.version).sha256 == model.sha256
    assert newest[0].tags["decision"] == "d3"
    assert newest[0].tags["reason"] == "because of d3"
    assert newest[1].tags["replaced_by"] == "3"


def test_nothing_is_promoted_yet(registry, run_id, models):
    assert registry.champion("late") is None
    assert registry.versions("late") == []
    registry.register("late", models[0], run_id=run_id)
    assert registry.champion("late") is None
    assert registry.previous("late") is None
    with pytest.raises(NoSuchVersion, match="materializing late/champion"):
        registry.load("late")
    with pytest.raises(NoSuchVersion):
        promote(registry, 7, "d1")


def test_a_second_promotion_of_the_champion_changes_nothing(registry, run_id, models):
    for number, model in enumerate(models[:2], start=1):
        registry.register("late", model, run_id=run_id)
        promote(registry, number, f"d{number}")
    before = registry.versions("late")
    promote(registry, 2, "d2")
    assert registry.versions("late") == before
    assert registry.previous("late").version == 1


@pytest.mark.parametrize("killed_at", range(1, 8))
def test_killed_anywhere_and_called_again_gives_the_same(registry, run_id, models, monkeypatch, killed_at):
    for model in models[:3]:
        registry.register("late", model, run_id=run_id)
    promote(registry, 1, "d1")
    promote(registry, 2, "d2")

    class Killed(BaseException):
        """Stands for SIGKILL: nothing of the platform may catch it."""

    writes = 0
    client = registry.client

    def dying(write):
        def call(*args, **kwargs):
            nonlocal writes
            writes += 1
            if writes == killed_at:
                raise Killed
            return write(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("set_registered_model_alias", "set_model_version_tag"):
            patch.setattr(client, name, dying(getattr(client, name)))
        try:
            promote(registry, 3, "d3")
        except Killed:
            assert registry.load("late").sha256 in {models[1].sha256, models[2].sha256}
    promote(registry, 3, "d3")
    champion, previous = registry.champion("late"), registry.previous("late")
    assert (champion.version, previous.version) == (3, 2)
    assert champion.tags["decision"] == "d3"
    assert "promoted_at" in champion.tags
    assert previous.tags["replaced_by"] == "3"
    assert registry.version("late", 1).tags["replaced_by"] == "2"


def test_going_back_is_a_promotion_of_previous(registry, run_id, models):
    for number, model in enumerate(models[:2], start=1):
        registry.register("late", model, run_id=run_id)
        promote(registry, number, f"d{number}")
    back = promote(registry, registry.previous("late").version, "d3")
    assert (back.version, registry.previous("late").version) == (1, 2)
    assert back.tags["decision"] == "d3"


def test_a_changed_file_is_refused_and_moves_nothing(registry, run_id, models):
    for model in models[:2]:
        made = registry.register("late", model, run_id=run_id)
    promote(registry, 1, "d1")
    file = Path(made.source.removeprefix("file://")) / "model.ubj"
    file.write_bytes(models[2].to_bytes())
    with pytest.raises(ModelDamaged, match="restore it from a backup"):
        promote(registry, 2, "d2")
    file.unlink()
    with pytest.raises(ModelDamaged, match="is gone"):
        registry.load("late", 2)
    assert registry.champion("late").version == 1


def test_a_loaded_model_is_read_once(registry, run_id, models):
    made = registry.register("late", models[0], run_id=run_id)
    first = registry.load("late", 1)
    (Path(made.source.removeprefix("file://")) / "model.ubj").unlink()
    assert registry.load("late", "1") is first


def test_only_promote_moves_champion_and_previous(registry, run_id, models):
    registry.register("late", models[0], run_id=run_id)
    registry.alias("late", "challenger", 1)
    assert registry.find("late", "challenger").version == 1
    registry.alias("late", "challenger", None)
    assert registry.find("late", "challenger") is None
    with pytest.raises(ValueError, match="promote"):
        registry.alias("late", "champion", 1)


def test_a_lost_database_is_an_error_and_not_an_empty_one(registry, run_id, models, home):
    registry.register("late", models[0], run_id=run_id)
    database = home.mlflow / "mlflow.db"
    database.rename(home.root / "backup.db")
    with pytest.raises(MlflowUnavailable, match="Restore the file from a backup"):
        registry.champion("late")
    assert not database.exists()


def test_a_damaged_database_and_a_silent_server_are_named(home, tmp_path):
    (tmp_path / "damaged.db").write_text("no database")
    with pytest.raises(MlflowUnavailable, match="cannot be read"):
        open_client(home, f"sqlite:///{tmp_path / 'damaged.db'}")
    with pytest.raises(MlflowUnavailable, match="Start it, or correct MLFLOW_TRACKING_URI"):
        open_client(home, "http://127.0.0.1:9")


def test_the_recipe_travels_in_the_one_file(registry, run_id, models):
    made = registry.register("late", models[0], run_id=run_id)
    content = (Path(made.source.removeprefix("file://")) / "model.ubj").read_bytes()
    assert json.loads(Model.from_bytes(content).recipe.to_json())["columns"][2] == ["c", "categorical"]


def test_each_new_store_says_where_its_own_home_is(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    homes = [Home(tmp_path / name) for name in ("first", "second")]
    stores = [open_client(home, home.mlflow_uri) for home in homes]
    stores[0].create_experiment("only here")
    for home, store in zip(homes, stores, strict=True):
        (default,) = [known for known in store.search_experiments() if known.name == "Default"]
        assert default.artifact_location == (home.mlflow / "artifacts" / "default").as_uri()
        assert time.time() - default.creation_time / 1_000 < 60
    assert len(stores[1].search_experiments()) == 1
