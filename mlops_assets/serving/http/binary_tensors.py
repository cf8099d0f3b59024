"""Tensors as bytes behind the JSON of a request or an answer, as Triton's clients send them by default.

Here: such a request as the value that its JSON alone would be, and an answer with outputs as bytes. Not here: what the
value must be (`oip_api`).

Source: the binary tensor data extension, https://github.com/triton-inference-server/server. Little endian; an
element of BYTES is its length in four bytes and itself. Bytes have no word for a missing number, so there NaN is one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from mlops_assets.serving.errors import Refused
from mlops_assets.serving.http.limits import up_to

HEADER = "inference-header-content-length"
"""How many bytes of the body are JSON."""
_SIZE, _WANTED, _ALL_WANTED = "binary_data_size", "binary_data", "binary_data_output"
_TYPES = {
    "BOOL": "?", "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8", "INT8": "<i1", "INT16": "<i2",
    "INT32": "<i4", "INT64": "<i8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip


def joined(body: bytes, length: str) -> Any:
    """The JSON of a request with the tensors behind it in place.

    Args:
        body: JSON and tensors.
        length: of the JSON, as the header has it.

    Raises:
        Refused: lengths don't fit each other, or bytes are none of their type.
        msgspec.DecodeError: the first part is no JSON.
        RecursionError: it is nested too deeply.
    """
    json_bytes = up_to(length, len(body)) if length.isascii() and length.isdigit() else None
    if json_bytes is None:
        raise Refused((HEADER,), f"must be the bytes of JSON, of the {len(body):,} that the body has")
    request, rest = msgspec.json.decode(body[:json_bytes]), body[json_bytes:]
    inputs = request.get("inputs") if isinstance(request, dict) else None
    for place, tensor in enumerate(inputs if isinstance(inputs, list) else []):
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        size = parameters.get(_SIZE) if isinstance(parameters, dict) else None
        if size is None:
            continue
        if type(size) is not int or not 0 <= size <= len(rest) or "data" in tensor:
            raise Refused(("inputs", place, "parameters", _SIZE), "is not what follows, or there is `data` too")
        tensor["data"], rest = _values(rest[:size], tensor.get("datatype"), place), rest[size:]
    if rest:
        raise Refused((HEADER,), f"leaves {len(rest):,} bytes that belong to no input")
    return request


def _values(content: bytes, datatype: Any, place: int) -> list[Any]:
    if datatype == "BYTES":
        return _texts(content, place)
    if datatype not in _TYPES:
        raise Refused(("inputs", place, "datatype"), f"is none of {', '.join(_TYPES)} and BYTES")
    kind = np.dtype(_TYPES[datatype])
    if len(content) % kind.itemsize:
        raise Refused(("inputs", place, "parameters", _SIZE), f"is no multiple of {kind.itemsize}")
    values = np.frombuffer(content, dtype=kind)
    return [None if value != value else value for value in values.tolist()]


def _texts(content: bytes, place: int) -> list[str]:
    texts: list[str] = []
    at = 0
    while at < len(content):
        end = at + 4 + int.from_bytes(content[at : at + 4], "little")
        try:
            text = content[at + 4 : end].decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(("inputs", place, "data", len(texts)), "is no text in UTF-8") from error
        if end > len(content) or at + 4 > len(content):
            raise Refused(("inputs", place, "parameters", _SIZE), "ends within an element")
        texts.append(text)
        at = end
    return texts


def wanted(parameters: Mapping[str, Any], outputs: Sequence[Any]) -> set[str] | None:
    """The outputs that are wanted as bytes; None for all."""
    if not outputs:
        return None if parameters.get(_ALL_WANTED) is True else set()
    all_of_them = parameters.get(_ALL_WANTED) is True
    return {each.name for each in outputs if each.parameters.get(_WANTED, all_of_them) is True}


def split(answer: dict[str, Any], as_bytes: set[str] | None) -> tuple[bytes, int]:
    """An answer with these outputs as bytes (None: all) behind its JSON, and the length of that."""
    outputs, behind = [], b""
    for tensor in answer["outputs"]:
        if as_bytes is not None and tensor["name"] not in as_bytes:
            outputs.append(tensor)
            continue
        content = _content(tensor["data"], tensor["datatype"])
        rest = {name: value for name, value in tensor.items() if name != "data"}
        outputs.append({**rest, "parameters": {_SIZE: len(content)}})
        behind += content
    json_part = msgspec.json.encode({**answer, "outputs": outputs})
    return json_part + behind, len(json_part)


def _content(values: Sequence[Any], datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [str(value).encode() for value in values]
        return b"".join(struct.pack("<I", len(text)) + text for text in texts)
    return np.array(values, dtype=_TYPES[datatype]).tobytes()
