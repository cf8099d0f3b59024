"""Bodies of requests as compiled forms: what fits is read in one pass, what doesn't is left to `bodies`.

Here: the form of a request of any rows, and of one row that brings every feature. Not here: what is said of a body that
does not fit (pydantic's models in `predict_api` and `oip_api` read it again and name each place), scoring (`scoring`).

A form takes less than those models and never more, and what it takes it reads as they do; a test holds that. msgspec
reads a row of 75 features into its place in 10 us, pydantic and the checks of each value take 80 us.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from mlops_assets.core.models.matrix import FeatureColumn
from mlops_assets.core.models.row_scoring import FLOAT32_MAX, LONGEST_TEXT

KeyValue = str | int | None
Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
"""Types of tensors in the Open Inference Protocol."""
_KINDS: Mapping[str, Any] = {
    "numeric": Annotated[float, msgspec.Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)] | None,
    "categorical": Annotated[str, msgspec.Meta(max_length=LONGEST_TEXT)] | int | None,
    "boolean": bool | None,
}
UNREAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises about a body: it is no JSON of the form, no UTF-8, or nested too deeply."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_NO_ENTITIES: Mapping[str, KeyValue] = {}


class Misfit(Exception):
    """A body that the form does not take; it may be right all the same."""


class _AnyRow(msgspec.Struct, forbid_unknown_fields=True):
    features: dict[str, str | float | int | bool | None] = {}
    entities: dict[str, KeyValue] = {}
    event_timestamp: str | None = None


class _AnyRows(msgspec.Struct, forbid_unknown_fields=True):
    rows: Annotated[list[_AnyRow], msgspec.Meta(min_length=1)]


class _WholeRow(msgspec.Struct, forbid_unknown_fields=True):
    features: msgspec.Raw
    entities: dict[str, KeyValue] = {}
    event_timestamp: str | None = None


class _OneWholeRow(msgspec.Struct, forbid_unknown_fields=True):
    rows: Annotated[list[_WholeRow], msgspec.Meta(min_length=1, max_length=1)]


_any_rows = msgspec.json.Decoder(_AnyRows)
_one_row = msgspec.json.Decoder(_OneWholeRow)


@dataclass(frozen=True)
class ReadRow:
    """One row as read.

    Attributes:
        entities: keys as sent, names and values yet to be checked against the model.
        features: likewise.
        event_time: None for now.
    """

    entities: Mapping[str, KeyValue]
    features: Mapping[str, Any]
    event_time: datetime | None


def read_rows(body: bytes) -> list[ReadRow]:
    """The rows of a request.

    Raises:
        Misfit: the form does not take the body.
    """
    try:
        request = _any_rows.decode(body)
    except UNREAD as error:
        raise Misfit from error
    return [ReadRow(row.entities, row.features, _moment(row.event_timestamp)) for row in request.rows]


@dataclass(frozen=True)
class WholeRow:
    """One row that brings every feature.

    Attributes:
        entities: keys as sent, names and values yet to be checked against the model.
        values: of the features, in the order of the form's names.
        event_time: None for now.
        text: the features as JSON, as they were sent: an object without line breaks, each name in it once.
    """

    entities: Mapping[str, KeyValue]
    values: tuple[Any, ...]
    event_time: datetime | None
    text: bytes


class Form:
    """What one row of a model's request looks like when it brings every feature that is read.

    Attributes:
        names: of the features, in the order of `WholeRow.values`.
    """

    def __init__(self, columns: Mapping[str, FeatureColumn]) -> None:
        self.names = tuple(columns)
        places = [f"f{place}" for place in range(len(columns))]
        fields = [(place, _KINDS[column.kind]) for place, column in zip(places, columns.values(), strict=True)]
        made = msgspec.defstruct(
            "Features", fields, rename=dict(zip(places, columns, strict=True)), forbid_unknown_fields=True, gc=False
        )
        self._features = msgspec.json.Decoder(made)
        self._colons = len(columns) + sum(name.count(":") for name in columns)

    def read(self, body: bytes) -> WholeRow:
        """The one row of a request.

        Raises:
            Misfit: the form does not take the body.
        """
        try:
            (row,) = _one_row.decode(body).rows
            text = bytes(row.features)
            values = msgspec.structs.astuple(self._features.decode(text))
        except UNREAD as error:
            raise Misfit from error
        # The text goes into the log as it is, one line a record. A second value of one name, an escape (which may hide
        # a colon or a half character) or a line break would not: then it is written anew.
        if text.count(b":") != self._colons or b"\\" in text or b"\n" in text or b"\r" in text:
            raise Misfit
        return WholeRow(row.entities, values, _moment(row.event_timestamp), text.strip())


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    if _MOMENT.fullmatch(text) is None:
        raise Misfit
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise Misfit from error


# --- the Open Inference Protocol ---------------------------------------------------------------------------


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(min_length=1, max_length=2)]
    datatype: Datatype
    data: list[Any]
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] = {}


class _Inference(msgspec.Struct, forbid_unknown_fields=True):
    inputs: Annotated[list[_Input], msgspec.Meta(min_length=1)]
    id: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    outputs: list[_Output] = []
    parameters: dict[str, Any] = {}


_inference = msgspec.json.Decoder(_Inference)


def read_inference(body: bytes) -> Any:
    """A request of the protocol, with the attributes of `oip_api.InferRequest`.

    Raises:
        Misfit: the form does not take the body.
    """
    try:
        return _inference.decode(body)
    except UNREAD as error:
        raise Misfit from error
