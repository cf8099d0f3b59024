"""The bytes of a message as fields: JSON, or Avro and JSON by a schema registry.

Here: decoding, and the one call to a registry for each new schema. Not here: what the fields must be
(`core.sources.stream_rows`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from mlops_assets.core.sources.stream_rows import Decoded, Undecodable
from mlops_assets.core.sources.stream_settings import StreamSpec
from mlops_assets.core.values.extras import importing

Decode = Callable[[bytes | None], Decoded]
HEADER = 5
"""Confluent's wire format: a zero byte and the schema's number in four."""
_DEEPEST = 100
"""So many objects, lists or records may stand in each other. Decoders give up between 900 and 4,000, as much stack as
there is left: without a limit of its own a message would be sound at one time and poison at another."""


class NotConfigured(RuntimeError):
    """What a stream needs is not in the environment; the message says which variable to set."""


def setting(variable: str, what: str) -> str:
    """A setting from the environment.

    Raises:
        NotConfigured: it is not set.
    """
    if value := os.environ.get(variable, "").strip():
        return value
    raise NotConfigured(f"{variable} is not set: it says where {what} is. Set it and start again. Nothing was read.")


def decoder(stream: StreamSpec) -> Decode:
    """The function that decodes a stream's messages.

    Raises:
        NotConfigured: the registry's address is not set.
        MissingExtra: a package is missing.
    """
    if stream.format == "json":
        return decode_json
    return _Registry(setting(stream.registry_env, "the schema registry")).decode


def decode_all(decode: Decode, values: Iterable[bytes | None]) -> list[Decoded]:
    """Decode many; what cannot be decoded is among them as its error."""
    return [decode(value) for value in values]


_from_json = msgspec.json.Decoder().decode


def decode_json(value: bytes | None) -> Decoded:
    """An object in JSON, or why it is none."""
    if value is None:
        return Undecodable("it has no value (a tombstone)")
    try:
        doc = _read_json(value)
    except Undecodable as error:
        return error
    return doc if isinstance(doc, dict) else Undecodable(f"it is {type(doc).__name__}, not an object with fields")


def _read_json(value: bytes) -> Any:
    """A value in JSON.

    Raises:
        Undecodable: it is none, or nested too deeply.
    """
    try:
        doc = _from_json(value)
    except RecursionError as error:
        raise _too_deep() from error
    except Exception as error:
        raise Undecodable(f"it is no JSON: {error}") from error
    # Few messages have so many brackets: the others need no walk.
    return _not_too_deep(doc) if value.count(b"[") + value.count(b"{") > _DEEPEST else doc


def _not_too_deep(doc: Any) -> Any:
    """The same value; level by level, since a function that calls itself has the decoders' fault.

    Raises:
        Undecodable: it is nested too deeply.
    """
    level = [doc]
    for _ in range(_DEEPEST + 1):
        values = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [value for inner in values for value in inner]
        if not level:
            return doc
    raise _too_deep()


def _too_deep() -> Undecodable:
    return Undecodable(f"it is nested more than {_DEEPEST} deep")


class _Registry:
    """Decoding by the schema whose number a message carries."""

    def __init__(self, url: str):
        with importing("stream", "The schema registry's client"):
            from confluent_kafka.schema_registry import SchemaRegistryClient
        self._client = SchemaRegistryClient({"url": url})
        self._known: dict[int, Callable[[bytes], Any]] = {}

    def decode(self, value: bytes | None) -> Decoded:
        """The fields of a message, or why it has none.

        Raises:
            Exception: the registry cannot be reached: that is no fault of the message, so nothing is decided on it.
        """
        if value is None:
            return Undecodable("it has no value (a tombstone)")
        if len(value) < HEADER or value[0] != 0:
            return Undecodable("it does not begin with a zero byte and a schema's number")
        number = int.from_bytes(value[1:HEADER], "big")
        if number not in self._known:
            try:
                self._known[number] = self._reader(number)
            except Undecodable as error:
                return error
        try:
            fields = self._known[number](value[HEADER:])
        except Undecodable as error:
            return error
        except RecursionError:
            return _too_deep()
        except Exception as error:  # noqa: BLE001 - the bytes are here: what a decoder raises is about them
            return Undecodable(f"it does not follow schema {number}: {error or type(error).__name__}")
        return fields if isinstance(fields, dict) else Undecodable(f"schema {number} is no record")

    def _reader(self, number: int) -> Callable[[bytes], Any]:
        import io

        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            schema = self._client.get_schema(number)
        except SchemaRegistryError as error:
            if error.http_status_code != 404:
                raise
            raise Undecodable(f"the registry has no schema {number}") from error
        if schema.schema_type == "JSON":
            return _read_json
        if schema.schema_type != "AVRO":
            raise Undecodable(f"schema {number} is {schema.schema_type}; Avro and JSON are read")
        with importing("stream", "Avro's reader"):
            import fastavro
            from fastavro import _read_py

        try:
            parsed = fastavro.parse_schema(_not_too_deep(json.loads(str(schema.schema_str))))
        except Exception as error:
            raise Undecodable(f"schema {number} is no schema of Avro: {error or type(error).__name__}") from error
        if not _holds_itself(parsed):
            return lambda body: fastavro.schemaless_reader(io.BytesIO(body), parsed, None)
        # The compiled reader ends the process where such records stand in each other some thousand times.
        return lambda body: _not_too_deep(_read_py.schemaless_reader(io.BytesIO(body), parsed, None))


def _holds_itself(schema: Any, within: frozenset[str] = frozenset()) -> bool:
    """Whether a record of this parsed schema of Avro can hold another of its own kind, and so on without end."""
    if isinstance(schema, str):
        return schema in within
    if isinstance(schema, list):
        return any(_holds_itself(each, within) for each in schema)
    if "fields" in schema:
        within |= {schema["name"]}
        return any(_holds_itself(field["type"], within) for field in schema["fields"])
    return any(_holds_itself(schema[part], within) for part in ("items", "values") if part in schema)
