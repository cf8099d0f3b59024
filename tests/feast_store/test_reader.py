"""The reader gives what Feast's own client gives, with the event time of what it found."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

from mlops_assets.feast_store.materialize import materialize_latest
from mlops_assets.feast_store.reader import OnlineReader

ROWS = [(1, 0, 0, 0.1, 10), (1, 2, 2, 0.2, 20), (2, 1, 1, 0.4, 40), (3, 9, 9, 0.6, 60), (4, 3, 3, None, None)]
COLUMNS = ("stats__rate", "stats__trips")


def theirs(store: Any, keys: list[Any]) -> list[dict[str, Any]]:
    found = store.get_online_features(
        ["stats:rate", "stats:trips"], {"driver_id": keys}, full_feature_names=True
    ).to_dict()
    return [{name: found[name][row] for name in COLUMNS} for row in range(len(keys))]


def test_present_too_old_unknown_and_empty(repo):
    (repo.directory / "clock.json").write_text(json.dumps({"now": repo.hours(5).isoformat()}))
    store = repo.store(repo.view(repo.stats(ROWS), ttl=timedelta(hours=3)), online={"clock_file": "clock.json"})
    materialize_latest(store, ["stats"], None, repo.hours(5))
    keys = [1, 2, 3, 4, 99, 1]
    found = OnlineReader(store).read("stats", COLUMNS, {"driver_id": keys, "other": keys})
    assert [values for _, values in found] == theirs(store, keys)
    assert [moment for moment, _ in found] == [repo.hours(2), None, None, None, None, repo.hours(2)]


def test_keys_of_several_types_and_every_type_of_value(repo):
    scalars = {"i": Int64, "j": Int32, "f": Float64, "g": Float32, "s": String, "b": Bool, "t": UnixTimestamp}
    types = {**scalars, "a": Array(Int64)}
    when = pd.Timestamp(repo.hours(1))
    frame = pd.DataFrame(
        {
            "place": ["x", "y"], "number": [7, 8], "event_timestamp": [when, when], "i": [1, 2], "j": [3, 4],
            "f": [0.5, 0.1], "g": [0.25, 0.5], "s": ["é", ""],
            "b": [True, False], "t": [when, when], "a": [[1, 2], [3]],
        }
    )  # fmt: skip
    entities = [
        Entity(name="place", join_keys=["place"], value_type=ValueType.STRING),
        Entity(name="number", join_keys=["number"], value_type=ValueType.INT32),
    ]
    keys = [Field(name="place", dtype=String), Field(name="number", dtype=Int32)]
    view = FeatureView(
        name="kinds",
        entities=entities,
        schema=[*keys, *(Field(name=name, dtype=dtype) for name, dtype in types.items())],
        source=FileSource(path=repo.write(frame), timestamp_field="event_timestamp"),
        ttl=timedelta(0),
    )
    store = repo.store(*entities, view)
    store.write_to_online_store("kinds", frame.astype({"number": "int32", "j": "int32", "g": "float32"}))
    asked = {"place": ["x", "y", "x"], "number": [7, 8, 8]}
    expected = store.get_online_features([f"kinds:{name}" for name in types], asked).to_dict()
    found = OnlineReader(store).read("kinds", [f"kinds__{name}" for name in types], asked)
    for row, (_, values) in enumerate(found):
        assert values == {f"kinds__{name}": expected[name][row] for name in types}
    assert [moment for moment, _ in found] == [repo.hours(1), repo.hours(1), None]


def test_what_cannot_be_read_is_told(repo):
    reader = OnlineReader(repo.store(repo.view(repo.stats(ROWS))))
    with pytest.raises(ValueError, match="no feature view 'nobody'"):
        reader.read("nobody", ["nobody__x"], {"driver_id": [1]})
    with pytest.raises(ValueError, match="must be int"):
        reader.read("stats", COLUMNS, {"driver_id": ["one"]})
