"""Which messages become rows, why others don't, and how those come back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import fastavro
import pytest

from mlops_assets.assets.stream_source import build_stream_checks
from mlops_assets.core.sources.stream_rows import JudgedRows, judge_messages
from mlops_assets.core.sources.stream_settings import StreamSettings
from mlops_assets.steps.land.stream_decoding import decode_json, decoder
from mlops_assets.steps.land.stream_landing import StreamLanding
from mlops_assets.steps.land.stream_poison import poison_count
from mlops_assets.world.lake import Lake
from tests.streams.feed import Topic, home_of, landed, read, sale, sales, source

NOW = datetime(2024, 2, 1, tzinfo=UTC)
AT = "2024-01-05T10:00:00Z"
NewTopic = Callable[[], Topic]


def judged(*messages: bytes | dict[str, Any] | None, settings: StreamSettings | None = None) -> JudgedRows:
    values = [json.dumps(m).encode() if isinstance(m, dict) else m for m in messages]
    return judge_messages(settings or source(), [decode_json(value) for value in values], now=NOW)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (None, "it has no value"),
        (b"", "it is no JSON"),
        (b"\xff\xfe", "it is no JSON"),
        (b"[1]", "it is list, not an object"),
        ({"sale_id": "a"}, "sold_at is missing, declared as timestamp never missing"),
        (sale(1, "yesterday"), "sold_at is 'yesterday', declared as timestamp"),
        (sale(1, AT, price="much"), "price is 'much', declared as number"),
        (sale(1, AT, price=-1), "price is -1"),
        (sale(1, AT, price=None), "price is missing"),
        (sale(1, AT, shop="west"), "shop is 'west', declared as string never missing one of north, south"),
        (sale(1, AT, sale_id=["a"]), "sale_id is no single value"),
        (
            sale(1, AT, sale_id="s0002\0"),
            r"sale_id is 's0002\x00', declared as string never missing (programs cut a text at its NUL character)",
        ),
        (sale(1, AT, till=3), "till is not declared in the contract"),
        (sale(1, "2023-12-31T23:00:00Z"), "sold_at is before the source's start, 2024-01-01"),
        (sale(1, "2024-02-01T00:06:00Z"), "sold_at is '2024-02-01T00:06:00Z'"),
    ],
)
def test_a_message_that_no_share_excuses_is_poison(message: Any, why: str) -> None:
    # Others around it are as they are, with it or without it.
    found = judged(sale(2, AT), message, sale(3, AT, coupon="x"))
    assert list(found.poison) == [1]
    assert found.poison[1].startswith(why)
    assert found.rows["sale_id"].tolist() == ["s0002", "s0003"]
    assert found.partition.tolist() == ["2024-01-05", None, "2024-01-05"]


def test_nothing_but_poison_and_nothing_at_all() -> None:
    assert len(judged(b"{}", b"x").rows) == 0
    assert judged().partition.tolist() == []


def test_a_clock_may_be_a_little_ahead() -> None:
    assert not judged(sale(1, "2024-02-01T00:04:00Z")).poison


def test_a_day_is_one_of_the_sources_zone() -> None:
    berlin = source().model_copy(update={"timezone": "Europe/Berlin"})
    found = judged(sale(1, "2024-01-05T23:30:00Z"), sale(1, "2024-01-05T23:30:00"), settings=berlin)
    assert found.partition.tolist() == ["2024-01-06", "2024-01-05"]
    weekly = source().model_copy(update={"grain": "week"})
    assert judged(sale(1, "2024-01-07T23:59:59Z"), settings=weekly).partition.tolist() == ["2024-01-01"]


# --- a renamed field ---------------------------------------------------------------------------------------


def renamed(day: int) -> list[dict[str, Any]]:
    return [{("amount" if name == "price" else name): v for name, v in each.items()} for each in sales([day])]


def test_a_renaming_is_told_and_a_declared_one_costs_nothing() -> None:
    message = renamed(5)[0]
    assert judged(message).poison[0] == (
        "price is missing and amount is not declared; if that is its new name, write renamed: {price: [amount]} under "
        "stream"
    )
    declared = source(renamed={"price": ["amount"]})
    found = judged(message, sale(2, AT), settings=declared)
    assert not found.poison
    assert found.rows["price"].notna().all()
    assert "under two names" in judged({**message, "price": 2}, settings=declared).poison[0]


def test_after_the_yaml_has_followed_quarantined_messages_land(topic: NewTopic, tmp_path: Path) -> None:
    """No message is lost by a renaming that nobody had announced, nor is any day landed twice."""
    sent, home = topic(), home_of(tmp_path)
    sent.send([*sales([1]), *renamed(2), *sales([3])])
    read(home, source(sent.name))
    assert landed(home) == {"sales_2024-01-01.parquet": [s["sale_id"] for s in sales([1])]}
    assert poison_count(home, "sales").messages == 6
    # Again by the same YAML: still poison, once.
    landing = StreamLanding(home, source(sent.name))
    assert landing.judge_again() == 6
    landing.land()
    assert poison_count(home, "sales").messages == 6
    landing = StreamLanding(home, source(sent.name, renamed={"price": ["amount"]}))
    landing.judge_again()
    landing.land()
    assert poison_count(home, "sales").messages == 0
    assert landed(home) == {f"sales_2024-01-0{d}.parquet": [s["sale_id"] for s in sales([d])] for d in (1, 2)}


def test_checks_of_messages_warn_and_say_what_to_do(topic: NewTopic, tmp_path: Path) -> None:
    sent, home = topic(), home_of(tmp_path)
    checks = dg.Definitions(assets=[dg.AssetSpec(["raw", "sales"])], asset_checks=build_stream_checks(source()))
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.all_asset_checks())
    resources = {"lake": Lake(root=str(home.root))}

    def evaluate() -> dict[str, dg.AssetCheckEvaluation]:
        built = dg.Definitions.merge(checks, dg.Definitions(jobs=[job], resources=resources))
        result = built.resolve_job_def("checks").execute_in_process()
        return {e.check_name: e for e in result.get_asset_check_evaluations()}

    assert all(check.passed for check in evaluate().values()), "a stream that was never read is quiet"
    sent.send([*sales([1]), b"x"])
    read(home, source(sent.name))
    found = evaluate()
    assert found["reader_keeps_up"].passed
    bad = found["messages_are_sound"]
    assert (bad.passed, bad.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "1 of 7 messages are in quarantine (1: it is no JSON" in str(bad.description)
    assert "mlops stream retry sales" in str(bad.description)


# --- a schema registry -------------------------------------------------------------------------------------

SCHEMA = {
    "type": "record",
    "name": "Sale",
    "fields": [
        {"name": "sale_id", "type": "string"},
        {"name": "sold_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "price", "type": "double"},
        {"name": "shop", "type": "string"},
    ],
}

WITHIN_ITSELF = {
    "type": "record",
    "name": "Sale",
    "fields": [{"name": "parts", "type": {"type": "array", "items": ["null", "Sale"]}}],
}


@pytest.fixture
def registry() -> Iterator[str]:
    """A schema registry of two schemas, that answers as Confluent's does."""

    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = self.path.split("?")[0].removeprefix("/schemas/ids/")
            told = {
                "1": {"schema": json.dumps(SCHEMA)},
                "2": {"schema": "{}", "schemaType": "JSON"},
                "3": {"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF"},
                "4": {"schema": json.dumps(WITHIN_ITSELF)},
                "5": {"schema": '{"type": "record", "name": "Sale", "fields": [{"name": "of", "type": "Shop"}]}'},
                "6": {"schema": '{"type": "array", "items": ' * 3000 + '"int"' + "}" * 3000},
            }.get(number)
            self.send_response(200 if told else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(told or {"error_code": 40403, "message": "Schema not found"}).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def framed(number: int, body: bytes) -> bytes:
    return b"\0" + number.to_bytes(4, "big") + body


def test_messages_by_a_schema_registry(
    topic: NewTopic, registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_SCHEMA_REGISTRY_URL", registry)
    body = io.BytesIO()
    at = datetime(2024, 1, 1, 9, tzinfo=UTC)
    record = {"sale_id": "s0001", "sold_at": at, "price": 2.0, "shop": "north"}
    fastavro.schemaless_writer(body, fastavro.parse_schema(SCHEMA), record)
    by_json = json.dumps(sale(2, "2024-01-01T09:00:00Z")).encode()
    sent, home = topic(), home_of(tmp_path)
    bad = [framed(1, b"\x02"), framed(9, b"x"), framed(3, b"x"), b"plain"]
    sent.send([framed(1, body.getvalue()), framed(2, by_json), *bad], partition=0)
    sent.send([framed(2, json.dumps(each).encode()) for each in sales([2])], partition=0)
    settings = source(sent.name, format="registry")
    read(home, settings)
    assert landed(home) == {"sales_2024-01-01.parquet": ["s0001", "s0002"]}
    assert [reason[:24] for reason in StreamLanding(home, settings).poison()["reason"]] == [
        "it does not follow schem",
        "the registry has no sche",
        "schema 3 is PROTOBUF; Av",
        "it does not begin with a",
    ]


@pytest.mark.parametrize("deep", [500, 1200, 100_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_message_nested_without_end_is_poison(opens: str, closes: str, deep: int) -> None:
    nested = ('{"till":' + opens * deep + "1" + closes * deep + "}").encode()
    found = judged(sale(2, AT), nested, sale(3, AT))
    assert found.poison == {1: "it is nested more than 100 deep"}
    assert found.rows["sale_id"].tolist() == ["s0002", "s0003"]


def test_many_brackets_are_not_deep() -> None:
    wide = json.dumps({**sale(1, AT), "coupon": [{"of": []}] * 500}).encode()
    assert judged(wide).poison == {0: "coupon is no single value"}
    texts = sale(1, AT, sale_id="[" * 500)
    assert judged(texts).rows["sale_id"].tolist() == ["[" * 500]


def test_what_a_schema_lets_in_without_end_is_poison(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_SCHEMA_REGISTRY_URL", registry)
    decode = decoder(source(format="registry").stream)
    # One record in the array, which is not null, 100,000 times; then an array without any.
    deep, flat = (b"\x02\x02" * count + b"\x00" * (1 + count) for count in (100_000, 2))
    assert decode(framed(4, flat)) == {"parts": [{"parts": [{"parts": []}]}]}
    by_json = b'{"a":' * 3000 + b"1" + b"}" * 3000
    for message in (framed(4, deep), framed(2, by_json)):
        assert str(decode(message)) == "it is nested more than 100 deep"
    for number in (5, 6):
        assert str(decode(framed(number, b""))).startswith(f"schema {number} is no schema of Avro: ")


# --- the YAML ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"files": "x_{partition}.csv"}, "remove `files`"),
        ({"grain": "none"}, "a stream has partitions"),
        ({"stream": {"topic": "t", "renamed": {"cost": ["price"]}}}, "'cost', which is not in contract.columns"),
        ({"stream": {"topic": "t", "lateness": "soon"}}, "is not a duration"),
        ({"stream": {}}, "topic"),
    ],
)
def test_what_a_stream_cannot_be(changes: dict[str, Any], told: str) -> None:
    values = source().model_dump(exclude={"files"})
    with pytest.raises(ValueError, match=told):
        StreamSettings.model_validate({**values, **changes})
