"""Random identifiers with gaps through every way in: they come back digit by digit, or their row is refused.

Ways: CSV and Parquet files, a database, a stream, `new-model` and `land`, the lake, the offline and the online store,
the service's log. Numbers are drawn from a seeded generator, neighbours among them, so that one rounded digit makes two
of them one.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64, String

from mlops_assets.core.sources.settings import SourceSettings
from mlops_assets.core.sources.stream_rows import judge_messages
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.core.values.sql import quoted
from mlops_assets.feast_store.materialize import materialize_latest
from mlops_assets.onboarding.landing import land
from mlops_assets.onboarding.reading.table import read_table
from mlops_assets.onboarding.times import time_column
from mlops_assets.serving.log.into_lake import move
from mlops_assets.serving.log.records import line
from mlops_assets.serving.log.spool import Spool
from mlops_assets.steps.land.pull_sql import pull_sql
from mlops_assets.steps.land.stream_decoding import decode_json
from mlops_assets.steps.land.taking_in import take_in
from mlops_assets.world.home import Home
from mlops_assets.world.lake import Lake
from mlops_assets.world.landed.intake import Intake
from tests.feast_store.conftest import Repo
from tests.postgres import url

DAY = date(2024, 3, 1)
MIDNIGHT = datetime(2024, 3, 1, tzinfo=UTC)
ROWS = 120
SEEDS = range(3)
COLUMNS = {"small": "integer", "signed": "integer", "unsigned": "string", "decimal": "string", "text": "string"}
"""Columns of the table, and what the contract says of each."""

Ids = dict[str, list[Any]]


def drawn(seed: int) -> Ids:
    """Identifiers of each kind, one in five missing."""
    rng = np.random.default_rng(seed)

    def around(low: int, high: int) -> list[int]:
        base = int(rng.integers(0, 2**62)) * (high - low) // 2**62 + low
        return [min(base + int(n), high) for n in rng.permutation(ROWS)]

    whole = {
        "small": around(0, 10**6),
        "signed": around(-(2**63), 2**63 - 1),
        "unsigned": around(2**63, 2**64 - 1),
        "decimal": around(10**30, 10**38 - 1),
    }
    texts = [f"{int(n):0{int(rng.integers(3, 30))}d}" for n in rng.integers(0, 10**9, ROWS)]
    made: Ids = {**whole, "text": [*texts[:-1], "00042"]}
    return {name: [None if rng.random() < 0.2 else v for v in values] for name, values in made.items()}


def expected(ids: Ids) -> Ids:
    """As the lake holds them."""
    return {
        name: [v if v is None or kind == "integer" else str(v) for v in ids[name]] for name, kind in COLUMNS.items()
    }


def moments() -> list[datetime]:
    return [MIDNIGHT + timedelta(minutes=n) for n in range(ROWS)]


def arrow(ids: Ids, *, dictionary: bool = False) -> pa.Table:
    decimals = pa.array([None if v is None else Decimal(v) for v in ids["decimal"]], pa.decimal128(38, 0))
    columns = {
        "small": pa.array(ids["small"], pa.int32()),
        "signed": pa.array(ids["signed"], pa.int64()),
        "unsigned": pa.array(ids["unsigned"], pa.uint64()),
        "decimal": decimals,
        "text": pa.array(ids["text"], pa.large_string()),
    }
    if dictionary:
        columns = {name: column.dictionary_encode() for name, column in columns.items()}
    return pa.table({"at": pa.array(moments(), pa.timestamp("us", tz="UTC")), **columns})


def settings(**changes: Any) -> dict[str, Any]:
    columns = {name: {"type": kind, "max_null_share": 1.0} for name, kind in COLUMNS.items()}
    return {
        "name": "pay",
        "description": "One row per payment.",
        "event_time": "at",
        "start": "2024-03-01",
        "contract": {"columns": {"at": {"type": "timestamp"}, **columns}},
        **changes,
    }


def taken_in(home: Home) -> Ids:
    """What the lake has of the day after everything in the landing folder was taken in."""
    intake = Intake(lake=Lake(root=str(home.root)), source=SourceSettings.model_validate(settings()))
    outcome = take_in(intake, intake.pending())
    assert not outcome.bad, outcome.bad
    assert outcome.rows == {DAY.isoformat(): ROWS}
    frame = intake.lake.read("raw", "pay", order_by=["at"])
    return {name: [None if pd.isna(v) else v for v in frame[name].tolist()] for name in COLUMNS}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home").prepare()
    (home.landing / "pay").mkdir(parents=True)
    return home


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", ["arrow", "dictionary", "pandas", "csv"])
def test_files(home: Home, form: str, seed: int) -> None:
    ids, file = drawn(seed), home.landing / "pay" / f"pay_{DAY}"
    if form == "csv":
        frame = pd.DataFrame({"at": [at.isoformat() for at in moments()], **ids}, dtype=object)
        frame.to_csv(f"{file}.csv", index=False)
        source = {"files": "pay_{partition}.csv"}
    else:
        table = arrow(ids, dictionary=form == "dictionary")
        if form == "pandas":  # with its own notes of types and an index that is a column
            frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}.get)
            frame.set_index("text").to_parquet(f"{file}.parquet")
        else:
            pq.write_table(table, f"{file}.parquet")
        source = {}
    intake = Intake(lake=Lake(root=str(home.root)), source=SourceSettings.model_validate(settings(**source)))
    outcome = take_in(intake, intake.pending())
    assert not outcome.bad, outcome.bad
    frame = intake.lake.read("raw", "pay", order_by=["at"])
    assert {name: [None if pd.isna(v) else v for v in frame[name].tolist()] for name in COLUMNS} == expected(ids)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_a_database(home: Home, database: str, seed: int, request: pytest.FixtureRequest) -> None:
    ids = drawn(seed)
    if database == "sqlite":
        # Its numbers have 64 bits: the larger ones stand in it as text, as they would.
        address, kinds = f"sqlite:///{home.root / 'shop.db'}", ("numeric(38, 0)", "bigint", "text", "text")
    else:
        server = request.getfixturevalue("postgres")
        address = url(server, "feed").replace("postgresql://", "postgresql+psycopg2://")
        kinds = ("numeric(38, 0)", "bigint", "numeric(20, 0)", "numeric(38, 0)")
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        names = ", ".join(f"{quoted(n)} {kind}" for n, kind in zip(list(COLUMNS)[:4], kinds, strict=True))
        connection.exec_driver_sql("drop table if exists pay")
        connection.exec_driver_sql(f"create table pay (at timestamp, {names}, text text, serial bigint)")
        for n, at in enumerate(moments()):
            cells = [ids[name][n] for name in COLUMNS]
            row = [repr(v) if isinstance(v, str) else "null" if v is None else str(v) for v in cells]
            if database == "sqlite":
                row[2:4] = [v if v == "null" else f"'{v}'" for v in row[2:4]]
            moment = f"{at:%Y-%m-%d %H:%M:%S.%f}"
            connection.exec_driver_sql(f"insert into pay values ('{moment}', {', '.join(row)}, {n})")
    engine.dispose()
    pulled = settings(
        files="pay_{partition}.parquet", pull={"kind": "sql", "url_env": "X", "table": "pay", "watermark": "serial"}
    )
    pull_sql(home.landing / "pay", SourceSettings.model_validate(pulled), address, {})
    assert taken_in(home) == expected(ids)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream(seed: int) -> None:
    ids = drawn(seed)
    source = StreamSettings.model_validate(settings(stream={"topic": "pay"}))
    messages = [
        # One is absent, not null; one whole number is written as a fraction.
        {"at": at.isoformat(), **{c: ids[c][n] for c in COLUMNS if ids[c][n] is not None or n % 2}}
        for n, at in enumerate(moments())
    ]
    ids["small"][0] = messages[0]["small"] = 7
    encoded = [json.dumps(message).replace('"small": 7,', '"small": 7.0,') for message in messages]
    judged = judge_messages(source, [decode_json(text.encode()) for text in encoded], now=MIDNIGHT + timedelta(days=1))
    assert not judged.poison
    got = {name: [None if pd.isna(v) else v for v in judged.rows[name].tolist()] for name in COLUMNS}
    assert got == expected(ids)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_new_model_and_land(home: Home, form: str, seed: int) -> None:
    ids, file = drawn(seed), home.root / f"history.{form}"
    if form == "csv":
        # One fraction among long integers must not make floats of them.
        ids["signed"][-1] = "1.0"
        pd.DataFrame({"at": [at.isoformat() for at in moments()], **ids}, dtype=object).to_csv(file, index=False)
        ids["signed"][-1] = 1
    else:
        pq.write_table(arrow(ids), file)
    table = read_table(str(file))
    kinds = {name: table.facts[name].dtype for name in COLUMNS}
    assert kinds["small"] == "BIGINT"
    assert {kinds["unsigned"], kinds["decimal"], kinds["text"]} == {"VARCHAR"}
    for name, values in ids.items():
        assert table.facts[name].distinct == len({v for v in values if v is not None}), name
    source = SourceSettings.model_validate(settings())
    land(table, time_column(table, "at", "UTC"), source, home.landing)
    assert taken_in(home) == expected(ids)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_offline_and_the_online_store(tmp_path: Path, seed: int) -> None:
    """As features, beside missing ones, and as join keys; a feature declared bigint may stand as a decimal."""
    ids, repo = drawn(seed), Repo(tmp_path)
    known = [n for n in range(ROWS) if ids["signed"][n] is not None and ids["text"][n] is not None]
    keys = {"account": [ids["signed"][n] for n in known], "card": [f"{ids['text'][n]}-{n}" for n in known]}
    features = {
        "device": pa.array([ids["signed"][n] for n in known][::-1], pa.int64()).to_pylist(),
        "until": [ids["small"][n] for n in known],
        "serial": [ids["unsigned"][n] and str(ids["unsigned"][n]) for n in known],
    }
    features["device"][::3] = [None] * len(features["device"][::3])
    columns = {
        "device": pa.array([None if v is None else Decimal(v) for v in features["device"]], pa.decimal128(38, 0)),
        "until": pa.array(features["until"], pa.int32()),
        "serial": pa.array(features["serial"], pa.string()),
    }
    path = str(tmp_path / "seen.parquet")
    now = datetime.now(UTC).replace(microsecond=0)
    times = pa.array([now - timedelta(hours=1)] * len(known), pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table({**keys, "event_timestamp": times, "created": times, **columns}), path)
    entities = [
        Entity(name="account", join_keys=["account"], value_type=ValueType.INT64),
        Entity(name="card", join_keys=["card"], value_type=ValueType.STRING),
    ]
    view = FeatureView(
        name="seen",
        entities=entities,
        ttl=timedelta(days=1),
        schema=[
            Field(name="account", dtype=Int64), Field(name="card", dtype=String), Field(name="device", dtype=Int64),
            Field(name="until", dtype=Int64), Field(name="serial", dtype=String),
        ],
        source=FileSource(
            name="s", path=path, timestamp_field="event_timestamp", created_timestamp_column="created"
        ),
    )  # fmt: skip
    store = repo.store(*entities, view)
    wanted = [f"seen:{name}" for name in features]
    rows = pd.DataFrame({**keys, "event_timestamp": pd.Timestamp(now)})
    offline = store.get_historical_features(entity_df=rows, features=wanted).to_df()
    materialize_latest(store, None, None, now)
    online = store.get_online_features(features=wanted, entity_rows=keys).to_dict()
    for name, values in {**keys, **features}.items():
        assert [None if pd.isna(v) else int(v) if isinstance(v, Decimal) else v for v in offline[name]] == values, name
        assert online[name] == values, name


@pytest.mark.parametrize("seed", SEEDS)
def test_the_services_log(tmp_path: Path, seed: int) -> None:
    ids = drawn(seed)
    types = {"partition": "DATE", "signed": "BIGINT", "text": "VARCHAR", "decimal": "VARCHAR"}
    spool = Spool(tmp_path / "spool")
    spool.declare("pay", types)
    texts = expected(ids)
    for n in range(ROWS):
        row = {"partition": DAY, **{name: texts[name][n] for name in ("signed", "text", "decimal")}}
        spool.append("pay", line(row))
    spool.close()
    assert move(tmp_path / "spool", tmp_path / "lake", "online")[0] == ROWS
    frame = pq.read_table(next((tmp_path / "lake").rglob("*.parquet")), partitioning=None)
    for name in ("signed", "text", "decimal"):
        assert sorted(map(str, frame[name].to_pylist())) == sorted(map(str, texts[name]))
